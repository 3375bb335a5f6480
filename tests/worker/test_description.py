"""What a worker says of itself: numbers as they are now, and in which state it is."""

from __future__ import annotations

import os
from types import SimpleNamespace

import pytest

from aioq.values.distribution import VERSION
from aioq.worker.description import Description
from aioq.worker.heartbeat import BEATS_PER_DESCRIPTION


def described(*, running: int = 0, is_requested: bool = False, may_claim: bool = True) -> Description:
    slots = SimpleNamespace(running=running, concurrency=8, successful=5, failed=2)
    parts = (slots, SimpleNamespace(is_requested=is_requested), SimpleNamespace(may_claim=may_claim))

    return Description(*parts, SimpleNamespace(blocks=1, lag=0.1234, memory=52_500_000))


@pytest.mark.parametrize(
    ("now", "state"),
    [
        ({}, "idle"),
        ({"running": 1}, "busy"),
        ({"running": 1, "may_claim": False}, "lapsed"),
        ({"running": 1, "may_claim": False, "is_requested": True}, "stopping"),
    ],
)
def test_the_state_that_hinders_most_is_told(now: dict[str, object], state: str) -> None:
    assert described(**now).facts()["state"] == state


def test_the_numbers_are_those_of_now() -> None:
    description = described()
    first = description.facts()
    assert (first["pid"], first["version"], first["blocks"]) == (os.getpid(), VERSION, 1)
    assert (first["running"], first["concurrency"], first["successful"], first["failed"]) == (0, 8, 5, 2)
    assert (first["lag_ms"], first["memory"]) == (100, 50 * 2**20)  # rounded, so that they seldom change
    description._slots.successful, description._slots.running = 6, 3
    description._guard.lag = 0.09
    second = description.facts()
    assert second["lag_ms"] == 100  # it would make a description go out

    for _ in range(BEATS_PER_DESCRIPTION - 1):
        last = description.facts()
    assert (second["successful"], second["running"], second["state"]) == (6, 3, "busy")
    assert second["started_at"] == first["started_at"]
    assert last["lag_ms"] == 0
