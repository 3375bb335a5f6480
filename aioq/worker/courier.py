"""Courier: takes outcomes to the server and brings claims back, both in one round trip.

While a trip is under way, runs go on and end; what has ended until it is back goes with the next one. So the size
of the batches follows the pace of jobs and server, and there is no timer. When half of the worker's slots would
travel empty, a second trip leaves before the first is back: server and worker then work at the same time. When a
claim brings less than was asked for, the queue is empty: then nothing is sent until a token comes (see Waker), a
run ends, or a scheduled job is due. A trip is bounded in bytes, too, and a large outcome goes by Freight: on a
slow line, small ones and claims do not wait for it.

A queue whose calls the server refuses (a key of another type is in the way, say) is set aside: it is tried again
and again by itself, and holds up no other queue. So is a queue of a Cluster whose server is away.
"""

from __future__ import annotations

import asyncio
import logging
import random
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial

from aioq.store import Connection, Store
from aioq.store.duty import read_holders
from aioq.values.claim import Claim, Claims
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.values.numbers import count
from aioq.values.outcome import Finished, Interrupted, Outcome
from aioq.worker.freight import ATTEMPTS, LARGE_BYTES, Freight, LostClaim, is_large, report
from aioq.worker.holders import Holders
from aioq.worker.pace import Pace
from aioq.worker.run import Cause, Run, cause_of_loss, own_task
from aioq.worker.slots import Slots as Executor

log = logging.getLogger("aioq.worker")

#: How soon a worker looks again at a queue that is paused, in ms; that it was resumed is noticed at once.
PAUSED_MS = 1000

#: The pauses between attempts to reach the server, in seconds: each is twice the one before.
SHORTEST_PAUSE = 0.05
LONGEST_PAUSE = 2.0

#: Trips under way at the same time, and how many outcomes or claims one of them carries: what the server does for
#: them takes some milliseconds, in which it answers nobody else. Of outcomes it carries LARGE_BYTES at the most.
FLIGHTS = 2
LOAD = 200

#: A burst gives a queue that was set aside up after this many refusals in a row.
REFUSALS = 5

#: How soon a burst that is done looks again whether other workers that hold jobs are alive, in ms.
HOLDERS_MS = 300

#: The longest wait for a scheduled job, in seconds; then the server is asked again.
LONGEST_WAIT = 3600.0


@dataclass(slots=True)
class Limits:
    """What the courier was told: whether to claim, how much, and when to be done."""

    claiming: bool = True
    burst: bool = False
    jobs_left: int | None = None


def _nothing(_: object) -> None:
    pass


