"""ThreadCall: a plain function on a thread, with a way to end one that takes too long."""

from __future__ import annotations

import ctypes
import threading
import time
from collections.abc import Callable, Mapping
from typing import Any

from aioq.client.across import wake
from aioq.client.plain import dropped, not_awaited
from aioq.values.errors import JobTimeout
from aioq.worker.forks import end_fork, forks

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


class RunEnded(BaseException):
    """Raised inside a job's thread when its run is ended; `except Exception` does not catch it."""


class RunTimedOut(RunEnded, JobTimeout):
    """The same at a timeout: `except JobTimeout` catches it, too. The result of the function does not count."""

    def __str__(self) -> str:
        return "the run took longer than its timeout"


class ThreadCall:
    """One call of a plain function, on whichever thread makes it.

    Args:
        func: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.

    """

    #: Calls to aioq that the function has made and not awaited, as texts.
    dropped: list[str]

    #: How long the function ran, in seconds; None: it has not ended, or was never called.
    seconds: float | None

    __slots__ = ("_args", "_func", "_is_over", "_kwargs", "_lock", "_thread", "dropped", "seconds")

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._func, self._args, self._kwargs = func, args, kwargs
        self.dropped = []
        self.seconds = None
        self._thread: int | None = None
        self._is_over = False
        self._lock = threading.Lock()

    def __call__(self) -> Any:
        began = time.monotonic()  # on this thread, because the event loop may be blocked when the function ends

        with self._lock:
            if self._is_over:  # the run was ended while the call was on its way to a thread
                raise RunEnded

            self._thread = threading.get_ident()

        try:
            dropped.set(self.dropped)  # in the context of this call alone
            result = self._func(*self._args, **self._kwargs)
        except BaseException as error:
            if forks.in_fork:
                end_fork(error)

            if self.dropped:
                error.add_note(not_awaited(self.dropped))

            raise
        else:
            if forks.in_fork:
                end_fork(None)

            return result
        finally:
            try:
                # Under the lock: an exception meant for this call must not reach the thread's next one.
                with self._lock:
                    self._thread = None
            finally:
                self._thread = None  # the exception arrived in between
                self.seconds = time.monotonic() - began

    @property
    def thread(self) -> int | None:
        """The number of the thread that runs the function; None: no thread does."""
        return self._thread

    def end(self, kind: type[RunEnded] = RunEnded) -> bool:
        """Raise an exception in the thread, at its next Python instruction. Code in C is not interrupted, but a
        wait of aioq.sync is.

        Args:
            kind: its class.

        Returns:
            Whether a thread runs the function.

        """
        with self._lock:
            self._is_over = True

            if self._thread is None:
                return False

            _raise_in_thread(ctypes.c_ulong(self._thread), ctypes.py_object(kind))
            wake(self._thread)  # it may wait for a call to the server

            return True
