"""Stopping: why a worker comes to its end, and how.

A stop is asked for by a signal, by the application, when the worker was idle for too long, or when a thread that
it needs cannot be kept alive. A burst and a number of jobs are limits (see Limits), and the courier's loop ends by
itself when it reaches them.

A worker that is asked once stops warm: it claims nothing more, and running jobs have the shutdown timeout to end.
A worker that is asked again stops cold: running jobs are cancelled at once, and go back to their queues.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable

import anyio

from aioq.values.departed import FAILED, LIMIT, STOPPED
from aioq.values.numbers import count
from aioq.worker.courier import Courier
from aioq.worker.demand import Demand
from aioq.worker.settings import WorkerSettings
from aioq.worker.slots import Slots
from aioq.worker.telling import Telling

log = logging.getLogger("aioq.worker")

#: What leaving may take, whatever the server does: less than four seconds after the shutdown timeout. Runs that
#: were interrupted have DELIVERY_S to end and to be recorded. In the first half of LEAVING_S the worker tries to
#: record what is left, in the second half it signs off.
DELIVERY_S = 1.5
LEAVING_S = 2.0

#: The longest pause between two checks whether the worker is idle, in seconds.
IDLE_CHECK_S = 1.0


class Stopping:
    """The end of a worker, from the moment that it is asked for.

    Args:
        settings: what the worker was told.
        courier: claims nothing more then, and delivers the last outcomes.
        demand: tells how many jobs were claimed.
        slots: where jobs run.
        telling: writes what is left to tell of jobs to the log.
        end_loops: called when the worker is to go without having recorded everything.

    """

    def __init__(
        self,
        settings: WorkerSettings,
        courier: Courier,
        demand: Demand,
        slots: Slots,
        telling: Telling,
        end_loops: Callable[[], None],
    ) -> None:
        #: Why the worker ends although nobody has asked for it.
        self.failure: str | None = None
        #: The same for the list of workers that have left, one of values/departed.py.
        self.reason = STOPPED
        #: How often a stop was asked for.
        self.requests = 0
        self._settings = settings
        self._courier = courier
        self._demand = demand
        self._slots = slots
        self._telling = telling
        self._end_loops = end_loops
        self._requested, self._hurry = anyio.Event(), anyio.Event()
        self._joining = anyio.CancelScope()
        self._loop = asyncio.get_running_loop()

    @property
    def is_requested(self) -> bool:
        """Whether a stop was asked for."""
        return self._requested.is_set()

    def request(self, reason: str = STOPPED) -> None:
        """Stop claiming and let running jobs end; called again: hand them back at once.

        Args:
            reason: why, one of values/departed.py. Only the first one counts.

        """
        if not self.requests:
            self.reason = reason

        self.requests += 1
        self._joining.cancel()
        self._demand.stop()  # at once: a run that has been asked to stop before it began claims nothing

        if self._requested.is_set():
            self._hurry.set()
        else:
            self._tell_of_stop()

        self._requested.set()

    def note_done(self) -> None:
        """The courier has come to its end. If no stop was asked for, its limits are reached."""
        if not self.requests:
            self.reason = LIMIT

    def give_up(self, reason: str) -> None:
        """End in order, at once: a thread without which leases end cannot be kept alive. Called on any thread."""
        log.error("%s; worker %s ends and gives its jobs back", reason, self._settings.name)
        self._loop.call_soon_threadsafe(self._fail, reason)

    def joining(self) -> anyio.CancelScope:
        """A scope that a stop cancels: a server that the worker tries to join may be silent."""
        self._joining = anyio.CancelScope()

        return self._joining

    async def obey(self) -> None:
        """Wait until a stop is asked for, and let the courier's loop come to its end, or end it."""
        await self._requested.wait()
        self._slots.give_back()
        self._slots.ending.begin_shutdown(self._settings.shutdown_timeout)

        with anyio.move_on_after(self._settings.shutdown_timeout):
            await self._hurry.wait()

        self._slots.interrupt()
        # The server may be away; then the worker goes without having recorded everything.
        await self._slots.cleaned_up()
        await anyio.sleep(DELIVERY_S)
        self._end_loops()

    async def obey_max_idle_time(self) -> None:
        """Ask for a stop when the worker was idle for so long that it should end."""
        longest = self._settings.max_idle_time or 0
        busy_at, claimed, has_waited = time.monotonic(), 0, False

        while True:
            await anyio.sleep(min(IDLE_CHECK_S, longest / 4))

            if self._slots.held or self._demand.claimed != claimed:
                busy_at, claimed, has_waited = time.monotonic(), self._demand.claimed, False
            elif time.monotonic() - busy_at >= longest and await self._courier.may_be_left():
                if self._demand.may_bring_jobs and not has_waited:
                    has_waited = True  # until the next check: a job of a lost worker may have come back just now
                    continue

                self.request(LIMIT)

                return

    async def finish(self) -> None:
        """Record the last outcomes; hand back what still runs (only if the worker was cancelled)."""
        self._demand.limits.claiming = False
        self._telling.begin_stop()
        self._slots.interrupt()

        await self._slots.cleaned_up()

        with anyio.move_on_after(LEAVING_S / 2) as scope:
            await self._courier.run()

        if scope.cancelled_caught:
            log.error(
                "worker %s leaves with outcomes that it could not deliver; their jobs run again",
                self._settings.name,
            )

    def _fail(self, reason: str) -> None:
        if self.failure is None:
            self.failure = reason
            self.request(FAILED)
            self.request()

    def _tell_of_stop(self) -> None:
        name, running = self._settings.name, self._slots.running
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
                self._settings.shutdown_timeout,
                "; a second signal cancels them at once" if self._settings.signals else "",
            )
