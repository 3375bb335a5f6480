"""DepartedWorker: a worker that has left a queue: when, why, and what it held."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aioq.values.moments import moment_of

#: Why a worker that leaves in order does so, as it tells the queue; and what others tell of one that did not.
STOPPED, SIGNAL, LIMIT, FAILED = "stopped", "signal", "limit", "failed"
LOST, DIED = "lost", "died"

#: What each of these means, in words.
REASONS = {
    STOPPED: "it was asked to stop",
    SIGNAL: "a signal stopped it",
    LIMIT: "it was done: a burst, max_jobs or max_idle_time",
    FAILED: "a thread that it needs could not be kept alive",
    LOST: "its heartbeats ended: it was killed, stood still or was cut off",
    DIED: "its process has ended, as its pool saw",
}

#: How many workers a queue remembers, for how long in ms, and how many ids of the jobs that each held.
#: `lua/lib/departed.lua` repeats them.
MOST_DEPARTED, DEPARTED_MS, MOST_HELD = 1_000, 30 * 86_400_000, 20


@dataclass(frozen=True, slots=True)
class DepartedWorker:
    """A worker that has left a queue.

    Args:
        name: its name.
        left_at: when it left, by the server's clock; of a lost one, when its jobs were taken back.
        reason: "stopped", "signal", "limit" or "failed" of one that left in order; "lost" if its heartbeats
            ended; "died" if its pool saw the end of its process.
        held: how many jobs it held then.
        job_ids: the ids of these jobs, 20 at the most.

    """

    name: str
    left_at: datetime
    reason: str
    held: int
    job_ids: tuple[str, ...]


def read_departed(row: bytes, left_ms: float) -> DepartedWorker | None:
    """A worker as it is stored; None for what cannot be read."""
    try:
        found: Any = json.loads(row.decode(errors="backslashreplace"))
        name, reason, held, *ids = found

        return DepartedWorker(
            str(name), moment_of(str(int(left_ms))), str(reason), int(held), tuple(str(each) for each in ids)
        )
    except (ValueError, TypeError, RecursionError, OverflowError, OSError):
        return None
