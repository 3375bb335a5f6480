"""Courier: records outcomes and claims jobs, both in one round trip.

While a round trip is under way, runs go on and end. Their outcomes go with the next one. So the size of the
batches follows the pace of jobs and server, and there is no timer. When outcomes and claims for half of the slots
wait, a second round trip begins before the first one is back: server and worker then work at the same time.
A round trip is bounded in bytes, too, and large outcomes go by a connection of their own: on a slow line, small
outcomes and claims do not wait for them.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from aioq.store import Connection, Store
from aioq.store.duty import read_holders
from aioq.store.net.command import Command
from aioq.values.claim import Claim, Claims
from aioq.values.errors import ServerError
from aioq.worker.demand import JOBS_PER_ROUND_TRIP, Demand
from aioq.worker.large_outcomes import report_refused
from aioq.worker.outcomes import Outcomes
from aioq.worker.recovery import Recovery, audit
from aioq.worker.relaying import Relaying
from aioq.worker.route import SHORTEST_PAUSE_S, Ended, Route, jobs_may_come
from aioq.worker.run import Cause, Run, own_task
from aioq.worker.slots import Slots
from aioq.worker.stray import is_stray

log = logging.getLogger("aioq.worker")

#: How many round trips may be under way at the same time.
ROUND_TRIPS_AT_ONCE = 2

#: How soon a worker asks a queue again that is paused, in ms; it notices at once that the queue is resumed.
PAUSED_QUEUE_WAIT_MS = 1000

#: How soon a burst that is done asks again whether other workers that hold jobs are alive, in ms.
HOLDERS_CHECK_MS = 300


def _nothing(_: object) -> None:
    pass


class Courier:
    """The only loop of a worker that claims and records.

    Args:
        connection: the worker's own, impatient one: it must know when a reply may have been lost.
        routes: the queues, in the order in which they are served.
        slots: where jobs run.
        outcomes: what runs came to.
        demand: how much to claim, and when.
        worker: the worker's name.
        received: called with runs whose claims have just come.
        lapsed: called with a queue on which the worker turns out to have no lease.
        relaying: is told of rows for other queues; a burst waits until they have been carried on. None: nobody.

    """

    def __init__(
        self,
        connection: Connection,
        routes: Sequence[Route],
        slots: Slots,
        outcomes: Outcomes,
        demand: Demand,
        worker: str,
        received: Callable[[list[Run]], None] = _nothing,
        lapsed: Callable[[Route], None] = _nothing,
        relaying: Relaying | None = None,
    ) -> None:
        self._connection = connection
        self._routes = routes
        self._slots = slots
        self._outcomes = outcomes
        self._demand = demand
        self._worker = worker
        self._received = received
        self._lapsed = lapsed
        self._relaying = relaying
        self._under_way: set[asyncio.Task[None]] = set()
        self._sent_before: set[Claim] = set()  # outcomes of these runs were sent, and the reply was lost
        self._recovery = Recovery(connection, routes, slots, outcomes, demand, worker, self._all_received)

    async def run(self) -> None:
        """Send and receive until everything is done that the limits ask for."""
        self._recovery.begin()
        large = own_task(self._outcomes.large.run(self._on_large_recorded, self._recovery.refuse_large))

        try:
            while not self._is_done():
                try:
                    await self._turn()
                except BaseException as error:  # whatever it is: the whole worker rests on this loop
                    if not isinstance(error, Exception) and not is_stray(error):
                        raise

                    log.exception("the courier has met an error that nobody foresaw; it goes on")
                    self._recovery.in_doubt = self._demand.expects_jobs = True
                    await asyncio.sleep(SHORTEST_PAUSE_S)
        finally:
            for task in (*self._under_way, *self._recovery.healers, large):
                task.cancel()

            await self._all_received()
            await asyncio.wait((large,))

    async def may_be_left(self) -> bool:
        """Whether no job waits for a lost worker to be noticed; asks the server."""
        for route in self._routes:
            with suppress(ServerError):
                await route.ask_for_holders()

        return not jobs_may_come(self._routes)

    async def _turn(self) -> None:
        """Recover from a lost reply, or send what there is, or wait until something changes."""
        if self._recovery.in_doubt:
            await self._recovery.recover()
            return

        demand, outcomes, slots = self._demand, self._outcomes, self._slots
        wanted = demand.room(len(slots.held), len(outcomes.small) + len(outcomes.large.waiting))
        ready = len(outcomes.small) + (wanted if demand.expects_jobs else 0)

        if not self._under_way:
            is_worth_it = ready > 0
        else:
            enough = min(slots.concurrency, JOBS_PER_ROUND_TRIP)
            is_worth_it = len(self._under_way) < ROUND_TRIPS_AT_ONCE and 2 * ready >= enough

        if is_worth_it:
            self._send(wanted)
            return

        demand.changed.clear()

        if wanted and not self._under_way and demand.reserved_for is None:
            demand.idle.set()

        await demand.changed.wait()
        demand.idle.clear()

    def _is_done(self) -> bool:
        limits, outcomes = self._demand.limits, self._outcomes

        if self._under_way or self._slots.held or outcomes.small or outcomes.large.waiting:
            return False

        if limits.claiming and limits.jobs_left != 0:  # more jobs are wanted: only a burst is ever done
            return limits.burst and not self._recovery.in_doubt and self._is_burst_done()

        if self._recovery.in_doubt and limits.claiming:
            return False

        return not any(route.waiting and not route.is_given_up(burst=limits.burst) for route in self._routes)

    def _is_burst_done(self) -> bool:
        if self._demand.expects_jobs or jobs_may_come(self._routes):
            return False

        if self._relaying is not None and self._relaying.is_due:
            return False

        return all(not route.is_aside or route.is_given_up(burst=True) for route in self._routes)

    # A round trip

    def _send(self, wanted: int) -> None:
        """Begin a round trip with what waits; wanted: how many jobs it asks for."""
        self._demand.pace.note_ended(self._slots.ended)
        batch = self._outcomes.next_batch()
        self._demand.asked += wanted
        round_trip = own_task(self._round_trip(batch, wanted))
        self._under_way.add(round_trip)
        round_trip.add_done_callback(partial(self._on_received, time.monotonic()))

    def _on_received(self, sent_at: float, round_trip: asyncio.Task[None]) -> None:
        self._under_way.discard(round_trip)
        self._demand.pace.note_round_trip(time.monotonic() - sent_at)
        self._demand.changed.set()

        if self._connection.opened != self._recovery.opened:
            # Another server may answer: a replica that has taken over, say. It may not know that a run has ended.
            # Then the job is pending for this worker, which lives and does not run it.
            self._recovery.in_doubt = True

        if not round_trip.cancelled() and (error := round_trip.exception()) is not None:
            log.error("a round trip of the courier has met an error that nobody foresaw", exc_info=error)

    async def _round_trip(self, batch: dict[Store, list[Ended]], wanted: int) -> None:
        """Record outcomes and claim jobs, one queue after the other."""
        demand = self._demand
        hints, missing = demand.hints, wanted
        due_ms: list[int] = []

        try:
            for route in self._routes:
                mine = batch.get(route.store, [])
                is_open = not route.is_barred and demand.reserved_for in (None, route)
                asked = missing if is_open else 0

                if route.waiting is None and (mine or asked):
                    others = demand.asked - wanted  # how many jobs other round trips have asked for

                    try:
                        received, due = await self._exchange(route, mine, asked, others)
                    except ServerError as error:
                        self._sent_before.update(run.claim for run, _ in mine)
                        self._recovery.set_aside(route, mine, error)
                    else:
                        route.refusals = 0
                        missing -= received
                        due_ms += due

                    batch.pop(route.store, None)

            self._recovery.pause_s = SHORTEST_PAUSE_S
            demand.claim_limit = min(2 * demand.claim_limit, JOBS_PER_ROUND_TRIP)
        except BaseException as error:
            # The outcomes are kept. Sent twice they are harmless, so nothing is lost and nothing doubled.
            demand.ask_for_fewer(wanted)
            self._recovery.note_lost_reply(error)

            if not isinstance(error, ServerError):
                raise
        else:
            if wanted:
                demand.conclude(hints, missing, due_ms)
        finally:
            demand.asked -= wanted

            if batch:  # the reply is lost, or another round trip has set their queue aside meanwhile
                self._outcomes.put_back(batch)

    async def _exchange(
        self, route: Route, ended: list[Ended], wanted: int, others: int
    ) -> tuple[int, Sequence[int]]:
        """Exchange outcomes for claims with one queue. How many jobs came, and in how many ms to ask again.

        others: how many jobs other round trips have asked for.
        """
        duty, demand = route.store.duty, self._demand
        commands: list[Command] = []
        covered: list[list[Claim]] = []

        if ended:
            for command, claims in duty.end_commands([(run.claim, outcome) for run, outcome in ended]):
                commands.append(command)
                covered.append(claims)

        if wanted:
            held, suspects = len(self._slots.held) + others, demand.suspects
            commands.append(
                duty.claim_command(
                    self._worker, wanted, route.session, held=held, suspects=suspects, slots=demand.concurrency
                )
            )

            if demand.limits.burst:
                commands.append(duty.holders_command(self._worker))

        replies = await self._connection.calls(commands)

        if ended:
            stale = report_refused(route.store.queue, covered, replies, self._sent_before)
            route.figures.note_recorded(ended, stale)
            if demand.alone is not None:
                for run, _ in ended:
                    demand.note_recorded(run)

        if not wanted:
            return 0, ()

        received = duty.read_claims(replies[len(covered)], self._worker)
        due_ms = [received.due_in_ms]

        if received.verdict != "ok" or demand.limits.burst:
            due_ms += await self._reasons_to_ask_again(route, received.verdict, replies[-1])

        self._receive(route, received)

        return len(received.jobs), due_ms

    async def _reasons_to_ask_again(self, route: Route, verdict: str, last_reply: Any) -> list[int]:
        """In how many ms to ask a queue again that gives no jobs, or that a burst must not leave yet."""
        due_ms = []

        if verdict == "missing":  # the worker was away for too long, or the server has lost its data
            log.warning("worker %s has no lease on queue %s; it joins again", self._worker, route.store.queue)
            self._lapsed(route)
            await route.join()
            await audit(route, self._slots)
            due_ms.append(0)
        elif verdict == "paused":
            due_ms.append(PAUSED_QUEUE_WAIT_MS)

        if self._demand.limits.burst:
            # What a paused queue gets back would not be run, so nobody is waited for there.
            route.holders.note({} if verdict == "paused" else read_holders(last_reply))

            if route.holders.are_in_doubt:
                due_ms.append(HOLDERS_CHECK_MS)

        return due_ms

    def _receive(self, route: Route, claims: Claims) -> None:
        """Let the jobs of a claim run."""
        slots, demand = self._slots, self._demand
        route.figures.note_claims(claims)
        # Since the claim was sent, another round trip may have brought jobs of another queue: then these go back.
        is_crowded = bool(slots.held) if claims.is_reserved else demand.reserved_for not in (None, route)
        # Or the worker was asked to stop: it begins nothing more.
        goes_back = is_crowded or not demand.limits.claiming

        if demand.reserved_for in (None, route) and (claims.verdict == "ok" or not slots.held):
            demand.reserved_for = route if claims.is_reserved else None

        if claims.has_rows and self._relaying is not None:
            self._relaying.note_rows()

        if not claims.jobs:
            return

        demand.count(len(claims.jobs))
        route.lost_claim = None
        runs = [slots.take(route.store, claim) for claim in claims.jobs]
        self._received(runs)

        if claims.suspects or claims.is_reserved:
            demand.add_suspects(runs[: claims.suspects], alone=runs[0] if claims.is_reserved else None)

        if goes_back:
            for run in runs:
                slots.end(run, Cause.INTERRUPTED)

    async def _all_received(self) -> None:
        """Wait for the round trips that are under way."""
        if self._under_way:
            await asyncio.wait(self._under_way)

    # What becomes of large outcomes

    def _on_large_recorded(self, run: Run, recorded: Sequence[Ended]) -> None:
        self._demand.note_recorded(run)
        self._outcomes.routes[run.store].figures.note_recorded(recorded)

        if run.claim.record.callbacks:  # its end has made one, and this round trip has asked for nothing
            self._demand.expects_jobs = True

        self._demand.changed.set()

        if self._demand.limits.burst:  # a job may follow from it, and a burst waits for no token
            self._demand.expect_jobs()
