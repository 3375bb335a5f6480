"""Signals: a stop is heard whatever a job does to the signal handlers of its process."""

from __future__ import annotations

import asyncio
import logging
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any, Self

from aioq.values.errors import InvalidInput
from aioq.worker.forks import SIGNALS

log = logging.getLogger("aioq.worker")

#: How often the worker looks whether its handlers are still there, in seconds. It may miss a stop for so long.
HANDLERS_CHECK_S = 0.25


class StopSignals:
    """Hears SIGINT and SIGTERM while it is entered. A loop's own handlers are not used: any job can take them off.

    Args:
        loop: the event loop of this thread.
        heard: called on the loop with the number of each signal.
        numbers: the signals (default SIGINT and SIGTERM).

    Raises:
        InvalidInput: this is not the main thread, which alone can handle signals.

    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        heard: Callable[[int], None],
        numbers: Sequence[signal.Signals] = SIGNALS,
    ) -> None:
        if threading.current_thread() is not threading.main_thread():
            raise InvalidInput(
                "signals=True: expected the main thread, which alone can handle signals. Leave the option away,"
                " and call worker.request_stop()"
            )

        self._heard = heard
        self._loop = loop
        self._numbers = numbers
        self._handler = self._receive
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        self._before = {int(number): signal.signal(number, self._handler) for number in self._numbers}

        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            # None: it was not set by Python, and cannot be set again.
            signal.signal(number, signal.SIG_DFL if handler is None else handler)

    async def watch_handlers(self) -> None:
        """Put the handlers back whenever something else has taken their place."""
        while True:
            await asyncio.sleep(HANDLERS_CHECK_S)

            for number in self._numbers:
                if (found := signal.getsignal(number)) is not self._handler:
                    signal.signal(number, self._handler)
                    log.warning(
                        "a job, or a library that it has loaded, has put %s in the place of the worker's handler"
                        " for %s. The worker's is back, so that it hears when it is to stop",
                        _name(found),
                        number.name,
                    )

    def _receive(self, number: int, _: FrameType | None) -> None:
        with suppress(RuntimeError):  # the loop is closed
            self._loop.call_soon_threadsafe(self._heard, number)


@contextmanager
def signals_interrupt() -> Iterator[None]:
    """Let SIGINT and SIGTERM end at once what blocks the event loop meanwhile: an import, say. Main thread only.

    Raises:
        asyncio.CancelledError: one has come. The handlers that were there before have heard of it, too.

    """
    before = {number: signal.getsignal(number) for number in SIGNALS}

    def interrupt(number: int, frame: FrameType | None) -> None:
        if callable(handler := before[signal.Signals(number)]):
            handler(number, frame)

        raise _Interrupted

    try:
        for number in SIGNALS:
            signal.signal(number, interrupt)

        yield
    except _Interrupted:
        raise asyncio.CancelledError from None
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Interrupted(BaseException):
    """Raised by a signal's handler. No code that is interrupted knows it, so none handles it."""


def _name(handler: object) -> str:
    if isinstance(handler, signal.Handlers):
        return handler.name

    if getattr(handler, "__name__", "") == "_sighandler_noop":
        return "a handler of the event loop (loop.add_signal_handler)"

    module, name = getattr(handler, "__module__", None), getattr(handler, "__qualname__", None)

    return f"{module}.{name}" if module and name else repr(handler)
