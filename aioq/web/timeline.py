"""Timeline: how a job has spent its time, as stretches and as a strip of SVG."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from aioq.values.record import JobRecord
from aioq.values.result import Result
from aioq.web.words import duration, milliseconds

#: The strip's width in its own units, and the least width of a stretch.
WIDTH, LEAST = 1000.0, 6.0

#: How runs end, as the timeline says it.
ENDS = {"finished": "finished", "abandoned": "its worker was lost", "interrupted": "its worker was shut down"}


class Stretch(NamedTuple):
    """A time that a job spent in one way.

    Args:
        kind: waited, scheduled, deferred or ran: its colour.
        words: what happened.
        from_ms, to_ms: from when to when, by the server's clock.
        end: how it ended: the state that a run came to; "" for a wait, "now" for what goes on.
        attempt: the number of the run, from 1; 0 for a wait.

    """

    kind: str
    words: str
    from_ms: int
    to_ms: int
    end: str = ""
    attempt: int = 0

    @property
    def took(self) -> str:
        return duration(self.to_ms - self.from_ms)


class Piece(NamedTuple):
    """A stretch as it is drawn."""

    x: float
    width: float
    stretch: Stretch


def stretches(record: JobRecord, status: str, runs: Sequence[Result], now_ms: int) -> list[Stretch]:
    """How a job has spent its time, from its first moment on.

    Args:
        record: the job.
        status: its state.
        runs: its earlier runs, the oldest first, and the last one if it has ended.
        now_ms: the moment by the server's clock.

    """
    at = milliseconds(record.created_at)
    found: list[Stretch] = []
    begun = [
        (milliseconds(run.started_at), milliseconds(run.ended_at), run.type) for run in runs if run.started_at
    ]

    for number, (started, ended, outcome) in enumerate(begun, 1):
        if at and started > at:
            found.append(Stretch("waited", "waited", at, started))

        at = max(started, ended)
        words = "ran" if outcome == "finished" else f"ran, {ENDS.get(outcome, outcome)}"
        found.append(Stretch("ran", words, started, at, outcome, number))

    if not at:
        return found

    return [*found, *_rest(record, status, at, now_ms, len(begun) + 1)]


def _rest(record: JobRecord, status: str, at: int, now_ms: int, number: int) -> list[Stretch]:
    """What came after the last run that has ended."""
    if status == "started":
        started = max(at, record.started_ms)

        return [
            *([Stretch("waited", "waited", at, started)] if started > at else []),
            Stretch("ran", "runs", started, max(started, now_ms), "now", number),
        ]

    if status == "scheduled":
        return [Stretch("scheduled", "waits for its moment", at, max(at, now_ms), "now")]

    if status == "deferred":
        return [Stretch("deferred", "waits for other jobs", at, max(at, now_ms), "now")]

    if status == "queued":
        return [Stretch("waited", "waits for a worker", at, max(at, now_ms), "now")]

    ended = record.ended_ms

    return [Stretch("waited", "waited", at, ended)] if ended > at + 1 else []


def pieces(found: Sequence[Stretch]) -> list[Piece]:
    """The stretches side by side. Short ones are drawn wider than they are, so that they can be seen."""
    total = sum(max(0, each.to_ms - each.from_ms) for each in found) or 1
    widths = [max(LEAST, WIDTH * max(0, each.to_ms - each.from_ms) / total) for each in found]
    scale = WIDTH / (sum(widths) or WIDTH)
    x, drawn = 0.0, []

    for each, width in zip(found, widths, strict=True):
        drawn.append(Piece(round(x, 1), round(width * scale, 1), each))
        x += width * scale

    return drawn


def told(found: Sequence[Stretch]) -> str:
    """The stretches in words, for whoever does not see the strip."""
    return ", ".join(f"{each.words} {each.took}" for each in found) or "nothing is known of its times"
