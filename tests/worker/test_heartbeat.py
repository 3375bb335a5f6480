"""The figures of the heartbeat, which belong together, and its rhythm."""

from __future__ import annotations

import asyncio
import time

from aioq.store.store import Beat
from aioq.worker import heartbeat
from aioq.worker.heartbeat import AGAIN, INTERVAL, LEASE_MS, Heartbeat
from tests.tools import eventually


def test_one_beat_may_be_missed() -> None:
    assert 2 * INTERVAL < LEASE_MS / 1000


def test_an_outage_too_short_for_a_grace_leaves_every_worker_the_time_to_beat() -> None:
    """The grace is for silences of more than half a lease (beat.lua). The worst case is a worker that was about to
    beat when the server went away, and has just failed again when it comes back."""
    silence, margin = LEASE_MS / 2000, 0.05
    assert INTERVAL + silence + AGAIN + margin <= LEASE_MS / 1000


class SlowPulse:
    """Answers after a while, as over a long way, or to a process that stood still meanwhile."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self.sent: list[float] = []

    def beat(self, _: object) -> list[Beat]:
        self.sent.append(time.monotonic())
        time.sleep(self._seconds)

        return []

    def close(self) -> None:
        pass


async def test_the_next_beat_follows_the_last_one_and_not_its_answer(monkeypatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL", 0.4)
    pulse = SlowPulse(0.3)
    beating = Heartbeat(pulse, list, lambda _: None)
    beating.start()
    await eventually(lambda: len(pulse.sent) > 3)
    await asyncio.to_thread(beating.stop)
    pauses = [after - before for before, after in zip(pulse.sent, pulse.sent[1:], strict=False)]
    assert min(pauses) >= 0.4
    assert min(pauses) < 0.6  # with 0.3 for the answer it would be 0.7
