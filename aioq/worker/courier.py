"""Courier: takes outcomes to the server and brings claims back, both in one round trip.

While a round trip is under way, runs go on and end; what has ended until it is back goes with the next one. So
the size of the batches follows the pace of jobs and server, and there is no timer. When a claim brings less than
was asked for, the queue is empty: then nothing is sent until a token comes (see Waker), a run ends, or a scheduled
job is due.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from aioq.store import Connection, Store
from aioq.store.script import Command
from aioq.store.store import Claim, Claims, read_refused
from aioq.values.errors import ServerError
from aioq.values.outcome import Outcome
from aioq.worker.executor import Executor
from aioq.worker.run import Cause, Run

log = logging.getLogger("aioq.worker")

#: How soon a worker looks again at a queue that is paused, in ms; that it was resumed is noticed at once.
PAUSED_MS = 1000

#: The longest pause between attempts to reach the server, in seconds.
LONGEST_PAUSE = 2.0


@dataclass(slots=True)
class Limits:
    """What the courier was told: whether to claim, how much, and when to be done."""

    claiming: bool = True
    burst: bool = False
    jobs_left: int | None = None


class Courier:
    """The only loop of a worker that claims and records.

    Args:
        connection: the worker's own, impatient one: it must know when a reply may have been lost.
        stores: the queues, in the order in which they are served.
        worker: the worker's name.
        lease_ms: how long a lease is, for joining a queue again.
        limits: what it was told.
        begun: called when claimed jobs were started.

    """

    def __init__(
        self,
        connection: Connection,
        stores: Sequence[Store],
        worker: str,
        lease_ms: int,
        limits: Limits,
        begun: Callable[[], None] = lambda: None,
    ) -> None:
        self.limits = limits
        self._begun = begun
        self.idle = asyncio.Event()
        self.claimed = 0
        self._connection = connection
        self._stores = stores
        self._worker = worker
        self._lease_ms = lease_ms
        self._outbox: list[tuple[Run, Outcome]] = []
        self._signal = asyncio.Event()
        self._looking = True
        self._due: asyncio.TimerHandle | None = None
        self._in_doubt = False

    def put(self, run: Run, outcome: Outcome | None) -> None:
        """Take an outcome along on the next trip."""
        if outcome is not None:
            self._outbox.append((run, outcome))

        self._signal.set()

    def look(self) -> None:
        """There may be something to claim."""
        self._looking = True
        self.idle.clear()
        self._signal.set()

    def stop(self) -> None:
        """Claim nothing more; outcomes are still taken along."""
        self.limits.claiming = False
        self._signal.set()

    async def run(self, executor: Executor) -> None:
        """Travel until everything is done that the limits ask for."""
        pause = 0.05

        while not self._done(executor):
            try:
                await self._wait(executor)

                if self._in_doubt:
                    await self._resync(executor)

                await self._travel(executor)
                pause = 0.05
            except ServerError as error:
                # The outcomes are kept; sent twice they are harmless, so nothing is lost and nothing doubled.
                self._in_doubt = True
                self._looking = True
                log.warning("%s; trying again", error)
                await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
                pause = min(2 * pause, LONGEST_PAUSE)

    def _done(self, executor: Executor) -> bool:
        if self._outbox or executor.running or (self._in_doubt and self.limits.claiming):
            return False

        if not self.limits.claiming or self.limits.jobs_left == 0:
            return True

        return self.limits.burst and not self._looking

    def _wants(self, executor: Executor) -> int:
        """How many jobs may be claimed now."""
        if not self.limits.claiming:
            return 0

        left = self.limits.jobs_left

        return executor.free if left is None else min(executor.free, left)

    async def _wait(self, executor: Executor) -> None:
        """Until there is an outcome to take along, or a reason to claim."""
        while not (self._outbox or self._done(executor) or (self._looking and self._wants(executor))):
            self._signal.clear()

            if self._wants(executor):
                self.idle.set()

            await self._signal.wait()
            self.idle.clear()

    async def _travel(self, executor: Executor) -> None:
        outbox, self._outbox = self._outbox, []
        wanted = self._wants(executor)
        looking = bool(wanted)
        due_ms: list[int] = []

        if looking:
            # Before the trip, not after it: a token that comes meanwhile may be for a job that it does not see.
            self._looking = False

        try:
            for store in self._stores:
                commands, covered = _ending(store, outbox)

                if wanted:
                    commands = [*commands, store.claim_command(self._worker, wanted)]

                if not commands:
                    continue

                replies = await self._connection.calls(commands)
                _report(covered, replies)
                outbox = [each for each in outbox if each[0].store is not store]

                if wanted:
                    claims = store.read_claims(replies[-1], self._worker)
                    wanted -= self._begin(executor, store, claims)
                    due_ms.append(claims.due_in_ms)

                    if claims.verdict == "paused":
                        due_ms.append(PAUSED_MS)
                    elif claims.verdict == "missing":
                        await self._rejoin(executor, store)
                        due_ms.append(0)
        except BaseException:
            self._outbox = outbox + self._outbox

            raise

        if looking:
            # Everything that was asked for came: there may be more. Otherwise the queues are empty for now.
            self._looking = self._looking or wanted <= 0
            self._set_timer(due_ms)

    def _begin(self, executor: Executor, store: Store, claims: Claims) -> int:
        for claim in claims.jobs:
            executor.start(store, claim)

        taken = len(claims.jobs)
        self.claimed += taken

        if taken:
            self._begun()

        if self.limits.jobs_left is not None:
            self.limits.jobs_left -= taken

        return taken

    def _set_timer(self, due_ms: list[int]) -> None:
        waits = [ms / 1000 for ms in due_ms if ms >= 0]

        if self._due is not None:
            self._due.cancel()
            self._due = None

        if waits and not self._looking:
            # A millisecond more: the server counts whole ones, and must not be asked just before.
            self._due = asyncio.get_running_loop().call_later(min(waits) + 0.001, self.look)

    async def _rejoin(self, executor: Executor, store: Store) -> None:
        """The worker has no lease: it was away for too long, or the server has lost its data."""
        log.warning("worker %s has no lease on queue %s; it joins again", self._worker, store.queue)
        await store.join(self._worker, self._lease_ms)
        await self.audit(executor, store)

    async def audit(self, executor: Executor, store: Store) -> None:
        """End the runs whose claims are not valid any more."""
        runs = [run for run in executor.running if run.store is store]
        records = await store.load([run.id for run in runs])

        for run, record in zip(runs, records, strict=True):
            if record is None or not record.is_claimed(run.claim.fence):
                log.warning("job %s: this run has lost its claim and is ended", run.id)
                executor.end(run, Cause.DROPPED)

    async def _resync(self, executor: Executor) -> None:
        """After a lost reply: jobs that were claimed for this worker without its knowing go back."""
        for store in self._stores:
            held = [run.claim for run in executor.running if run.store is store]
            held += [run.claim for run, _ in self._outbox if run.store is store]
            _, back, _ = await store.reclaim(self._worker, held)

            if back:
                log.info("queue %s: %d jobs of a lost reply went back", store.queue, len(back))

            await self.audit(executor, store)

        self._in_doubt = False


def _ending(
    store: Store, outbox: list[tuple[Run, Outcome]]
) -> tuple[list[Command], list[tuple[Store, list[Claim]]]]:
    ended = [(run.claim, outcome) for run, outcome in outbox if run.store is store]
    pairs = store.end_commands(ended) if ended else []

    return [command for command, _ in pairs], [(store, claims) for _, claims in pairs]


def _report(covered: list[tuple[Store, list[Claim]]], replies: list[object]) -> None:
    for (store, claims), reply in zip(covered, replies, strict=False):
        for position, verdict in read_refused(reply).items():
            if verdict != "already":
                log.warning(
                    "job %s of queue %s: the run with fence %d was not recorded (%s)",
                    claims[position].record.id,
                    store.queue,
                    claims[position].fence,
                    verdict,
                )
