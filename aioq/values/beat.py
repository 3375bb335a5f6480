"""Beat: what a heartbeat brought."""

from __future__ import annotations

from typing import NamedTuple


class Beat(NamedTuple):
    """What a beat brought.

    lapsed: the lease had ended, and others have taken the jobs; next_end_ms: when another worker's lease ends (-1:
    there is none); lost: whose have ended; clock_ms: the server's clock (0: the queue did not answer).
    """

    lapsed: bool
    next_end_ms: int
    lost: list[str]
    clock_ms: int = 0
