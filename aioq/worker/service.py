"""Service: one stay of a worker at its server. It starts the loops in one task group and stops them in order."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from aioq.store import Connection, Directory, Store
from aioq.store.net.command import Command
from aioq.values.allowlist import Allowlist
from aioq.values.beat import Beat
from aioq.values.distribution import NAME_AND_VERSION, VERSION, clash
from aioq.values.errors import ServerError, WorkerError
from aioq.values.numbers import count
from aioq.values.options import THREAD
from aioq.worker.courier import Courier, Limits
from aioq.worker.deadlock import Deadlock
from aioq.worker.ending import CANCEL_GRACE
from aioq.worker.executor import Executor
from aioq.worker.factory import TaskFactory
from aioq.worker.forks import forks
from aioq.worker.guard import Guard
from aioq.worker.heartbeat import LEASE_MS, Heartbeat
from aioq.worker.housekeeper import Reclaimer, Sweeper
from aioq.worker.joining import join_all, warn_of_evictions
from aioq.worker.leases import Leases
from aioq.worker.run import Cause, Run
from aioq.worker.signals import StopSignals
from aioq.worker.telling import Telling, tally
from aioq.worker.waker import Waker

log = logging.getLogger("aioq.worker")

Loop = Callable[[], Coroutine[Any, Any, None]]

#: What leaving may take, whatever the server does: less than four seconds after the shutdown timeout. Runs that
#: were interrupted have DELIVERY_S to end and to be recorded. In the first half of LEAVING_S the worker tries to
#: deliver what is left, in the second half it signs off.
DELIVERY_S = 1.5
LEAVING_S = 2.0

#: A loop that an unforeseen error has ended begins again after this pause, in seconds.
UNFORESEEN_PAUSE_S = 1.0

#: How many revoked claims are remembered, for those whose claim is still on its way here.
REVOKED = 1000

#: Why a run is to end, by the first word of a message.
_CAUSES = {b"canceled": Cause.CANCELED, b"stopped": Cause.STOPPED, b"deleted": Cause.DELETED}


@dataclass(frozen=True, slots=True)
class Plan:
    """What a worker was told to do."""

    name: str
    queues: tuple[str, ...]
    concurrency: int
    result_ttl_ms: int
    shutdown_timeout: float
    burst: bool
    max_jobs: int | None
    max_idle_time: float | None
    signals: bool
    allow: Allowlist | None = None
    job_processes: int = 1
    cancel_grace: float = CANCEL_GRACE
    log_jobs: bool = False
    executor: str = THREAD


class Service:
    """A running worker.

    Args:
        connection: the worker's own.
        plan: what it was told.

    """

    def __init__(self, connection: Connection, plan: Plan) -> None:
        self._plan = plan
        self._connection = connection
        self._fleet = Directory(connection)
        self._stores = [Store(connection, name) for name in plan.queues]
        self.courier = Courier(
            connection,
            self._stores,
            plan.name,
            LEASE_MS,
            Limits(burst=plan.burst, jobs_left=plan.max_jobs),
            self._on_taken,
            self._on_lapsed,
        )
        self._telling = Telling(log_jobs=plan.log_jobs)
        self._executor = Executor(
            plan.concurrency,
            plan.result_ttl_ms,
            self.courier.put,
            plan.allow,
            plan.job_processes,
            plan.cancel_grace,
            self._telling,
            plan.executor,
        )
        self._factory = TaskFactory()
        self._guard = Guard(lambda: self._executor.held, self._judge_health, self._give_up)
        self._revoked: dict[bytes, Cause] = {}
        # What goes to one server can travel together; in a Cluster, each queue may be on another one.
        self._groups = [[store] for store in self._stores] if connection.is_cluster else [self._stores]
        # A heartbeat for each. The worker's description goes with the first, which in a Cluster has nothing else.
        self._beating: list[list[Store]] = [*([[]] if connection.is_cluster else []), *self._groups]
        self._wakers = [Waker(connection, group, self.courier, self._executor) for group in self._groups]
        self._reclaimer = Reclaimer(self.courier.look)
        self._sweeper = Sweeper(self._stores)
        self._stopping, self._hurry = anyio.Event(), anyio.Event()
        self._is_audit_due = asyncio.Event()
        self._joining = anyio.CancelScope()
        self._loops = anyio.create_task_group()
        self._loop = asyncio.get_running_loop()
        self._heartbeats: list[tuple[Heartbeat, list[Store]]] = []
        self._failure: str | None = None
        # Read once: on a beat nothing may be read that could fail or take long.
        self._identity: dict[str, str | int] = {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "started_at": time.time_ns() // 1_000_000,
            "version": VERSION,
        }

    @property
    def tally(self) -> str:
        """What it has run, in words."""
        done, asked = self._executor, self._telling.asked

        return tally(done.ended, done.successful, done.failed - asked, asked)

    @property
    def may_claim(self) -> bool:
        """Whether the worker keeps its leases on all queues. Where it does not, it claims nothing."""
        return all(heartbeat.health.may_claim for heartbeat, _ in self._heartbeats)

    def request_stop(self) -> None:
        """Stop claiming and let running jobs end; called again: hand them back at once."""
        self._joining.cancel()

        if self._stopping.is_set():
            self._hurry.set()
        else:
            self._tell_of_stop()

        self._stopping.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the queues until a stop is asked for, or the plan is fulfilled.

        Raises:
            WorkerError: a thread that it needs has ended again and again. The jobs were given back.

        """
        heard = (
            StopSignals(asyncio.get_running_loop(), lambda _: self.request_stop()) if self._plan.signals else None
        )

        with forks.watched(signals=self._plan.signals):
            if not await self._has_joined():
                return

            if heard is None:
                await self._serve(ready, [])
            else:  # until here, whoever has started the worker has the signals
                with heard:
                    await self._serve(ready, [heard.keep])

    async def _serve(self, ready: Callable[[], None], loops: Sequence[Loop]) -> None:
        if (problem := clash()) is not None:
            log.warning("%s", problem)

        self._heartbeats = self._make_heartbeats()
        self._guard.watched = [heartbeat.thread for heartbeat, _ in self._heartbeats]

        async with self._loops:
            try:
                self._guard.start()

                for heartbeat, _ in self._heartbeats:
                    heartbeat.start()

                self._start_loops(loops)
                ready()
                await self.courier.run(self._executor)
            finally:
                # Shielded: what has ended is recorded and what runs is handed back, also if this is cancelled.
                with anyio.CancelScope(shield=True):
                    await self._farewell()
                    await self._executor.close()
                    self._telling.close(self._plan.name)
                    await self._sign_off()

                self._loops.cancel_scope.cancel()

        if self._failure is not None:
            raise WorkerError(f"worker {self._plan.name} has ended: {self._failure}")

    def _start_loops(self, others: Sequence[Loop]) -> None:
        loops: list[Loop] = [waker.run for waker in self._wakers]
        loops += [
            self._reclaimer.run,
            self._sweeper.run,
            self._audit,
            self._obey_stop,
            partial(warn_of_evictions, self._connection),
        ]
        loops.append(self._telling.keep)
        loops += [Deadlock(self._executor, self._stores).watch, self._factory.keep, *others]

        if self._plan.max_idle_time is not None:
            loops.append(self._obey_idle)

        for loop in loops:
            self._loops.start_soon(_keep_up, loop)

    def _make_heartbeats(self) -> list[tuple[Heartbeat, list[Store]]]:
        """One for each group of queues, with the group."""

        def describe() -> list[Command]:
            return self._fleet.worker_commands(self._plan.name, self._facts(), list(self._plan.queues))

        return [
            (
                Heartbeat(
                    Leases(self._connection, group, self._plan.name, LEASE_MS),
                    describe if group is self._beating[0] else list,
                    partial(self._heard, group),
                    self._guard.awake,
                    self._give_up,
                ),
                group,
            )
            for group in self._beating
        ]

    # Coming and going

    async def _has_joined(self) -> bool:
        """Join all queues; False, if a stop was asked for meanwhile: the server may be silent."""
        self._joining = anyio.CancelScope()

        with self._joining:
            await self._join()

        if not self._joining.cancelled_caught:
            return True

        with anyio.move_on_after(LEAVING_S):
            async with anyio.create_task_group() as group:
                for stores in self._beating:
                    group.start_soon(self._leave, stores)

        return False

    async def _join(self) -> None:
        await self._connection.check_server()

        for store in await join_all(self._connection, self._fleet, self._stores, self._plan.name, LEASE_MS):
            self.courier.begin_aside(store)

        await self._connection.listener.listen(
            f"{self._connection.shared.control}{self._plan.name}", self._told, self._is_audit_due.set
        )
        log.info(
            "%s: worker %s serves %s at %s, %s at once%s; it may run %s",
            NAME_AND_VERSION,
            self._plan.name,
            ", ".join(self._plan.queues),
            self._connection.url,
            count(self._plan.concurrency, "job"),
            "; jobs must be signed" if self._connection.keyring else "",
            " ".join(self._plan.allow.patterns) if self._plan.allow else "every function",
        )

    async def _farewell(self) -> None:
        """Deliver the last outcomes; hand back what still runs (only if the worker was cancelled)."""
        self._factory.check()
        self.courier.limits.claiming = False
        self._telling.begin_stop()
        self._executor.interrupt()

        await self._executor.cleaned_up()

        with anyio.move_on_after(LEAVING_S / 2) as scope:
            await self.courier.run(self._executor)

        if scope.cancelled_caught:
            log.error(
                "worker %s leaves with outcomes that it could not deliver; their jobs run again", self._plan.name
            )

    async def _sign_off(self) -> None:
        """Give up the leases, on all servers at the same time: one that is silent holds up none of the others."""
        with anyio.move_on_after(LEAVING_S / 2) as scope:
            async with anyio.create_task_group() as group:
                for heartbeat, stores in self._heartbeats:
                    group.start_soon(self._end_beating, heartbeat, stores)

        if scope.cancelled_caught:
            log.warning("worker %s could not sign off: no answer; its lease ends by itself", self._plan.name)

        self._guard.stop()

    async def _end_beating(self, heartbeat: Heartbeat, stores: Sequence[Store]) -> None:
        await to_thread.run_sync(heartbeat.stop)  # no beat may renew a lease that was given up
        await self._leave(stores)

    async def _leave(self, stores: Sequence[Store]) -> None:
        """Give up the leases on queues of one server; with the first ones, the worker's description."""
        goodbyes: list[Callable[[str], Awaitable[object]]] = [store.duty.leave for store in stores]

        if stores is self._beating[0]:
            goodbyes.append(self._fleet.remove_worker)

        found = await asyncio.gather(*(each(self._plan.name) for each in goodbyes), return_exceptions=True)
        errors = {str(error): error for error in found if isinstance(error, BaseException)}

        for text, error in errors.items():
            if not isinstance(error, ServerError):
                raise error

            log.warning("worker %s could not sign off: %s; its lease ends by itself", self._plan.name, text)

    async def _obey_stop(self) -> None:
        await self._stopping.wait()
        self.courier.stop()
        self._executor.give_back()
        self._executor.ending.begin_shutdown(self._plan.shutdown_timeout)

        with anyio.move_on_after(self._plan.shutdown_timeout):
            await self._hurry.wait()

        self._executor.interrupt()
        # The server may be away; then the worker goes without having delivered everything.
        await self._executor.cleaned_up()
        await anyio.sleep(DELIVERY_S)
        self._loops.cancel_scope.cancel()

    def _tell_of_stop(self) -> None:
        name, running = self._plan.name, self._executor.running
        self._telling.begin_stop()

        if not running:
            log.info("worker %s stops; no job runs", name)
        else:
            log.log(
                # Where nobody has configured logging, Python prints warnings and what is worse.
                logging.INFO if log.hasHandlers() else logging.WARNING,
                "worker %s stops: it waits for %s, for %g s at the most%s",
                name,
                count(running, "running job"),
                self._plan.shutdown_timeout,
                "; a second signal cancels them at once" if self._plan.signals else "",
            )

    async def _obey_idle(self) -> None:
        longest = self._plan.max_idle_time or 0
        busy_at, claimed = time.monotonic(), 0

        while True:
            await anyio.sleep(min(1.0, longest / 4))

            if self._executor.held or self.courier.claimed != claimed:
                busy_at, claimed = time.monotonic(), self.courier.claimed
            elif time.monotonic() - busy_at >= longest and await self.courier.may_be_left():
                self.request_stop()

                return

    # What this worker hears

    def _heard(self, stores: list[Store], beats: list[Beat]) -> None:
        self._reclaimer.heard(stores, beats)
        self._judge_health()

        if any(beat.lapsed for beat in beats):
            log.warning("a lease of worker %s had ended; its runs are checked", self._plan.name)
            self._is_audit_due.set()

    def _on_lapsed(self, store: Store) -> None:
        for heartbeat, stores in self._heartbeats:
            if store in stores:
                heartbeat.health.lapsed()

        self._judge_health()

    def _judge_health(self) -> None:
        """Claim nothing where the worker does not keep its leases. Called several times a second."""
        for heartbeat, stores in self._heartbeats:
            health = heartbeat.health

            if not stores or self.courier.may_claim(stores) == health.may_claim:
                continue

            self.courier.let_claim(stores, allowed=health.may_claim)
            names, worker = ", ".join(store.queue for store in stores), self._plan.name

            if health.may_claim:
                log.info("worker %s keeps its leases again, and claims jobs of %s", worker, names)
            elif health.is_distrusted:
                log.error(
                    "worker %s has lost its lease twice within ten minutes, while it ran and others reached the"
                    " server. It claims nothing of %s until three heartbeats in a row have come in time",
                    worker,
                    names,
                )
            else:
                log.warning(
                    "no heartbeat of worker %s was answered for %.1f s; it claims nothing of %s until one is",
                    worker,
                    LEASE_MS / 1000,
                    names,
                )

    def _give_up(self, reason: str) -> None:
        """A thread without which leases end cannot be kept alive: end in order, at once. Called on any thread."""
        log.error("%s; worker %s ends and gives its jobs back", reason, self._plan.name)
        self._loop.call_soon_threadsafe(self._end_by, reason)

    def _end_by(self, reason: str) -> None:
        if self._failure is None:
            self._failure = reason
            self.request_stop()
            self.request_stop()

    async def _audit(self) -> None:
        """Check the runs when that is asked for. Callbacks ask: they run in no task, and so can start none."""
        while True:
            await self._is_audit_due.wait()
            self._is_audit_due.clear()

            for store in self._stores:
                try:
                    await self.courier.audit(self._executor, store)
                except ServerError as error:
                    log.debug("the runs of queue %s could not be checked: %s", store.queue, error)

    def _told(self, message: bytes) -> None:
        """A message on the control channel, such as `canceled <key of the job> <fence>`."""
        word, _, name = message.partition(b" ")
        cause = _CAUSES.get(word, Cause.LOST)

        for run in self._executor.held:
            if run.name == name:
                self._executor.end(run, cause)

                return

        # The reply of its claim may still be on its way.
        self._revoked[name] = cause

        if len(self._revoked) > REVOKED:
            del self._revoked[next(iter(self._revoked))]

    def _on_taken(self, taken: list[Run]) -> None:
        self._sweeper.working.set()

        if self._revoked:
            self._end_revoked(taken)

    def _end_revoked(self, taken: list[Run]) -> None:
        """End runs that were revoked before the reply of their claim has come."""
        for run in taken:
            if (cause := self._revoked.pop(run.name, None)) is not None:
                self._executor.end(run, cause)

    def _facts(self) -> dict[str, str | int]:
        """What `aioq info` shows of this worker. Called on the heartbeat's thread."""
        running = self._executor.running

        is_stopping = self._stopping.is_set()

        return {
            **self._identity,
            "state": "stopping"
            if is_stopping
            else "lapsed"
            if not self.may_claim
            else "busy"
            if running
            else "idle",
            "running": running,
            "concurrency": self._plan.concurrency,
            "successful": self._executor.successful,
            "failed": self._executor.failed,
            "blocks": self._guard.blocks,
        }


async def _keep_up(loop: Loop) -> None:
    """Run a loop that others rest on. What nobody foresaw is logged, and the loop begins again after a pause."""
    while True:
        try:
            await loop()
        except Exception:
            log.exception("%s: an error that nobody foresaw; it goes on", getattr(loop, "__qualname__", loop))
            await anyio.sleep(UNFORESEEN_PAUSE_S)
        else:
            return
