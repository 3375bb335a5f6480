"""The figures of the heartbeat, which belong together."""

from __future__ import annotations

from aioq.worker.heartbeat import AGAIN, INTERVAL, LEASE_MS


def test_one_beat_may_be_missed() -> None:
    assert 2 * INTERVAL < LEASE_MS / 1000


def test_an_outage_too_short_for_a_grace_leaves_every_worker_the_time_to_beat() -> None:
    """The grace is for silences of more than half a lease (beat.lua). The worst case is a worker that was about to
    beat when the server went away, and has just failed again when it comes back."""
    silence, margin = LEASE_MS / 2000, 0.05
    assert INTERVAL + silence + AGAIN + margin <= LEASE_MS / 1000