class Courier:
    """The only loop of a worker that claims and records.

    Args:
        connection: the worker's own, impatient one: it must know when a reply may have been lost.
        stores: the queues, in the order in which they are served.
        worker: the worker's name.
        lease_ms: how long a lease is, for joining a queue again.
        limits: what it was told.
        taken: called with runs whose claims have just come.
        lapsed: called with a queue on which the worker turns out to have no lease.

    """

    def __init__(
        self,
        connection: Connection,
        stores: Sequence[Store],
        worker: str,
        lease_ms: int,
        limits: Limits,
        taken: Callable[[list[Run]], None] = _nothing,
        lapsed: Callable[[Store], None] = _nothing,
    ) -> None:
        self.limits = limits
        self.idle = asyncio.Event()
        self.claimed = 0
        self._connection = connection
        self._stores = stores
        self._worker = worker
        self._lease_ms = lease_ms
        self._taken = taken
        self._lapsed = lapsed
        self._outbox: list[tuple[Run, Outcome]] = []
        self._freight = Freight(connection.sibling())
        self._most = LOAD  # jobs that one claim may bring
        self._lost_claims: dict[Store, LostClaim] = {}
        self._signal = asyncio.Event()
        self._looking, self._looks = True, 0
        self._due: asyncio.TimerHandle | None = None
        self._trips: set[asyncio.Task[None]] = set()
        self._asked = 0
        self._in_doubt = False
        self._sent_before: set[Claim] = set()  # outcomes of these runs were sent, and the reply was lost
        self._opened = connection.opened
        self._sessions = dict.fromkeys(stores, 0)
        self._pause = SHORTEST_PAUSE
        self._away_since: float | None = None
        self._reserved: Store | None = None
        self._alone: Run | None = None
        self._suspects: list[Run] = []
        self._aside: dict[Store, list[tuple[Run, Outcome]]] = {}
        self._refusals = dict.fromkeys(stores, 0)
        self._healers: set[asyncio.Task[None]] = set()
        self._barred: set[Store] = set()
        self._holders: dict[Store, Holders] = {}

    def put(self, run: Run, outcome: Outcome | None) -> None:
        """Take an outcome along on the next trip."""
        if outcome is not None:
            if isinstance(outcome, Finished) and len(outcome.result) > LARGE_BYTES:
                self._put_large(run, outcome)
            else:
                self._aside.get(run.store, self._outbox).append((run, outcome))

            if isinstance(outcome, Interrupted) and not outcome.begun:  # it did not run: it counts for no limit
                self._count(-1)

        if outcome is None:
            self._note_end(run)

        self._signal.set()

    @property
    def is_reserved(self) -> bool:
        """Whether the worker runs a job that must run alone, or is to be empty for one: it wants no other jobs."""
        return self._reserved is not None

    def _put_large(self, run: Run, outcome: Outcome) -> None:
        if run.store in self._aside:
            self._aside[run.store].append((run, outcome))
        else:
            self._freight.put(run, outcome)

    def look(self) -> None:
        """There may be something to claim."""
        self._looking = True
        self._looks += 1
        self.idle.clear()
        self._signal.set()

    def begin_aside(self, store: Store) -> None:
        """A queue that is away when the worker starts is set aside from the beginning."""
        self._aside[store] = []

    def let_claim(self, stores: Sequence[Store], *, allowed: bool) -> None:
        """Claim of these queues again, or nothing of them any more: the worker does not keep its leases there."""
        if allowed:
            self._barred.difference_update(stores)
            self.look()
        else:
            self._barred.update(stores)

    async def may_be_left(self) -> bool:
        """Whether no job waits for a lost worker to be noticed; asks the server."""
        for store in self._stores:
            with suppress(ServerError):
                reply = await self._connection.call(store.duty.holders_command(self._worker))
                self._holders.setdefault(store, Holders()).look_at(read_holders(reply))

        return not self._must_stay()

    def may_claim(self, stores: Iterable[Store]) -> bool:
        """Whether the worker may claim of all these queues."""
        return self._barred.isdisjoint(stores)

    def stop(self) -> None:
        """Claim nothing more; outcomes are still taken along."""
        self.limits.claiming = False
        self._signal.set()

    async def run(self, executor: Executor) -> None:
        """Travel until everything is done that the limits ask for."""
        pace = Pace(executor.concurrency)
        self._opened = self._connection.opened

        for store in self._aside:
            self._heal_later(executor, store)

        freight = asyncio.get_running_loop().create_task(
            self._freight.run(self._note_end, partial(self._take_back, executor))
        )

        try:
            while not self._done(executor):
                try:
                    await self._step(executor, pace)
                except Exception:  # whatever it is: the whole worker rests on this loop
                    log.exception("the courier has met an error that nobody foresaw; it goes on")
                    self._in_doubt = self._looking = True
                    await asyncio.sleep(SHORTEST_PAUSE)
        finally:
            for task in (*self._trips, *self._healers, freight):
                task.cancel()

            await self._land()
            await asyncio.wait((freight,))

    async def _step(self, executor: Executor, pace: Pace) -> None:
        await self._wait(executor, pace)

        if self._in_doubt:
            await self._recover(executor)
        elif self._is_worth_a_trip(executor, pace):
            self._depart(executor, pace)

    def _done(self, executor: Executor) -> bool:
        if self._outbox or self._freight.waiting or executor.held or self._trips:
            return False

        if self._in_doubt and self.limits.claiming:
            return False

        hopeful = [outbox for store, outbox in self._aside.items() if not self._is_given_up(store)]

        if not self.limits.claiming or self.limits.jobs_left == 0:
            return not any(hopeful)

        return self.limits.burst and not self._looking and not hopeful and not self._must_stay()

    def _must_stay(self) -> bool:
        """Whether jobs may come yet: a worker that holds some may be dead; this one may claim none just now."""
        return bool(self._barred) or any(
            holders.are_in_doubt for store, holders in self._holders.items() if store not in self._aside
        )

    def _is_given_up(self, store: Store) -> bool:
        return self.limits.burst and self._refusals[store] >= REFUSALS

    def _wants(self, executor: Executor, pace: Pace) -> int:
        """How many jobs may be claimed now: none while more outcomes wait for a slow line than there are slots."""
        if not self.limits.claiming or len(self._outbox) + len(self._freight.waiting) > executor.concurrency:
            return 0

        room = executor.concurrency + pace.ahead - len(executor.held) - self._asked

        if self.limits.jobs_left is not None:
            room = min(room, self.limits.jobs_left - self._asked)

        return max(0, min(room, executor.concurrency, self._most))

    def _is_worth_a_trip(self, executor: Executor, pace: Pace) -> bool:
        """Whether there is an outcome to take along, or a reason to claim."""
        load = len(self._outbox) + (self._wants(executor, pace) if self._looking else 0)

        if not self._trips:
            return load > 0

        return len(self._trips) < FLIGHTS and 2 * load >= min(executor.concurrency, LOAD)

    async def _wait(self, executor: Executor, pace: Pace) -> None:
        while not (self._in_doubt or self._is_worth_a_trip(executor, pace) or self._done(executor)):
            self._signal.clear()

            if not self._trips and self._wants(executor, pace) and not self.is_reserved:
                self.idle.set()

            await self._signal.wait()
            self.idle.clear()

    def _depart(self, executor: Executor, pace: Pace) -> None:
        pace.note(executor.ended)
        outbox = self._load()
        wanted = self._wants(executor, pace)
        self._asked += wanted
        trip = own_task(self._travel(executor, outbox, wanted))
        self._trips.add(trip)
        trip.add_done_callback(partial(self._arrive, pace, time.monotonic()))

    def _load(self) -> list[tuple[Run, Outcome]]:
        """Take outcomes out for the next trip: the first one, and of the others those that fit in beside it."""
        room = LARGE_BYTES
        load: list[tuple[Run, Outcome]] = []
        rest: list[tuple[Run, Outcome]] = []

        for each in self._outbox:
            outcome = each[1]
            size = len(outcome.result if isinstance(outcome, Finished) else getattr(outcome, "error", ""))

            if not load or (size <= room and len(load) < LOAD):
                room -= size
                load.append(each)
            else:
                rest.append(each)

        self._outbox = rest

        return load

    def _arrive(self, pace: Pace, departed: float, trip: asyncio.Task[None]) -> None:
        self._trips.discard(trip)
        pace.note_trip(time.monotonic() - departed)
        self._signal.set()

        if self._connection.opened != self._opened:
            # The recorded end of a run may be forgotten, by a replica that has taken over, say. The job is pending
            # for this worker then, which does not run it, and lives: nobody else would take it back.
            self._in_doubt = True

        if not trip.cancelled() and trip.exception() is not None:
            log.error("a trip of the courier has met an error that nobody foresaw", exc_info=trip.exception())

    async def _travel(self, executor: Executor, outbox: list[tuple[Run, Outcome]], wanted: int) -> None:
        looks, missing = self._looks, wanted
        due_ms: list[int] = []

        try:
            for store in self._stores:
                mine = [each for each in outbox if each[0].store is store]
                is_open = store not in self._barred and self._reserved in (None, store)
                asks = missing if is_open else 0

                if store not in self._aside and (mine or asks):
                    others = self._asked - wanted  # what other trips have asked for
                    try:
                        taken, due = await self._visit(executor, store, mine, asks, others)
                    except ServerError as error:
                        self._sent_before.update(run.claim for run, _ in mine)
                        self._set_aside(executor, store, mine, error)
                    else:
                        self._refusals[store] = 0
                        missing -= taken
                        due_ms += due

                    outbox = [each for each in outbox if each[0].store is not store]

            self._pause = SHORTEST_PAUSE
            self._most = min(2 * self._most, LOAD)
        except BaseException as error:
            # The outcomes are kept; sent twice they are harmless, so nothing is lost and nothing doubled.
            self._outbox = outbox + self._outbox
            self._in_doubt = self._looking = True
            # The reply may have been too long for the line: the next claim brings fewer jobs.
            self._most = max(1, min(self._most, wanted) // 2) if wanted else self._most

            if not isinstance(error, ServerError):
                raise

            self._away_since = self._away_since or time.monotonic()
            log.warning("%s; trying again", error)
        else:
            for run, outcome in outbox:  # of a queue that another trip has set aside meanwhile
                self._aside.get(run.store, self._outbox).append((run, outcome))

            if wanted:
                self._conclude(looks, missing, due_ms)
        finally:
            self._asked -= wanted

    async def _visit(
        self, executor: Executor, store: Store, outbox: list[tuple[Run, Outcome]], wanted: int, others: int
    ) -> tuple[int, list[int]]:
        """One round trip to one queue. How many jobs it brought, and in how many ms to look again.

        others: how many jobs other trips have asked for.
        """
        pairs = store.duty.end_commands([(run.claim, outcome) for run, outcome in outbox])
        commands = [command for command, _ in pairs]

        if wanted:
            self._suspects = [run for run in self._suspects if not run.is_over]
            commands.append(
                store.duty.claim_command(
                    self._worker,
                    wanted,
                    self._sessions[store],
                    held=len(executor.held) + others,
                    suspects=len(self._suspects),
                    slots=executor.concurrency,
                )
            )

            if self.limits.burst:
                commands.append(store.duty.holders_command(self._worker))

        replies = await self._connection.calls(commands)
        report(store.queue, [claims for _, claims in pairs], replies, self._sent_before)

        if self._alone is not None and any(run is self._alone for run, _ in outbox):
            self._note_end(self._alone)

        if not wanted:
            return 0, []

        claims = store.duty.read_claims(replies[len(pairs)], self._worker)

        if claims.verdict == "missing":
            await self._rejoin(executor, store)

        again = {"paused": [PAUSED_MS], "missing": [0]}.get(claims.verdict, [])

        if self.limits.burst:
            # What a paused queue gets back would not be run, so nobody is waited for there.
            found = {} if claims.verdict == "paused" else read_holders(replies[-1])
            holders = self._holders.setdefault(store, Holders())
            holders.look_at(found)
            again += [HOLDERS_MS] if holders.are_in_doubt else []

        return self._take(executor, store, claims), [claims.due_in_ms, *again]

    def _take(self, executor: Executor, store: Store, claims: Claims) -> int:
        self._count(len(claims.jobs))
        # Another trip may have brought jobs since the claim was sent, of another queue: then these jobs go back.
        is_crowded = bool(executor.held) if claims.is_reserved else self._reserved not in (None, store)

        if self._reserved in (None, store) and (claims.verdict == "ok" or not executor.held):
            self._reserved = store if claims.is_reserved else None

        if claims.jobs:
            self._lost_claims.pop(store, None)
            runs = [executor.take(store, claim) for claim in claims.jobs]
            self._taken(runs)
            self._suspects += runs[: claims.suspects]
            self._alone = runs[0] if claims.is_reserved else self._alone

            for run in runs if is_crowded else ():
                executor.end(run, Cause.INTERRUPTED)

        return len(claims.jobs)

    def _count(self, jobs: int) -> None:
        self.claimed += jobs

        if self.limits.jobs_left is not None:
            self.limits.jobs_left -= jobs

    def _conclude(self, looks: int, missing: int, due_ms: list[int]) -> None:
        """Whether to look again at once: if all came that was asked for there may be more; else they are empty."""
        if missing <= 0:
            self._looking = True
        elif looks == self._looks:  # a token that came meanwhile may be for a job that this trip did not see
            self._looking = False

        waits = [ms / 1000 for ms in due_ms if ms >= 0]

        if self._due is not None:
            self._due.cancel()
            self._due = None

        if waits and not self._looking:
            # A millisecond more: the server counts whole ones, and must not be asked just before.
            self._due = asyncio.get_running_loop().call_later(min(*waits, LONGEST_WAIT) + 0.001, self.look)

    async def _land(self) -> None:
        if self._trips:
            await asyncio.wait(self._trips)

    async def _recover(self, executor: Executor) -> None:
        """After a trip that failed: wait for the others, and for a while; then find out what was claimed."""
        await self._land()
        await asyncio.sleep(self._pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
        self._pause = min(2 * self._pause, LONGEST_PAUSE)

        try:
            await self._resync(executor)
        except ServerError as error:
            log.warning("%s; trying again", error)
        else:
            self._tell_of_return()

    def _tell_of_return(self) -> None:
        if self._away_since is not None:
            seconds, self._away_since = time.monotonic() - self._away_since, None
            log.info("worker %s: the server answers again after %.1f s", self._worker, seconds)

    async def _rejoin(self, executor: Executor, store: Store) -> None:
        """The worker has no lease: it was away for too long, or the server has lost its data."""
        log.warning("worker %s has no lease on queue %s; it joins again", self._worker, store.queue)
        self._lapsed(store)
        await store.duty.join(self._worker, self._lease_ms, self._sessions[store])
        await self.audit(executor, store)

    async def audit(self, executor: Executor, store: Store) -> None:
        """End the runs whose claims are not valid any more."""
        runs = [run for run in executor.held if run.store is store]
        records = await store.reads.load([run.id for run in runs])

        for run, record in zip(runs, records, strict=True):
            if record is None or not record.is_claimed(run.claim.fence):
                cause = cause_of_loss(record)
                log.warning("a run of %s is ended: the job %s", run.named, cause.value)
                executor.end(run, cause)

    async def _resync(self, executor: Executor) -> None:
        """After a lost reply: jobs that were claimed for this worker without its knowing go back."""
        for store in [each for each in self._stores if each not in self._aside]:
            try:
                await self._resync_one(executor, store)
            except ServerError as error:
                self._set_aside(executor, store, [], error)

        self._in_doubt, self._opened = False, self._connection.opened

    async def _resync_one(self, executor: Executor, store: Store) -> None:
        lost = self._lost_claims.get(store)

        if lost is not None and lost.losses >= ATTEMPTS:
            await lost.fail(self._connection, store, self._worker)

        self._sessions[store] += 1
        held = [run.claim for run in executor.held if run.store is store]
        held += [run.claim for run, _ in self._unrecorded(store)]
        _, back, _ = await store.duty.reclaim(self._worker, held, self._sessions[store])

        if back:
            log.info("queue %s: %s of a lost reply went back", store.queue, count(len(back), "job"))

        if len(back) == 1:
            self._lost_claims[store] = LostClaim(back[0], 1 + (lost.losses if lost and lost.id == back[0] else 0))

        await self.audit(executor, store)

    def _set_aside(
        self, executor: Executor, store: Store, outbox: list[tuple[Run, Outcome]], error: ServerError
    ) -> None:
        """The server refuses the calls of a queue: let it wait for a while, and go on with the others.

        Raises:
            ServerUnreachable: it was no refusal, and all queues are on this server; then all of them wait.

        """
        if isinstance(error, ServerUnreachable) and not self._connection.is_cluster:
            raise error

        self._count_refusal(store, error)
        log.warning("queue %s is set aside, and tried again: %s", store.queue, error)
        is_new = store not in self._aside
        kept = self._aside.setdefault(store, [])
        # Outcomes are kept; sent twice they are harmless.
        kept += outbox + [each for each in self._outbox if each[0].store is store]
        self._outbox = [each for each in self._outbox if each[0].store is not store]
        self._ask_others_if_aside()

        if is_new:
            self._heal_later(executor, store)

    def _note_end(self, run: Run) -> None:
        """The server does not take the worker to have this job any more."""
        if run is self._alone:
            self._alone = None
            self._ask_others_if_aside()

        self._signal.set()

    def _ask_others_if_aside(self) -> None:
        """A queue that was set aside cannot say that the worker is not reserved any more."""
        if self._reserved in self._aside and self._alone is None:
            self._reserved = None
            self.look()

    def _unrecorded(self, store: Store) -> list[tuple[Run, Outcome]]:
        """The outcomes of a queue's runs that wait here."""
        waiting = (*self._outbox, *self._freight.waiting, *self._aside.get(store, ()))

        return [each for each in waiting if each[0].store is store]

    def _take_back(self, executor: Executor, run: Run, outcome: Outcome, error: ServerError) -> None:
        """The server does not take a large outcome: it goes as a small one, or waits with its queue."""
        if is_large(outcome):
            self._set_aside(executor, run.store, [(run, outcome)], error)
        else:
            self._aside.get(run.store, self._outbox).append((run, outcome))

        self._signal.set()

    def _count_refusal(self, store: Store, error: ServerError) -> None:
        """A server of a Cluster that is away comes back, or another one in its place: that is no refusal."""
        self._refusals[store] += not isinstance(error, ServerUnreachable)

    def _heal_later(self, executor: Executor, store: Store) -> None:
        healer = own_task(self._heal(executor, store))
        self._healers.add(healer)
        healer.add_done_callback(self._healers.discard)

    async def _heal(self, executor: Executor, store: Store) -> None:
        """Try a queue that was set aside, with growing pauses, until the server takes its calls again."""
        pause, since = SHORTEST_PAUSE, time.monotonic()

        while True:
            pause = min(2 * pause, LONGEST_PAUSE)
            await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - spreads a crowd, no secret
            await self._land()  # what another trip brings by now is known, and does not go back

            try:
                await self._resync_one(executor, store)
            except ServerError as error:
                self._count_refusal(store, error)
                self._signal.set()
                log.debug("queue %s stays aside: %s", store.queue, error)
            except Exception:  # it would stay aside for ever
                log.exception("queue %s stays aside: an error that nobody foresaw", store.queue)
            else:
                log.info("queue %s is served again after %.1f s", store.queue, time.monotonic() - since)

                for run, outcome in self._aside.pop(store):
                    if is_large(outcome):
                        self._freight.put(run, outcome)
                    else:
                        self._outbox.append((run, outcome))

                self.look()

                return
