"""Plain functions on threads, with a way to end one that takes too long."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Callable, Mapping
from typing import Any

_raise_in_thread = ctypes.pythonapi.PyThreadState_SetAsyncExc


class RunEnded(BaseException):
    """Raised inside a job's thread when its time is over; `except Exception` does not catch it."""


class ThreadCall:
    """One call of a plain function, on whichever thread runs it.

    Args:
        func: the function.
        args: its positional arguments.
        kwargs: its keyword arguments.

    """

    __slots__ = ("_args", "_func", "_kwargs", "_lock", "_thread")

    def __init__(self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        self._func, self._args, self._kwargs = func, args, kwargs
        self._thread: int | None = None
        self._lock = threading.Lock()

    def __call__(self) -> Any:
        self._thread = threading.get_ident()

        try:
            return self._func(*self._args, **self._kwargs)
        finally:
            # Under the lock: an exception meant for this call must not reach the thread's next one.
            with self._lock:
                self._thread = None

    def end(self) -> None:
        """Raise RunEnded in the thread, at its next Python instruction. Code in C is not interrupted."""
        with self._lock:
            if self._thread is not None:
                _raise_in_thread(ctypes.c_ulong(self._thread), ctypes.py_object(RunEnded))
