from __future__ import annotations

import itertools
import signal
import socket
from collections.abc import Iterator

import pytest

from aioq.pool.child import Orders
from aioq.pool.link import Link, line
from tests.tools import eventually


class Worker:
    """A worker that only counts how often it was asked to stop."""

    def __init__(self) -> None:
        self.stops = 0

    def request_stop(self) -> None:
        self.stops += 1


@pytest.fixture
def ends() -> Iterator[tuple[socket.socket, Link]]:
    ours, theirs = socket.socketpair()
    link = Link(theirs.detach())
    yield ours, link
    ours.close()
    link._socket.close()


@pytest.mark.parametrize("order", sorted(set(itertools.permutations(["pool 1", "signal", "pool 1"]))))
async def test_a_stop_of_the_pool_and_a_signal_are_one_stop_in_any_order(
    ends: tuple[socket.socket, Link], order: tuple[str, ...]
) -> None:
    orders, worker = Orders(ends[1]), Worker()
    orders.give_to(worker)  # type: ignore[arg-type]

    for each in order:
        if each == "signal":
            orders.hear_signal(signal.SIGTERM)
        else:
            orders._take(1)

    assert worker.stops == 1
    orders.hear_signal(signal.SIGTERM)
    assert worker.stops == 2, "a second signal hurries it"


async def test_a_worker_that_stops_by_itself_is_not_hurried_by_the_first_order(
    ends: tuple[socket.socket, Link],
) -> None:
    orders, worker = Orders(ends[1]), Worker()
    orders.give_to(worker)  # type: ignore[arg-type]
    worker.request_stop()
    orders._take(1)
    assert worker.stops == 1
    orders._take(2)
    orders._take(1)
    assert worker.stops == 2


async def test_orders_are_heard_on_a_thread_until_the_pool_has_ended(
    ends: tuple[socket.socket, Link], caplog: pytest.LogCaptureFixture
) -> None:
    ours, link = ends
    orders, worker = Orders(link), Worker()
    orders.give_to(worker)  # type: ignore[arg-type]
    orders.start()
    ours.sendall(line({"nonsense": 5}) + line({"stop": "now"}))
    ours.close()
    await eventually(lambda: worker.stops == 1)
    assert "the pool of this process has ended" in caplog.text


async def test_a_process_that_imports_is_ended_by_a_signal(
    ends: tuple[socket.socket, Link], monkeypatch: pytest.MonkeyPatch
) -> None:
    sent: list[int] = []
    monkeypatch.setattr("os.kill", lambda pid, number: sent.append(number))
    ours, link = ends
    Orders(link).start()
    ours.sendall(line({"stop": 1}))
    await eventually(lambda: sent == [signal.SIGTERM])
    ours.close()  # while os.kill is replaced: the thread hears of this, too
    await eventually(lambda: len(sent) == 2)
