"""A thread that the worker cannot do without is started again, or the worker is told that it cannot be."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Callable

import pytest

from aioq.worker import lasting
from aioq.worker.lasting import MOST_ENDS, LastingThread
from tests.tools import eventually_sync


class Body:
    """Counts its lives; each of them ends as it is told, or when the thread is stopped."""

    def __init__(self, end: Callable[[], object] | None = None) -> None:
        self.lives = 0
        self.reasons: list[str] = []
        self.thread = LastingThread("tested", self._live, self.reasons.append)
        self._end = end
        self._last: threading.Thread | None = None

    def _live(self) -> None:
        self.lives += 1
        self._last = threading.current_thread()

        if self._end is not None:
            self._end()
        else:
            while not self.thread.stopped.wait(0.005):
                pass

    def ended(self) -> bool:
        # A thread that ends is first taken off the list, and is alive for a moment more.
        is_listed = any(each.name == "tested" for each in threading.enumerate())

        return not is_listed and self._last is not None and not self._last.is_alive()


def _raise(error: BaseException) -> Callable[[], object]:
    def end() -> None:
        raise error

    return end


@pytest.mark.parametrize(
    "end",
    [
        _raise(ValueError("odd")),
        _raise(MemoryError()),
        _raise(SystemExit(3)),
        _raise(KeyboardInterrupt()),
        lambda: None,
    ],
    ids=["error", "memory", "exit", "interrupt", "returned"],
)
def test_whatever_ends_the_thread_it_is_started_again(end, caplog: pytest.LogCaptureFixture) -> None:
    body = Body(end)
    body.thread.start()
    eventually_sync(body.ended)
    body.thread.check()
    eventually_sync(lambda: body.lives == 2)

    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert "the thread tested has ended" in record.getMessage()


def test_a_thread_that_lives_is_left_alone_and_ends_when_it_is_stopped() -> None:
    body = Body()
    body.thread.check()  # not begun yet
    body.thread.start()

    for _ in range(10):
        body.thread.check()

    body.thread.stop()
    assert body.ended()
    body.thread.check()
    assert (body.lives, body.reasons) == (1, [])


def test_an_exception_from_outside_ends_one_life_only() -> None:
    body = Body()
    body.thread.start()
    eventually_sync(lambda: body.lives == 1)
    ident = next(each.ident for each in threading.enumerate() if each.name == "tested")
    assert ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit)) == 1
    eventually_sync(body.ended)
    body.thread.check()
    eventually_sync(lambda: body.lives == 2)
    body.thread.stop()


def test_a_thread_that_ends_again_and_again_is_given_up_once() -> None:
    body = Body(_raise(ValueError("odd")))
    body.thread.start()

    for _ in range(3 * MOST_ENDS):
        eventually_sync(body.ended)
        body.thread.check()

    (reason,) = body.reasons
    assert body.lives == MOST_ENDS
    assert "has ended 5 times within" in reason
    assert "ValueError('odd')" in reason


def test_ends_that_lie_far_apart_are_no_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(lasting, "ENDS_WITHIN_S", -1.0)
    body = Body(_raise(ValueError("odd")))
    body.thread.start()

    for _ in range(3 * MOST_ENDS):
        eventually_sync(body.ended)
        body.thread.check()

    eventually_sync(lambda: body.lives == 3 * MOST_ENDS + 1)
    assert body.reasons == []


def test_a_system_without_threads_is_a_reason_to_give_up(monkeypatch: pytest.MonkeyPatch) -> None:
    def start(_: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    body = Body(lambda: None)
    body.thread.start()
    eventually_sync(body.ended)
    monkeypatch.setattr(threading.Thread, "start", start)
    body.thread.check()
    (reason,) = body.reasons
    assert "cannot be started again (can't start new thread)" in reason
