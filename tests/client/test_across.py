"""A call that a thread makes on the event loop of another thread."""

from __future__ import annotations

import asyncio
import contextvars
import threading
import time
from collections.abc import Iterator

import pytest

from aioq.client.across import call_across, wake
from aioq.errors import WrongContext

VARIABLE = contextvars.ContextVar("VARIABLE", default="")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever)
    thread.start()
    yield loop

    if not loop.is_closed():
        loop.call_soon_threadsafe(loop.stop)
        thread.join()
        loop.close()


async def give(value: object) -> object:
    await asyncio.sleep(0)
    return value


def test_it_brings_the_value_and_has_the_callers_context(loop: asyncio.AbstractEventLoop) -> None:
    async def read() -> str:
        VARIABLE.set(VARIABLE.get() + "!")
        await asyncio.sleep(0)
        return VARIABLE.get()

    VARIABLE.set("here")
    assert call_across(loop, read) == "here!"
    assert VARIABLE.get() == "here"
    assert call_across(loop, give, value=5) == 5
    assert call_across(loop, give, None) is None


def test_it_raises_what_the_function_raises(loop: asyncio.AbstractEventLoop) -> None:
    async def fail(error: BaseException) -> None:
        raise error

    for error in (KeyError("a"), SystemExit(3), TimeoutError()):
        with pytest.raises(type(error)) as raised:
            call_across(loop, fail, error)
        assert raised.value is error

    assert call_across(loop, give, 1) == 1, "the loop goes on"


def test_it_does_not_use_a_task_factory_of_the_loop(loop: asyncio.AbstractEventLoop) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError

    loop.call_soon_threadsafe(loop.set_task_factory, broken)
    assert call_across(loop, give, 1) == 1


def test_a_loop_that_ends_ends_the_call(loop: asyncio.AbstractEventLoop) -> None:
    async def end() -> None:
        for task in asyncio.all_tasks():
            loop.call_soon(task.cancel)
        await asyncio.sleep(10)

    with pytest.raises(WrongContext, match="event loop that makes this call has ended"):
        call_across(loop, end)

    closed = asyncio.new_event_loop()
    closed.close()
    with pytest.raises(WrongContext, match="has ended"):
        call_across(closed, give, 1)


def test_a_thread_that_is_woken_in_vain_sleeps_on(loop: asyncio.AbstractEventLoop) -> None:
    found: list[object] = []
    event = asyncio.Event()

    async def wait() -> str:
        await event.wait()
        return "over"

    thread = threading.Thread(target=lambda: found.append(call_across(loop, wait)))
    thread.start()

    for _ in range(10):
        wake(thread.ident or 0)
        time.sleep(0.005)

    assert not found
    loop.call_soon_threadsafe(event.set)
    thread.join(10)
    assert found == ["over"]
    wake(thread.ident or 0)
