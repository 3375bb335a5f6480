"""Fleet: what spans queues. Its keys carry no hash tag, so no script touches them together with a queue's."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

from aioq.store.connection import Connection
from aioq.store.examination import PLACES, scan
from aioq.store.keys import Keys
from aioq.store.script import Command
from aioq.store.store import Store, fields_of, text
from aioq.values.ids import check_queue_name, is_queue_name

#: How long a worker's description outlives its last renewal, in ms.
WORKER_TTL_MS = 45_000


class WorkerInfo(NamedTuple):
    """What a worker tells of itself. blocks: how often its event loop did not turn for more than half a second."""

    name: str
    hostname: str
    pid: int
    queues: list[str]
    state: str
    running: int
    concurrency: int
    successful: int
    failed: int
    blocks: int
    started_at_ms: int
    version: str


class Fleet:
    """All queues and all workers of one server.

    Args:
        connection: the server.

    """

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self._shared = connection.shared

    async def queues(self) -> list[str]:
        """The names of all queues, in order. What cannot be the name of a queue is left out."""
        names = map(text, await self.connection.call(("SMEMBERS", self._shared.queues)))

        return sorted(name for name in names if is_queue_name(name))

    async def stored(self) -> list[str]:
        """The names of all queues that have keys, whether they are listed or not, in order.

        All keys of each server are gone through.
        """
        of_a_queue = re.compile(rf"{re.escape(self._shared.prefix)}:{{([^{{}}]+)}}:")
        found = set()

        for server in await self.connection.servers():
            async for keys in scan(server.call, ("SCAN",), "MATCH", f"{self._shared.prefix}:{{*}}:*"):
                found |= {match[1] for key in keys if (match := of_a_queue.match(text(key)))}

        return sorted(name for name in found if is_queue_name(name))

    async def missing(self, names: Sequence[str]) -> list[str]:
        """Those of these names under which there is no queue: not on the list, and none of the keys of one.

        Raises:
            InvalidInput: one cannot be the name of a queue.

        """
        listed = set(await self.queues())
        doubtful = [name for name in dict.fromkeys(map(check_queue_name, names)) if name not in listed]

        if not doubtful:
            return []

        keys = [Keys.of(name, self._shared.prefix) for name in doubtful]
        found = await self.connection.calls(
            [("EXISTS", *(getattr(each, place.key) + place.end for place in PLACES)) for each in keys]
        )

        return [name for name, number in zip(doubtful, found, strict=True) if not number]

    async def workers(self) -> list[WorkerInfo]:
        """All workers whose description has not run out, by name."""
        names = sorted(map(text, await self.connection.call(("SMEMBERS", self._shared.workers))))

        if not names:
            return []

        rows = await self.connection.calls([("HGETALL", self._shared.worker(name)) for name in names])

        return [_info(name, fields_of(row)) for name, row in zip(names, rows, strict=True) if row]

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

    async def suspend(self, ttl_ms: int | None = None) -> None:
        """No worker claims anything, until resume or for ttl_ms. It holds for queues that come later, too."""
        limit: Command = () if ttl_ms is None else ("PX", ttl_ms)
        await self.connection.call(("SET", self._shared.suspended, "1", *limit))
        await self._on_all_queues(lambda keys: ("SET", keys.suspended, "1", *limit))

    async def resume(self) -> None:
        """End a suspension."""
        await self.connection.call(("DEL", self._shared.suspended))
        await self._on_all_queues(lambda keys: ("DEL", keys.suspended))

        for name in await self.queues():
            await Store(self.connection, name).wake()

    async def is_suspended(self) -> bool:
        return bool(await self.connection.call(("EXISTS", self._shared.suspended)))

    async def _on_all_queues(self, command: Callable[[Keys], Command]) -> None:
        names = await self.queues()

        if names:
            await self.connection.calls([command(Keys.of(name, self._shared.prefix)) for name in names])


def _info(name: str, row: Mapping[bytes, bytes]) -> WorkerInfo:
    facts = {text(key): text(value) for key, value in row.items()}

    return WorkerInfo(
        name=name,
        hostname=facts.get("hostname", "?"),
        pid=_number(facts, "pid"),
        queues=facts.get("queues", "").split(),
        state=facts.get("state", "?"),
        running=_number(facts, "running"),
        concurrency=_number(facts, "concurrency"),
        successful=_number(facts, "successful"),
        failed=_number(facts, "failed"),
        blocks=_number(facts, "blocks"),
        started_at_ms=_number(facts, "started_at"),
        version=facts.get("version", "?"),
    )


def _number(facts: Mapping[str, str], name: str) -> int:
    """The number that a worker told; 0 for what is none."""
    try:
        return int(facts.get(name, 0))
    except ValueError:
        return 0
