"""Directory: what spans queues. Its keys carry no hash tag, so no script touches them together with a queue's."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from aioq.store.acting import act_of
from aioq.store.connection import Connection
from aioq.store.duty import read_late_workers
from aioq.store.examination import PLACES, scan
from aioq.store.keys import Keys
from aioq.store.net.command import Command
from aioq.store.reads import read_counts, read_pauses
from aioq.store.reply import text
from aioq.store.scatter import Answers, scatter
from aioq.store.store import Store
from aioq.store.worker_info import FACTS, WorkerInfo, read_schemas, worker_info
from aioq.values.counts import Counts
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.values.ids import check_queue_name, is_queue_name
from aioq.values.pause import BARE, Pause
from aioq.values.retry_budget import RetryBudget, read_budget

#: How long a worker's description outlives its last renewal, in ms.
WORKER_TTL_MS = 45_000

#: Ids that are looked for in one round trip, in each of its queues.
IDS_PER_ROUND_TRIP = 50


class QueueInfo(NamedTuple):
    """One queue as it is now. A suspension of all workers pauses it, too.

    pauses: what keeps all workers from it.
    late_workers: those that hold jobs of it although their lease has ended.
    retry_budget: how many retries it takes; None: as many as come.
    """

    name: str
    pauses: list[Pause]
    counts: Counts
    late_workers: list[str]
    retry_budget: RetryBudget | None

    @property
    def paused(self) -> bool:
        """Whether workers claim nothing from it."""
        return bool(self.pauses)


class Directory:
    """All queues and all workers of one server, or of a Cluster.

    Args:
        connection: the server.
        away: of a Cluster, what cannot be reached or is refused goes here, by what it is, and the others are done
            all the same. None: it is raised.

    """

    def __init__(self, connection: Connection, *, away: dict[str, ServerError] | None = None) -> None:
        self.connection = connection
        self._shared = connection.shared
        self._away = away

    async def queues(self) -> list[str]:
        """The names of all queues, in order. What cannot be the name of a queue is left out.

        If the list is away, the queues that have keys are found instead.
        """
        try:
            found = await self._ask(("SMEMBERS", self._shared.queues))
        except ServerUnreachable as error:
            self._note("the list of queues", error)

            return await self.stored()

        return sorted(name for name in map(text, found) if is_queue_name(name))

    async def stored(self) -> list[str]:
        """The names of all queues that have keys, whether they are listed or not, in order.

        All keys of each server are gone through.
        """
        of_a_queue = re.compile(rf"{re.escape(self._shared.prefix)}:{{([^{{}}]+)}}:")
        found: set[str] = set()

        async def find_in(server: Connection) -> None:
            try:
                async for keys in scan(server.call, ("SCAN",), "MATCH", f"{self._shared.prefix}:{{*}}:*"):
                    found.update(match[1] for key in keys if (match := of_a_queue.match(text(key))))
            except ServerUnreachable as error:
                self._note("the queues of a server", error)

        await asyncio.gather(*map(find_in, await self.connection.servers()))

        return sorted(name for name in found if is_queue_name(name))

    async def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these names under which there is no queue: not on the list, and none of the keys of one.

        Where the list or the keys are away, nobody can tell: then the queue is not missing.

        Raises:
            InvalidInput: one cannot be the name of a queue.

        """
        wanted = list(dict.fromkeys(map(check_queue_name, names)))

        def keys(name: str) -> list[Command]:
            own = self._keys(name)

            return [("EXISTS", *(own[place.key] + place.end for place in PLACES))]

        found = await self._scatter(wanted, keys)

        for error in found.errors.values():
            if not isinstance(error, ServerUnreachable):
                raise error

        doubtful = [name for name, (number,) in found.replies.items() if not number]

        if not doubtful:
            return []

        try:
            listed = set(map(text, await self._ask(("SMEMBERS", self._shared.queues))))
        except ServerUnreachable:
            if not self.connection.is_cluster:
                raise

            return []

        return [name for name in wanted if name in doubtful and name not in listed]

    async def overview(self, names: Sequence[str]) -> list[QueueInfo]:
        """These queues, each with its jobs in each state."""

        def ask(name: str) -> list[Command]:
            store = self._store(name)

            return [
                *store.reads.pauses_commands(),
                store.reads.count_command(),
                store.duty.holders_command(""),
                store.reads.retry_budget_command(),
            ]

        found = self._noted(await self._scatter(names, ask), "queue")

        return [
            QueueInfo(
                name, read_pauses(pauses), read_counts(counts), read_late_workers(holders), read_budget(budget)
            )
            for name in names
            if name in found
            for *pauses, counts, holders, budget in (found[name],)
        ]

    async def holders(self, ids: Sequence[str], names: Sequence[str] | None = None) -> dict[str, list[str]]:
        """For each of these ids, the names of those queues (None: of all) that have a job with it, in order."""
        found = {job_id: list[str]() for job_id in ids}
        names = await self.queues() if names is None else names

        for start in range(0, len(ids), IDS_PER_ROUND_TRIP):
            some = ids[start : start + IDS_PER_ROUND_TRIP]

            def ask(name: str, some: Sequence[str] = some) -> list[Command]:
                return [("EXISTS", self._keys(name).job + job_id.encode()) for job_id in some]

            answers = self._noted(await self._scatter(names, ask), "queue")

            for name in filter(answers.__contains__, names):
                for job_id, exists in zip(some, answers[name], strict=True):
                    if exists:
                        found[job_id].append(name)

        return found

    async def paused(self, names: Sequence[str]) -> list[str]:
        """Those of these queues that are paused or suspended."""

        def ask(name: str) -> list[Command]:
            keys = self._keys(name)

            return [("EXISTS", keys.paused, keys.suspended)]

        found = self._noted(await self._scatter(names, ask), "queue")

        return [name for name in names if name in found and found[name][0]]

    async def workers(self) -> list[WorkerInfo]:
        """All workers whose description has not run out, by name."""
        rows = await self._told_by_workers(FACTS)

        return [found for name, row in rows.items() if (found := _told(name, row)) is not None]

    async def described(self, names: Sequence[str]) -> list[WorkerInfo]:
        """Those of these workers whose description has not run out."""
        rows = await self._descriptions(names, FACTS)

        return [found for name, row in rows.items() if (found := _told(name, row)) is not None]

    async def schemas(self, queue: str | None = None) -> dict[str, Any]:
        """The JSON schemas of typed tasks, by the dotted names of their functions.

        Args:
            queue: only as those workers tell them that serve this queue.

        """
        found: dict[str, Any] = {}

        for queues, schemas in (await self._told_by_workers(("queues", "schemas"))).values():
            if schemas is not None and (queue is None or queue in text(queues or b"").split()):
                found = read_schemas(schemas) | found

        return dict(sorted(found.items()))

    async def _told_by_workers(self, facts: Sequence[str]) -> dict[str, list[bytes | None]]:
        """What each worker tells of itself, by its name; None for what it does not."""
        try:
            names = sorted(map(text, await self._ask(("SMEMBERS", self._shared.workers))))
        except ServerUnreachable as error:
            self._note("the list of workers", error)

            return {}

        return await self._descriptions(names, facts)

    async def _descriptions(self, names: Sequence[str], facts: Sequence[str]) -> dict[str, list[bytes | None]]:
        found = await scatter(
            self.connection,
            names,
            self._shared.worker,
            lambda name: [("HMGET", self._shared.worker(name), *facts)],
        )
        rows = self._noted(found, "worker")

        return {name: rows[name][0] for name in names if name in rows}

    def worker_commands(self, name: str, facts: Mapping[str, str | int], queues: list[str]) -> list[Command]:
        """The calls that renew a worker's description, and the lists that it stands in."""
        key = self._shared.worker(name)
        flat = [part for item in facts.items() for part in item]

        return [
            ("HSET", key, "queues", " ".join(queues), *flat),
            ("PEXPIRE", key, WORKER_TTL_MS),
            ("SADD", self._shared.workers, name),
            ("SADD", self._shared.queues, *queues),
        ]

    async def remove_worker(self, name: str) -> None:
        """Take a worker off the list; it has left."""
        await self.connection.calls([("DEL", self._shared.worker(name)), ("SREM", self._shared.workers, name)])

    async def sweep_workers(self) -> None:
        """Take workers off the list whose description has run out: they were killed."""
        names = sorted(await self.connection.call(("SMEMBERS", self._shared.workers)))

        if not names:
            return

        alive = await self.connection.calls(
            [("EXISTS", self._shared.worker("").encode() + name) for name in names]
        )
        dead = [name for name, is_alive in zip(names, alive, strict=True) if not is_alive]

        if dead:
            await self.connection.call(("SREM", self._shared.workers, *dead))

    async def suspend(self, ttl_ms: int | None = None, *, told: str = BARE, act: str = "") -> None:
        """No worker claims anything, until resume or for ttl_ms. It holds for queues that come later, too.

        Args:
            ttl_ms: for how long; None: until resume.
            told: why, as `pack_pause` packs it.
            act: what `act_of` returns; the audit of each queue gets a row.

        """
        limit: Command = () if ttl_ms is None else ("PX", ttl_ms)
        await self._on_shared(("SET", self._shared.suspended, told, *limit))
        await self._on_queues(lambda name: [("SET", self._keys(name).suspended, told, *limit)], act)

    async def resume(self) -> None:
        """End a suspension."""
        await self._on_shared(("DEL", self._shared.suspended))
        await self._on_queues(
            lambda name: [("DEL", self._keys(name).suspended), self._store(name).changes.wake_command()],
            act_of("resume", "all workers"),
        )

    async def is_suspended(self) -> bool | None:
        """Whether all workers are suspended; None if that cannot be told now."""
        found = await self._on_shared(("EXISTS", self._shared.suspended))

        return None if found is None else bool(found)

    # Internals

    async def _ask(self, command: Command) -> Any:
        """The reply to a command about what queues share."""
        (reply,) = await self.connection.each([command])

        if isinstance(reply, ServerError):
            raise reply

        return reply

    async def _on_shared(self, command: Command) -> Any:
        """The reply about the suspension of all workers; None if it is away."""
        try:
            return await self._ask(command)
        except ServerUnreachable as error:
            self._note("the suspension of queues that come later", error)

            return None

    async def _on_queues(self, ask: Callable[[str], Sequence[Command]], act: str) -> None:
        def ask_and_tell(name: str) -> list[Command]:
            return [*ask(name), *([self._store(name).audit.command(act)] if act else [])]

        self._noted(await self._scatter(await self.queues(), ask_and_tell), "queue")

    async def _scatter(self, names: Sequence[str], ask: Callable[[str], Sequence[Command]]) -> Answers:
        return await scatter(self.connection, names, lambda name: self._keys(name).job, ask)

    def _store(self, name: str) -> Store:
        return Store(self.connection, name)

    def _keys(self, name: str) -> Keys:
        return Keys.of(name, self._shared.prefix)

    def _noted(self, answers: Answers, noun: str) -> dict[str, list[Any]]:
        for name, error in answers.errors.items():
            self._note(f"{noun} {name}", error)

        return answers.replies

    def _note(self, what: str, error: ServerError) -> None:
        if self._away is None or (isinstance(error, ServerUnreachable) and not self.connection.is_cluster):
            raise error

        self._away[what] = error


def _told(name: str, row: Sequence[bytes | None]) -> WorkerInfo | None:
    """What a worker tells of itself; None if its description has run out."""
    facts = {fact.encode(): value for fact, value in zip(FACTS, row, strict=True) if value is not None}

    return worker_info(name, facts) if facts else None
