"""Worker: builds the loops, starts them in one task group, and stops them in order."""

from __future__ import annotations

import logging
import os
import re
import secrets
import signal
import socket
import time
from collections.abc import Callable, Sequence
from importlib.metadata import version

import anyio

from aioq.client.queue import Queue
from aioq.store import Connection, Fleet, Server, Store
from aioq.store.pulse import Pulse
from aioq.store.store import Beat
from aioq.values.durations import Duration, retention_ms, to_ms
from aioq.values.errors import InvalidInput, ServerError
from aioq.values.ids import check_queue_name
from aioq.values.options import RESULT_TTL_MS
from aioq.values.outcome import Outcome
from aioq.worker.courier import Courier
from aioq.worker.executor import Executor
from aioq.worker.heartbeat import LEASE_MS, Heartbeat
from aioq.worker.housekeeper import Reclaimer, Sweeper
from aioq.worker.run import Cause, Run
from aioq.worker.waker import Waker

log = logging.getLogger("aioq.worker")

#: Jobs that a worker runs side by side, unless it is told otherwise.
CONCURRENCY = 100

#: How long running jobs may go on after a stop was asked for. Kubernetes kills after 30 seconds.
SHUTDOWN_TIMEOUT = 25.0

#: How long the last outcomes may take to reach a server that is away, in seconds.
FAREWELL = 10.0


