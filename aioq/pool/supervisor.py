"""Supervisor: keeps the processes of a pool going, until a stop is asked for or they have done their work."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import anyio

from aioq.pool.place import Place
from aioq.pool.process import PoolProcess
from aioq.pool.reports import Reports
from aioq.pool.settings import PoolSettings
from aioq.values.distribution import NAME_AND_VERSION
from aioq.values.errors import InvalidInput, WorkerError
from aioq.values.sizes import shown_size
from aioq.worker.memory import resident

log = logging.getLogger("aioq.pool")

#: How often the memory of the processes is read, in seconds.
MEMORY_CHECK_S = 1.0

#: How long the end of the pool may take for reports that are left, in seconds.
REPORTS_S = 2.0


class Supervisor:
    """The loop of a pool. Whatever changes wakes it; then it looks at all places.

    Args:
        settings: what the pool was told.
        reports: tells the server of workers that have died.

    """

    def __init__(self, settings: PoolSettings, reports: Reports) -> None:
        self._settings = settings
        self._reports = reports
        self._changed = asyncio.Event()
        self._places = [
            Place(number, self._start, settings.max_jobs, settings.jobs_of_first(number), ends=settings.ends)
            for number in range(1, settings.processes + 1)
        ]
        self._generation = 0
        self._is_rolling = False
        self._rolling: Place | None = None
        self._stops = 0
        self._memory_at = 0.0
        self._living: set[PoolProcess] = set()
        self._serving: set[PoolProcess] = set()
        self._has_served = False
        self._failed_first: dict[int, PoolProcess] = {}

    @property
    def claimed(self) -> int:
        """How many jobs were claimed by processes that have ended in order."""
        return sum(place.claimed for place in self._places)

    def request_stop(self) -> None:
        """Stop all processes: running jobs may end; called again: they go back at once."""
        self._stops += 1

        if self._stops == 1:
            log.info("the pool stops, and with it %s", _processes(len(self._living)))

        for each in self._living:
            each.stop(min(self._stops, 2))

        self._changed.set()

    def request_restart(self) -> None:
        """Replace all processes, one after the other."""
        if self._stops:
            return

        log.info("the pool replaces its processes, one after the other")
        self._generation += 1
        self._is_rolling = True
        self._changed.set()

    async def run(self, ready: Callable[[], None]) -> None:
        """Keep the processes going.

        Args:
            ready: called when all serve.

        Raises:
            WorkerError: no process could begin.
            InvalidInput: the same, because of a value that can never be used.

        """
        settings = self._settings
        log.info(
            "%s: a pool of %s serves %s",
            NAME_AND_VERSION,
            _processes(settings.processes),
            ", ".join(settings.child.queues),
        )

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._reports.run)

            try:
                await self._keep_going(ready)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._end()
                    tasks.cancel_scope.cancel()
                    await self._reports.finish(REPORTS_S)

        self._raise_if_none_began()
        log.info("the pool has ended")

    async def _keep_going(self, ready: Callable[[], None]) -> None:
        is_ready = False

        while True:
            self._changed.clear()
            self._look()

            if self._is_done():
                break

            if not is_ready and len(self._serving) == len(self._places):
                is_ready = True
                ready()

            with anyio.move_on_after(self._pause()):
                await self._changed.wait()

    async def _end(self) -> None:
        """End what still runs, if the pool was cancelled."""
        if self._living:
            self.request_stop()
            self.request_stop()
            await self._keep_going(lambda: None)

    def _is_done(self) -> bool:
        return not self._living and (bool(self._stops) or all(place.is_finished for place in self._places))

    def _pause(self) -> float | None:
        """How long nothing is due, in seconds; None: until something changes."""
        starts = (place.waits_until for place in self._places)
        times = [each for each in (*starts, *(process.must_end_at for process in self._living)) if each]

        if self._settings.max_memory is not None:
            times.append(self._memory_at)

        return max(0.0, min(times) - time.monotonic()) if times else None

    def _look(self) -> None:
        now = time.monotonic()

        for each in list(self._living):
            self._look_at(each)

        for each in self._living:
            if each.must_end_at is not None and now >= each.must_end_at:
                log.error("process %d (pid %d) has not ended in time; it is killed", each.number, each.pid)
                each.kill()

        if self._settings.max_memory is not None and now >= self._memory_at:
            self._memory_at = now + MEMORY_CHECK_S
            self._check_memory(self._settings.max_memory)

        for place in self._places:
            place.step(may_start=not self._stops)

        self._go_on_rolling()

    # Single processes

    def _start(self, number: int, max_jobs: int | None) -> PoolProcess | None:
        """Start a process; None if the system allows none."""
        settings = self._settings
        patience = settings.stop_s, settings.hurried_s
        process = PoolProcess(number, self._generation, max_jobs, patience, self._changed.set)

        try:
            process.start(settings.child)
        except OSError as error:
            log.error("process %d could not be started: %s", number, error)  # noqa: TRY400 - the error says it

            return None

        self._living.add(process)
        log.debug("process %d has started: pid %d", number, process.pid)

        return process

    def _look_at(self, process: PoolProcess) -> None:
        """Note that a process serves now, or has ended."""
        if process.serves and process not in self._serving:
            self._note_serving(process)

        if process.has_ended:
            self._living.discard(process)
            self._serving.discard(process)
            self._note_end(process)

    def _note_serving(self, process: PoolProcess) -> None:
        limit = self._settings.max_memory

        if limit is not None and (size := resident(process.pid) or 0) > limit:
            process.refuse(
                f"max_memory={limit}: expected more than the {shown_size(size)} ({size} bytes) that a process has"
                " before its first job"
            )

            return

        self._serving.add(process)
        self._has_served = True
        log.info("process %d serves: pid %d, worker %s", process.number, process.pid, process.worker)

    def _note_end(self, process: PoolProcess) -> None:
        if process.worker and not process.ended_well:
            self._reports.put(process.worker)

        if process.ended_well:
            log.info("process %d (pid %d) has ended", process.number, process.pid)
        elif not self._stops:
            log.error("process %d (pid %d) %s", process.number, process.pid, process.end)

        if not self._has_served and process.could_not_begin:
            self._failed_first[process.number] = process

            if len(self._failed_first) == len(self._places) and not self._stops:
                self.request_stop()

    def _raise_if_none_began(self) -> None:
        if self._has_served or len(self._failed_first) < len(self._places):
            return

        process = self._failed_first[min(self._failed_first)]
        text = process.error or f"no process of the pool could begin: each {process.end}"

        raise InvalidInput(text) if process.was_misused else WorkerError(text)

    # Replacing

    def _check_memory(self, limit: int) -> None:
        for place in self._places:
            process = place.process

            if process not in self._serving or process is None or place.is_changing:
                continue

            if (size := resident(process.pid) or 0) > limit:
                place.replace(f"it has {shown_size(size)} of memory, more than {shown_size(limit)}")
                self._changed.set()

    def _go_on_rolling(self) -> None:
        """Replace the next process that is older than the last order to restart, one at a time."""
        if not self._is_rolling or (self._rolling is not None and self._rolling.is_changing):
            return

        if self._rolling is not None and self._rolling.has_failed_to_replace:
            log.error("the other processes are not replaced: the new one could not begin")
            self._is_rolling, self._rolling = False, None

            return

        old = [
            place
            for place in self._places
            if place.process is not None and place.process.generation < self._generation
        ]

        if not old:
            self._is_rolling, self._rolling = False, None
            log.info("the pool has replaced its processes")
        elif (place := next((each for each in old if not each.is_changing), None)) is not None:
            self._rolling = place
            place.replace("the pool restarts")
            self._changed.set()


def _processes(number: int) -> str:
    return "1 process" if number == 1 else f"{number:,} processes"
