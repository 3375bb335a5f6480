"""Across: a call that a thread makes on the event loop of another thread. It sleeps until the call is over."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable, Coroutine
from contextlib import suppress
from contextvars import copy_context
from queue import SimpleQueue
from threading import get_ident, main_thread
from typing import Any, Generic, NamedTuple, ParamSpec, TypeVar

from aioq.values.errors import WrongContext

T = TypeVar("T")
P = ParamSpec("P")
Loop = asyncio.AbstractEventLoop


class _Answer(NamedTuple):
    """What has become of a call: the value, or what it has raised."""

    value: Any
    error: BaseException | None


#: For each thread that sleeps here: where its answer comes. None wakes it, and is no answer.
_sleepers: dict[int, SimpleQueue[_Answer | None]] = {}


class _Call(Generic[T]):
    """One call, from its thread to the event loop and back.

    Args:
        loop: the event loop.
        begin: calls the coroutine function; it is called on the loop.

    """

    __slots__ = ("_begin", "_loop", "_task", "answers")

    def __init__(self, loop: Loop, begin: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self.answers: SimpleQueue[_Answer | None] = SimpleQueue()
        self._loop = loop
        self._begin = begin
        self._task: asyncio.Task[None] | None = None

    def send(self) -> None:
        """Let the loop begin with the call, in a copy of this thread's context. Raises WrongContext."""
        try:
            self._loop.call_soon_threadsafe(self._start, context=copy_context())
        except RuntimeError:
            raise _ended() from None

    def give_up(self) -> None:
        """Nobody waits any longer: cancel what still runs of it."""
        with suppress(RuntimeError):  # the loop has ended, and its tasks with it
            self._loop.call_soon_threadsafe(self._cancel)

    def _start(self) -> None:
        # A task factory that the loop may have is for the code of others.
        if sys.version_info >= (3, 12):
            self._task = asyncio.Task(self._carry_out(), loop=self._loop, eager_start=True)
        else:
            self._task = asyncio.Task(self._carry_out(), loop=self._loop)

    def _cancel(self) -> None:
        if self._task is not None:
            self._task.cancel()

    async def _carry_out(self) -> None:
        try:
            value = await self._begin()
        except asyncio.CancelledError as error:
            # After the end of the main thread there are only daemon threads. They sleep until they are stopped.
            if main_thread().is_alive():
                self.answers.put(_Answer(None, error))
        except BaseException as error:  # noqa: BLE001 - it is raised where the call was made
            self.answers.put(_Answer(None, error))
        else:
            self.answers.put(_Answer(value, None))


def call_across(
    loop: Loop, function: Callable[P, Coroutine[Any, Any, T]], /, *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call a coroutine function on an event loop of another thread, and wait for what it returns.

    Whatever ends the wait, such as a KeyboardInterrupt, also cancels the call.

    Args:
        loop: the event loop. It must run, or be about to.
        function: it is called on the loop, in a copy of this thread's context.
        args: what it is called with, by position.
        kwargs: what it is called with, by name.

    Raises:
        WrongContext: the event loop has ended, or this process was forked meanwhile.
        Others: what the function raises.

    """
    call: _Call[T] = _Call(loop, lambda: function(*args, **kwargs))
    thread = get_ident()
    outer = _sleepers.get(thread)  # that of a call in which a signal handler has come here
    _sleepers[thread] = call.answers

    try:
        call.send()

        while (answer := call.answers.get()) is None:
            pass  # an exception was set for this thread, and is raised here
    except BaseException:
        call.give_up()

        raise
    finally:
        if outer is None:
            _sleepers.pop(thread, None)
        else:
            _sleepers[thread] = outer

    if answer.error is None:
        value: T = answer.value

        return value

    error = _ended() if isinstance(answer.error, asyncio.CancelledError) else answer.error

    try:
        raise error
    finally:
        del answer, error, call  # they lead to this frame, and it to them


def wake(thread: int) -> None:
    """Wake a thread that sleeps in `call_across`, so that an exception that was set for it is raised.

    Args:
        thread: its number, as `threading.get_ident` gives it.

    """
    if (answers := _sleepers.get(thread)) is not None:
        answers.put(None)


def _ended() -> WrongContext:
    return WrongContext("the event loop that makes this call has ended, and with it the call")


def _after_fork() -> None:
    """In the child there is only the thread that has forked. If it sleeps, a signal handler has forked."""
    error = WrongContext("this process was forked during the call; the call goes on in the parent")

    for answers in list(_sleepers.values()):
        answers.put(_Answer(None, error))

    _sleepers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