class Worker:
    """Runs jobs of one or more queues, many at once, in one asyncio process.

    Args:
        queues: queues or their names, in the order in which they are served: a job of the first goes before all
            jobs of the second.
        connection: as for Queue; None: that of the first Queue, else the environment's URL.
        concurrency: how many jobs run side by side (default 100).
        name: the beginning of the worker's name (default: host and process id). A random end keeps two that
            were started with the same name apart.
        result_ttl: how long results are kept of jobs that do not say (default 500 s).
        shutdown_timeout: how long running jobs may go on after a stop was asked for (default 25 s); what is left
            then goes back to its queue, without using up an attempt.
        prefix: the first word of every key (default "aioq").

    Raises:
        InvalidInput: a value cannot be used.

    Example:
        >>> worker = Worker(["high", "low"], connection="redis://localhost:6379/0")  # doctest: +SKIP
        >>> await worker.run(burst=True)  # doctest: +SKIP

    """

    def __init__(
        self,
        queues: str | Queue | Sequence[str | Queue] = "default",
        connection: Server | Connection = None,
        *,
        concurrency: int = CONCURRENCY,
        name: str | None = None,
        result_ttl: Duration = RESULT_TTL_MS / 1000,
        shutdown_timeout: Duration = SHUTDOWN_TIMEOUT,
        prefix: str = "aioq",
    ) -> None:
        if isinstance(concurrency, bool) or not isinstance(concurrency, int) or concurrency < 1:
            raise InvalidInput(f"concurrency={concurrency!r}: expected a whole number of at least 1")

        listed = [queues] if isinstance(queues, str | Queue) else list(queues)
        first = next((each for each in listed if isinstance(each, Queue)), None)

        if connection is None and first is not None:
            connection = first.connection

        self.queue_names = list(
            dict.fromkeys(check_queue_name(each.name if isinstance(each, Queue) else each) for each in listed)
        )

        if not self.queue_names:
            raise InvalidInput("queues=[]: expected at least one queue")

        self.name = f"{_check_name(name)}.{secrets.token_hex(3)}"
        self.concurrency = concurrency
        self._server = connection
        self._prefix = prefix
        self._result_ttl_ms = retention_ms(result_ttl, "result_ttl")
        self._shutdown_timeout = to_ms(shutdown_timeout, "shutdown_timeout") / 1000
        self._started_ms = 0
        self._stopping: anyio.Event | None = None
        self._hurry: anyio.Event | None = None
        self._executor: Executor | None = None

    def request_stop(self) -> None:
        """Stop claiming and let running jobs end; called again: hand them back at once."""
        if self._stopping is None or self._hurry is None:
            raise RuntimeError("the worker does not run")

        if self._stopping.is_set():
            self._hurry.set()
        else:
            log.info("worker %s stops; running jobs have %g seconds", self.name, self._shutdown_timeout)

        self._stopping.set()

    async def run(
        self,
        *,
        burst: bool = False,
        max_jobs: int | None = None,
        max_idle_time: Duration | None = None,
        signals: bool = False,
        ready: Callable[[], None] | None = None,
    ) -> int:
        """Serve the queues until a stop is asked for.

        Args:
            burst: stop when the queues are empty and no job runs.
            max_jobs: stop after this many jobs.
            max_idle_time: stop after this long without a job.
            signals: let SIGINT and SIGTERM ask for a stop; a second one hurries it.
            ready: called when the worker serves its queues.

        Returns:
            How many jobs were claimed.

        Raises:
            ServerError: the server cannot be reached at the start, or refuses. Later the worker waits for it.

        """
        # A server that a URL names is opened for this run; the connection of a Queue stays its own.
        owned = not isinstance(self._server, Connection)
        source = (
            self._server if isinstance(self._server, Connection) else Connection(self._server, prefix=self._prefix)
        )
        connection = source.sibling()
        self._stopping, self._hurry = anyio.Event(), anyio.Event()
        self._started_ms = time.time_ns() // 1_000_000

        try:
            await connection.check_server()
            stores = [Store(connection, name) for name in self.queue_names]
            self._executor = executor = Executor(self.concurrency, self._result_ttl_ms, self._on_end)
            self._courier = courier = Courier(connection, stores, self.name, LEASE_MS)
            courier.limits.burst, courier.limits.jobs_left = burst, max_jobs
            await self._serve(connection, stores, executor, courier, _idle_s(max_idle_time), signals, ready)
        finally:
            await connection.aclose()

            if owned:
                await source.aclose()

        return courier.claimed

    async def _serve(
        self,
        connection: Connection,
        stores: list[Store],
        executor: Executor,
        courier: Courier,
        max_idle: float | None,
        signals: bool,
        ready: Callable[[], None] | None,
    ) -> None:
        fleet = Fleet(connection)
        await fleet.sweep_workers()

        for store in stores:
            await store.register()
            await store.join(self.name, LEASE_MS)

        reclaimer, self._sweeper = Reclaimer(stores), Sweeper(stores)
        waker = Waker(connection, stores, courier, executor)
        heartbeat = Heartbeat(
            Pulse(connection, stores, self.name, LEASE_MS),
            lambda: fleet.worker_commands(self.name, self._facts(), self.queue_names),
            lambda beats: self._heard(stores, reclaimer, beats),
        )
        await connection.listener.listen(
            f"{connection.shared.control}{self.name}", self._told, lambda: self._audit_soon(stores)
        )

        async with anyio.create_task_group() as loops:
            self._loops = loops
            heartbeat.start()

            try:
                for loop in (reclaimer.run, self._sweeper.run, waker.run, self._obey_stop):
                    loops.start_soon(loop)

                if signals:
                    loops.start_soon(self._obey_signals)

                if max_idle is not None:
                    loops.start_soon(self._obey_idle, max_idle)

                if ready is not None:
                    ready()

                await courier.run(executor)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._farewell(courier, executor)
                    heartbeat.stop()
                    loops.cancel_scope.cancel()
                    await self._leave(fleet, stores)

    # Stopping

    async def _obey_stop(self) -> None:
        assert self._stopping is not None and self._hurry is not None and self._executor is not None
        await self._stopping.wait()
        self._courier.limits.claiming = False
        self._courier.look()

        with anyio.move_on_after(self._shutdown_timeout):
            await self._hurry.wait()

        self._interrupt()

    async def _obey_signals(self) -> None:
        with anyio.open_signal_receiver(signal.SIGINT, signal.SIGTERM) as received:
            async for _ in received:
                self.request_stop()

    async def _obey_idle(self, longest: float) -> None:
        assert self._executor is not None
        last_busy, claimed = time.monotonic(), 0

        while True:
            await anyio.sleep(min(1.0, longest / 4))

            if self._executor.running or self._courier.claimed != claimed:
                last_busy, claimed = time.monotonic(), self._courier.claimed
            elif time.monotonic() - last_busy >= longest:
                log.info("worker %s was idle for %g seconds and stops", self.name, longest)
                self.request_stop()

                return

    def _interrupt(self) -> None:
        assert self._executor is not None

        for run in list(self._executor.running):
            self._executor.end(run, Cause.INTERRUPTED, cancels=1)

    async def _farewell(self, courier: Courier, executor: Executor) -> None:
        """Hand back what still runs (the worker was cancelled), and deliver the last outcomes."""
        courier.limits.claiming = False
        self._interrupt()

        with anyio.move_on_after(FAREWELL) as scope:
            await courier.run(executor)

        if scope.cancelled_caught:
            log.error("worker %s leaves with outcomes that it could not deliver; their jobs run again", self.name)

    async def _leave(self, fleet: Fleet, stores: list[Store]) -> None:
        try:
            for store in stores:
                await store.leave(self.name)

            await fleet.remove_worker(self.name)
        except ServerError as error:
            log.warning("worker %s could not sign off: %s; its leases end by themselves", self.name, error)

    # What others tell this worker

    def _on_end(self, run: Run, outcome: Outcome | None) -> None:
        self._courier.put(run, outcome)
        self._sweeper.ended.set()

    def _heard(self, stores: list[Store], reclaimer: Reclaimer, beats: list[Beat]) -> None:
        reclaimer.heard(beats)

        for store, beat in zip(stores, beats, strict=True):
            if beat.lapsed:
                log.warning("the lease of worker %s on queue %s had ended", self.name, store.queue)
                self._audit_soon([store])

    def _audit_soon(self, stores: list[Store]) -> None:
        for store in stores:
            self._loops.start_soon(self._audit, store)

    async def _audit(self, store: Store) -> None:
        assert self._executor is not None

        try:
            await self._courier.audit(self._executor, store)
        except ServerError as error:
            log.debug("the runs of queue %s could not be checked: %s", store.queue, error)

    def _told(self, message: bytes) -> None:
        """A message on the control channel: `cancel <id> <fence>`."""
        assert self._executor is not None
        verb, job_id, fence = message.decode().split(" ")

        for run in list(self._executor.running):
            if verb == "cancel" and run.id == job_id and run.claim.fence == int(fence):
                self._executor.end(run, Cause.DROPPED)

    def _facts(self) -> dict[str, str | int]:
        assert self._executor is not None and self._stopping is not None
        running = len(self._executor.running)
        state = "stopping" if self._stopping.is_set() else "busy" if running else "idle"

        return {
            "hostname": socket.gethostname(),
            "pid": os.getpid(),
            "state": state,
            "running": running,
            "concurrency": self.concurrency,
            "successful": self._executor.successful,
            "failed": self._executor.failed,
            "started_at": self._started_ms,
            "version": version("aioq"),
        }


def _check_name(name: str | None) -> str:
    if name is None:
        return f"{re.sub('[^A-Za-z0-9_-]', '-', socket.gethostname())[:40]}.{os.getpid()}"

    if not re.fullmatch(r"[A-Za-z0-9_.-]{1,100}", name):
        raise InvalidInput(f"name={name!r}: expected 1 to 100 of the characters A-Z a-z 0-9 _ . -")

    return name


def _idle_s(value: Duration | None) -> float | None:
    return None if value is None else to_ms(value, "max_idle_time") / 1000
