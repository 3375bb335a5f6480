"""The other side of `process.py`: what runs in a process of a pool, from its settings to its end."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import sys
import threading
from contextlib import suppress
from functools import partial
from typing import Any

from aioq.pool.link import Link
from aioq.pool.process import USAGE_CODE
from aioq.pool.settings import ChildSettings
from aioq.values.errors import AioqError, InvalidInput
from aioq.worker.forks import forks
from aioq.worker.imports import check_modules, import_all
from aioq.worker.leaving import limited_exit
from aioq.worker.lines import Style, install
from aioq.worker.loading import load_all
from aioq.worker.main import Serves, run_to_end
from aioq.worker.signals import StopSignals, signals_interrupt
from aioq.worker.streams import drop_what_nobody_takes, open_standard_descriptors
from aioq.worker.worker import Worker

log = logging.getLogger("aioq.pool")

#: How often a process with a number of jobs checks whether it has claimed the last one, in seconds.
FULL_CHECK_S = 0.1


class Orders:
    """How far this process is to stop: as the pool says, and as signals say that somebody else has sent.

    A service manager may send a signal to the pool and to each of its processes. That is one stop, and not two.
    So the pool's orders and the signals are counted apart, and the higher number holds. The pool is heard on a
    thread: an import may block the event loop.

    Args:
        link: to the pool. When the pool has ended, that is an order to stop: nothing else would end this process.

    """

    def __init__(self, link: Link) -> None:
        self._link = link
        self._loop: asyncio.AbstractEventLoop | None = None
        self._worker: Worker | None = None
        self._level = 0
        self._signals = 0

    def start(self) -> None:
        """Begin to listen."""
        threading.Thread(target=self._listen, name="aioq-pool", daemon=True).start()

    def give_to(self, worker: Worker) -> None:
        """From now on, this worker obeys. Called on its event loop."""
        self._loop, self._worker = asyncio.get_running_loop(), worker

    def hear_signal(self, _: int) -> None:
        """A signal has come to this process. Called on the event loop."""
        self._signals += 1
        self._obey()

    def _listen(self) -> None:
        while (order := self._link.receive()) is not None:
            if isinstance(level := order.get("stop"), int):
                self._pass_on(level)

        log.warning("the pool of this process has ended; the process stops")
        self._pass_on(1)

    def _pass_on(self, level: int) -> None:
        if self._loop is None:
            os.kill(os.getpid(), signal.SIGTERM)  # nothing was claimed; it ends an import, too
        else:
            with suppress(RuntimeError):  # the loop is closed
                self._loop.call_soon_threadsafe(self._take, level)

    def _take(self, level: int) -> None:
        self._level = max(self._level, level)
        self._obey()

    def _obey(self) -> None:
        """Ask the worker for a stop until it has been asked as often as it is to be."""
        if self._worker is not None:
            for _ in range(max(self._level, self._signals) - self._worker.stops):
                self._worker.request_stop()


def main() -> None:
    """Run the process."""
    open_standard_descriptors()
    link = Link(int(sys.argv[1]))

    if (told := link.receive()) is None:  # the pool has ended
        sys.exit(1)

    settings = ChildSettings(**told)

    with limited_exit():
        drop_what_nobody_takes()
        install(Style(**settings.style))
        sys.exit(_run(link, settings))


def _run(link: Link, settings: ChildSettings) -> int:
    """Run the worker; the exit code."""
    orders = Orders(link)

    try:
        return run_to_end(partial(_serve, link, orders, settings))
    except AioqError as error:
        link.tell(error=str(error))

        return USAGE_CODE if isinstance(error, InvalidInput) else 1


async def _serve(link: Link, orders: Orders, settings: ChildSettings, serves: Serves) -> None:
    orders.start()
    options: dict[str, Any] = dict(settings.options)

    with signals_interrupt():
        import_all(check_modules(settings.imports))

        options |= load_all(settings.functions, {})

    worker = Worker(settings.queues, settings.url, **options)
    link.tell(worker=worker.name)  # before it joins a queue: what it holds is given back if it dies
    orders.give_to(worker)
    serves(worker.request_stop)  # never called: from here on, the orders hear the signals

    with forks.watched(signals=True), StopSignals(asyncio.get_running_loop(), orders.hear_signal) as signals:
        watches = [
            asyncio.create_task(signals.watch_handlers()),
            asyncio.create_task(_tell_when_full(link, worker, settings.limits["max_jobs"])),
        ]

        try:
            claimed = await worker.run(ready=partial(link.tell, serves=True), **settings.limits)
        finally:
            for watch in watches:
                watch.cancel()

    link.tell(claimed=claimed)


async def _tell_when_full(link: Link, worker: Worker, max_jobs: int | None) -> None:
    """Tell the pool when the worker has claimed all that it may, so that another process begins meanwhile."""
    if max_jobs is None:
        return

    while not worker.has_claimed_all:  # noqa: ASYNC110 - a claim must not cost a call for this
        await asyncio.sleep(FULL_CHECK_S)

    link.tell(full=True)
