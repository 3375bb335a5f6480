"""Service: one stay of a worker at its server. It starts the loops in one task group and stops them in order."""

from __future__ import annotations

import logging
import os
import signal
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version

import anyio
from anyio import to_thread

from aioq.store import Connection, Fleet, Store
from aioq.store.pulse import Pulse
from aioq.store.script import Command
from aioq.store.server import read_evictions
from aioq.store.store import Beat
from aioq.values.allowlist import Allowlist
from aioq.values.errors import ServerError, ServerFull, ServerUnreachable
from aioq.worker.courier import Courier, Limits
from aioq.worker.executor import Executor
from aioq.worker.guard import Guard
from aioq.worker.heartbeat import LEASE_MS, Heartbeat
from aioq.worker.housekeeper import Reclaimer, Sweeper
from aioq.worker.run import Cause, Run
from aioq.worker.waker import Waker

log = logging.getLogger("aioq.worker")

#: What leaving may take, whatever the server does: less than four seconds after the shutdown timeout. Runs that
#: were interrupted have DELIVERY_S to end and to be recorded. In the first half of LEAVING_S the worker tries to
#: deliver what is left, in the second half it signs off.
DELIVERY_S = 1.5
LEAVING_S = 2.0

#: How many revoked claims are remembered, for those whose claim is still on its way here.
REVOKED = 1000


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


