"""Service: one stay of a worker at its server. It starts the loops in one task group and stops them in order."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import anyio

from aioq.store import Connection, Directory, Store
from aioq.values.departed import SIGNAL, STOPPED
from aioq.values.distribution import NAME_AND_VERSION, clash
from aioq.values.errors import ServerError, WorkerError
from aioq.values.numbers import count
from aioq.worker.call import Caller
from aioq.worker.control import Control
from aioq.worker.courier import Courier
from aioq.worker.deadlock import Deadlock
from aioq.worker.demand import Demand, Limits
from aioq.worker.dependencies import NO_OVERRIDES
from aioq.worker.description import Description
from aioq.worker.exception_handlers import ExceptionHandlers
from aioq.worker.factory import TaskFactory
from aioq.worker.forks import forks
from aioq.worker.guard import Guard
from aioq.worker.heartbeat import LEASE_MS
from aioq.worker.joining import join_all, warn_of_evictions
from aioq.worker.large_outcomes import LargeOutcomes
from aioq.worker.outcomes import Outcomes
from aioq.worker.presence import Presence
from aioq.worker.reclaimer import Reclaimer
from aioq.worker.recovery import audit
from aioq.worker.relaying import Relaying
from aioq.worker.route import Route
from aioq.worker.run import Run
from aioq.worker.settings import WorkerSettings
from aioq.worker.signals import StopSignals
from aioq.worker.slots import Slots
from aioq.worker.stopping import LEAVING_S, Stopping
from aioq.worker.stray import is_stray
from aioq.worker.sweeper import Sweeper
from aioq.worker.telling import Telling, tally
from aioq.worker.waker import Waker

log = logging.getLogger("aioq.worker")

Loop = Callable[[], Coroutine[Any, Any, None]]

#: A loop that an unforeseen error has ended begins again after this pause, in seconds.
UNFORESEEN_PAUSE_S = 1.0


class Service:
    """A running worker.

    Args:
        connection: the worker's own.
        settings: what it was told.

    """

    def __init__(self, connection: Connection, settings: WorkerSettings) -> None:
        self._settings = settings
        self._connection = connection
        self._directory = Directory(connection)
        self._routes = [
            Route(connection, Store(connection, name), settings.name, LEASE_MS) for name in settings.queues
        ]
        # What goes to one server can go together; in a Cluster, each queue may be on another one.
        self._groups = [[route] for route in self._routes] if connection.is_cluster else [self._routes]
        self._loops = anyio.create_task_group()
        self._factory = TaskFactory()
        self._telling = Telling(log_jobs=settings.log_jobs)
        self._is_audit_due = asyncio.Event()
        self._handlers: ExceptionHandlers | None = None
        self._make_parts()

    def _make_parts(self) -> None:
        """Make what the worker consists of. Each part knows those before it."""
        settings, connection = self._settings, self._connection
        code, tests = settings.user_code, settings.for_tests
        self.demand = Demand(settings.concurrency, Limits(burst=settings.burst, jobs_left=settings.max_jobs))
        outcomes = Outcomes(self._routes, self.demand, LargeOutcomes(connection.sibling()))
        self._caller = Caller(
            settings.concurrency,
            settings.result_ttl_ms,
            settings.allow,
            settings.job_processes,
            settings.executor,
            self._telling,
            code.middleware,
            code.process_lifespan,
            NO_OVERRIDES if tests is None else tests.overrides,
            settings.webhooks,
        )
        report = outcomes.put if tests is None else tests.first(outcomes.put)

        if code.exception_handlers:
            self._handlers = ExceptionHandlers(code.exception_handlers, report)
            report = self._handlers.report

        self.slots = Slots(
            settings.concurrency, self._caller.carry_out, report, settings.cancel_grace, self._telling
        )
        self._control = Control(self.slots)
        self._reclaimer = Reclaimer(self.demand.expect_jobs)
        stores = [route.store for route in self._routes]
        self._sweeper = Sweeper(stores)
        self._relaying = Relaying(stores, self.demand.expect_jobs)
        self._presence = Presence(
            connection,
            self._directory,
            self._groups,
            settings.name,
            self.demand,
            self._reclaimer,
            self._is_audit_due.set,
        )
        parts = (connection, self._routes, self.slots, outcomes, self.demand, settings.name)
        self.courier = Courier(*parts, self._on_received, self._presence.note_lapse, self._relaying)
        self._stopping = Stopping(
            settings, self.courier, self.demand, self.slots, self._telling, self._loops.cancel_scope.cancel
        )

    @property
    def tally(self) -> str:
        """What it has run, in words."""
        done, asked = self.slots, self._telling.asked

        return tally(done.ended, done.successful, done.failed - asked, asked)

    @property
    def stops(self) -> int:
        """How often a stop was asked for."""
        return self._stopping.requests

    def request_stop(self, reason: str = STOPPED) -> None:
        """Stop claiming and let running jobs end; called again: hand them back at once.

        Args:
            reason: why, one of values/departed.py.

        """
        self._stopping.request(reason)

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the queues until a stop is asked for, or the limits are reached.

        Raises:
            WorkerError: a thread that it needs has ended again and again. The jobs were given back.

        """
        signals = self._settings.signals
        heard = StopSignals(asyncio.get_running_loop(), lambda _: self.request_stop(SIGNAL)) if signals else None

        with forks.watched(signals=signals):
            if not await self._has_joined():
                return

            if heard is None:
                await self._serve(ready, [])
            else:  # until here, whoever has started the worker has the signals
                with heard:
                    await self._serve(ready, [heard.watch_handlers])

    async def _has_joined(self) -> bool:
        """Join all queues; False, if a stop was asked for meanwhile: the server may be silent."""
        with self._stopping.joining() as joining:
            await self._join()

        if joining.cancelled_caught:
            await self._presence.leave(LEAVING_S)

        return not joining.cancelled_caught

    async def _join(self) -> None:
        settings, connection = self._settings, self._connection
        await connection.check_server()
        stores = [route.store for route in self._routes]
        away = await join_all(connection, self._directory, stores, settings.name, LEASE_MS)

        for route in self._routes:
            if route.store in away:
                route.set_aside()

        await connection.listener.listen(
            f"{connection.shared.control}{settings.name}", self._control.receive, self._is_audit_due.set
        )
        log.info(
            "%s: worker %s serves %s at %s, %s at once%s; it may run %s",
            NAME_AND_VERSION,
            settings.name,
            ", ".join(settings.queues),
            connection.url,
            count(settings.concurrency, "job"),
            "; jobs must be signed" if connection.keyring else "",
            " ".join(settings.allow.patterns) if settings.allow else "every function",
        )

    async def _serve(self, ready: Callable[[], None], loops: Sequence[Loop]) -> None:
        if self._settings.for_tests is None and (problem := clash()) is not None:
            log.warning("%s", problem)

        presence, stopping = self._presence, self._stopping
        guard = Guard(lambda: self.slots.held, presence.judge, stopping.give_up)
        description = Description(
            self.slots, stopping, presence, guard, self._settings.schemas, self._settings.allow
        )
        presence.prepare(description.facts, guard.awake, stopping.give_up)
        guard.watched = presence.threads
        task = asyncio.current_task()
        canceled = task.cancelling() if task else 0

        async with self._loops:
            try:
                guard.start()
                presence.start()

                for loop in (*self._own_loops(), *loops):
                    self._loops.start_soon(_keep_up, loop)

                ready()
                await self.courier.run()
                stopping.note_done()
            finally:
                # Shielded: what has ended is recorded and what runs is handed back, also if this is cancelled.
                with anyio.CancelScope(shield=True):
                    self._factory.check()
                    await stopping.finish()
                    self.slots.close()

                    if self._handlers is not None:
                        await self._handlers.close(self._settings.cancel_grace)

                    await self._caller.close()
                    self._telling.close(self._settings.name)
                    await presence.sign_off(LEAVING_S / 2, stopping.reason)
                    guard.stop()

                self._loops.cancel_scope.cancel()

        if task is not None and task.cancelling() > canceled:  # older versions of anyio swallow it here
            raise asyncio.CancelledError

        if stopping.failure is not None:
            raise WorkerError(f"worker {self._settings.name} has ended: {stopping.failure}")

    def _own_loops(self) -> list[Loop]:
        """The loops beside the courier's."""
        stores = [route.store for route in self._routes]
        loops: list[Loop] = [
            *(Waker(self._connection, group, self.demand, self.slots).run for group in self._groups),
            self._reclaimer.run,
            self._sweeper.run,
            self._relaying.run,
            self._audit,
            self._stopping.obey,
            partial(warn_of_evictions, self._connection),
            self._telling.run,
            Deadlock(self.slots, stores).watch,
            self._factory.watch,
        ]

        if self._settings.max_idle_time is not None:
            loops.append(self._stopping.obey_max_idle_time)

        return loops

    async def _audit(self) -> None:
        """Check the runs when that is asked for. Callbacks ask: they run in no task, and so can start none."""
        while True:
            await self._is_audit_due.wait()
            self._is_audit_due.clear()

            for route in self._routes:
                try:
                    await audit(route, self.slots)
                except ServerError as error:
                    log.debug("the runs of queue %s could not be checked: %s", route.store.queue, error)

    def _on_received(self, runs: list[Run]) -> None:
        self._sweeper.working.set()
        self._control.end_revoked(runs)


async def _keep_up(loop: Loop) -> None:
    """Run a loop that others rest on. What nobody foresaw is logged, and the loop begins again after a pause."""
    while True:
        try:
            await loop()
        except BaseException as error:
            if not isinstance(error, Exception) and not is_stray(error):
                raise

            log.exception("%s: an error that nobody foresaw; it goes on", getattr(loop, "__qualname__", loop))
            await anyio.sleep(UNFORESEEN_PAUSE_S)
        else:
            return
