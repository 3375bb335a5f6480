"""Counts: how many jobs are in each state."""

from __future__ import annotations

from typing import NamedTuple


class Counts(NamedTuple):
    """How many jobs are in each state, and how many workers have a lease."""

    queued: int
    scheduled: int
    started: int
    finished: int
    failed: int
    canceled: int
    stopped: int
    expired: int
    workers: int