class Service:
    """A running worker.

    Args:
        connection: the worker's own.
        plan: what it was told.

    """

    def __init__(self, connection: Connection, plan: Plan) -> None:
        self._plan = plan
        self._connection = connection
        self._fleet = Fleet(connection)
        self._stores = [Store(connection, name) for name in plan.queues]
        self.courier = Courier(
            connection,
            self._stores,
            plan.name,
            LEASE_MS,
            Limits(burst=plan.burst, jobs_left=plan.max_jobs),
            self._on_taken,
        )
        self._executor = Executor(
            plan.concurrency, plan.result_ttl_ms, self.courier.put, plan.allow, plan.job_processes
        )
        self._guard = Guard(lambda: self._executor.held)
        self._revoked: dict[bytes, None] = {}
        # What goes to one server can travel together; in a Cluster, each queue may be on another one.
        self._groups = [[store] for store in self._stores] if connection.is_cluster else [self._stores]
        # A heartbeat for each. The worker's description goes with the first, which in a Cluster has nothing else.
        self._beating: list[list[Store]] = [*([[]] if connection.is_cluster else []), *self._groups]
        self._wakers = [Waker(connection, group, self.courier, self._executor) for group in self._groups]
        self._reclaimer = Reclaimer(self.courier.look)
        self._sweeper = Sweeper(self._stores)
        self._stopping, self._hurry = anyio.Event(), anyio.Event()
        self._joining = anyio.CancelScope()
        self._loops = anyio.create_task_group()
        self._started_ms = time.time_ns() // 1_000_000

    def request_stop(self) -> None:
        """Stop claiming and let running jobs end; called again: hand them back at once."""
        self._joining.cancel()

        if self._stopping.is_set():
            self._hurry.set()
        else:
            log.info(
                "worker %s stops; %d running jobs have %g seconds",
                self._plan.name,
                self._executor.running,
                self._plan.shutdown_timeout,
            )

        self._stopping.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Serve the queues until a stop is asked for, or the plan is fulfilled."""
        self._joining = anyio.CancelScope()

        with self._joining:
            await self._join()

        if self._joining.cancelled_caught:  # a stop was asked for: the server may be silent
            with anyio.move_on_after(LEAVING_S):
                async with anyio.create_task_group() as group:
                    for stores in self._beating:
                        group.start_soon(self._leave, stores)

            return

        heartbeats = self._heartbeats()

        async with self._loops:
            try:
                for heartbeat in heartbeats:
                    heartbeat.start()

                self._guard.start()
                self._start_loops()
                ready()
                await self.courier.run(self._executor)
            finally:
                # Shielded: what has ended is recorded and what runs is handed back, also if this is cancelled.
                with anyio.CancelScope(shield=True):
                    await self._farewell()
                    await self._executor.close()
                    await self._sign_off(heartbeats)

                self._loops.cancel_scope.cancel()

    def _start_loops(self) -> None:
        loops = [*(waker.run for waker in self._wakers), self._reclaimer.run, self._sweeper.run, self._obey_stop]

        if self._plan.signals:
            loops.append(self._obey_signals)

        if self._plan.max_idle_time is not None:
            loops.append(self._obey_idle)

        for loop in loops:
            self._loops.start_soon(loop)

    def _heartbeats(self) -> list[Heartbeat]:
        """One for each group of queues."""

        def describe() -> list[Command]:
            return self._fleet.worker_commands(self._plan.name, self._facts(), list(self._plan.queues))

        return [
            Heartbeat(
                Pulse(self._connection, group, self._plan.name, LEASE_MS),
                describe if group is self._beating[0] else list,
                partial(self._heard, group),
            )
            for group in self._beating
        ]

    # Coming and going

    async def _join(self) -> None:
        await self._connection.check_server()
        await self._fleet.sweep_workers()

        for store in self._stores:
            # When memory is full, jobs must still be run; a queue that has any is on the list already.
            with suppress(ServerFull):
                await store.register()

            await store.join(self._plan.name, LEASE_MS)

        await self._connection.listener.listen(
            f"{self._connection.shared.control}{self._plan.name}", self._told, self._audit_soon
        )
        log.info(
            "worker %s serves %s, %d jobs at once%s%s",
            self._plan.name,
            ", ".join(self._plan.queues),
            self._plan.concurrency,
            "; jobs must be signed" if self._connection.keyring else "",
            f"; it may run {' '.join(self._plan.allow.patterns)}" if self._plan.allow else "",
        )

        with suppress(ServerError):  # one that is away just now is the courier's to deal with
            for url, policy in await read_evictions(self._connection):
                log.warning(
                    "%s deletes jobs when its memory is full: set maxmemory-policy %s to noeviction", url, policy
                )

    async def _farewell(self) -> None:
        """Deliver the last outcomes; hand back what still runs (only if the worker was cancelled)."""
        self.courier.limits.claiming = False
        self._interrupt()

        with anyio.move_on_after(LEAVING_S / 2) as scope:
            await self.courier.run(self._executor)

        if scope.cancelled_caught:
            log.error(
                "worker %s leaves with outcomes that it could not deliver; their jobs run again", self._plan.name
            )

    async def _sign_off(self, heartbeats: Sequence[Heartbeat]) -> None:
        """Give up the leases, on all servers at the same time: one that is silent holds up none of the others."""
        with anyio.move_on_after(LEAVING_S / 2) as scope:
            async with anyio.create_task_group() as group:
                for heartbeat, stores in zip(heartbeats, self._beating, strict=True):
                    group.start_soon(self._end_beating, heartbeat, stores)

        if scope.cancelled_caught:
            log.warning("worker %s could not sign off: no answer; its lease ends by itself", self._plan.name)

        self._guard.stop()

    async def _end_beating(self, heartbeat: Heartbeat, stores: Sequence[Store]) -> None:
        await to_thread.run_sync(heartbeat.stop)  # no beat may renew a lease that was given up
        await self._leave(stores)

    async def _leave(self, stores: Sequence[Store]) -> None:
        """Give up the leases on queues of one server; with the first ones, the worker's description."""
        goodbyes: list[Callable[[str], Awaitable[object]]] = [store.leave for store in stores]

        if stores is self._beating[0]:
            goodbyes.append(self._fleet.remove_worker)

        for goodbye in goodbyes:
            try:
                await goodbye(self._plan.name)
            except ServerError as error:
                log.warning("worker %s could not sign off: %s; its lease ends by itself", self._plan.name, error)

                if isinstance(error, ServerUnreachable):
                    return

    def _interrupt(self) -> None:
        for run in list(self._executor.held):
            self._executor.end(run, Cause.INTERRUPTED)

    async def _obey_stop(self) -> None:
        await self._stopping.wait()
        self.courier.stop()
        self._executor.give_back()

        with anyio.move_on_after(self._plan.shutdown_timeout):
            await self._hurry.wait()

        self._interrupt()
        # The server may be away; then the worker goes without having delivered everything.
        await anyio.sleep(DELIVERY_S)
        self._loops.cancel_scope.cancel()

    async def _obey_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for _ in received:
                self.request_stop()

    async def _obey_idle(self) -> None:
        longest = self._plan.max_idle_time or 0
        busy_at, claimed = time.monotonic(), 0

        while True:
            await anyio.sleep(min(1.0, longest / 4))

            if self._executor.held or self.courier.claimed != claimed:
                busy_at, claimed = time.monotonic(), self.courier.claimed
            elif time.monotonic() - busy_at >= longest:
                self.request_stop()

                return

    # What this worker hears

    def _heard(self, stores: list[Store], beats: list[Beat]) -> None:
        self._reclaimer.heard(stores, beats)

        if any(beat.lapsed for beat in beats):
            log.warning("a lease of worker %s had ended; its runs are checked", self._plan.name)
            self._audit_soon()

    def _audit_soon(self) -> None:
        self._loops.start_soon(self._audit)

    async def _audit(self) -> None:
        for store in self._stores:
            try:
                await self.courier.audit(self._executor, store)
            except ServerError as error:
                log.debug("the runs of queue %s could not be checked: %s", store.queue, error)

    def _told(self, message: bytes) -> None:
        """A message on the control channel: `cancel <key of the job> <fence>`."""
        name = message.removeprefix(b"cancel ")

        for run in self._executor.held:
            if run.name == name:
                self._executor.end(run, Cause.DROPPED)

                return

        # The reply of its claim may still be on its way.
        self._revoked[name] = None

        if len(self._revoked) > REVOKED:
            del self._revoked[next(iter(self._revoked))]

    def _on_taken(self, taken: list[Run]) -> None:
        self._sweeper.working.set()

        if self._revoked:
            self._end_revoked(taken)

    def _end_revoked(self, taken: list[Run]) -> None:
        """End runs that were revoked before the reply of their claim has come."""
        for run in taken:
            if run.name in self._revoked:
                del self._revoked[run.name]
                self._executor.end(run, Cause.DROPPED)

    def _facts(self) -> dict[str, str | int]:
        """What `aioq info` shows of this worker. Called on the heartbeat's thread."""
        running = self._executor.running

        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "state": "stopping" if self._stopping.is_set() else "busy" if running else "idle",
            "running": running,
            "concurrency": self._plan.concurrency,
            "successful": self._executor.successful,
            "failed": self._executor.failed,
            "blocks": self._guard.blocks,
            "started_at": self._started_ms,
            "version": version("aioq"),
        }
