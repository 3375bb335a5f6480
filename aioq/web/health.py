"""Health: the one sentence on top of the overview, and what else deserves a look. It is made of what was read."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal, NamedTuple

from aioq.doctor import Setting
from aioq.store.sight import QueueSight
from aioq.values.errors import ServerError
from aioq.web.words import count, duration, milliseconds

Grade = Literal["bad", "warn", "note"]

#: The grades, the worst one first.
GRADES: tuple[Grade, ...] = ("bad", "warn", "note")


class Concern(NamedTuple):
    """Something that deserves a look.

    Args:
        grade: bad (jobs are lost or refused now), warn (jobs wait in vain) or note (somebody wanted it, or an
            accident may cost jobs).
        text: what it is, and what to do.
        path: the page that shows more; "" if there is none.

    """

    grade: Grade
    text: str
    path: str = ""


def concerns(
    sights: Sequence[QueueSight],
    settings: Sequence[Setting],
    away: Mapping[str, ServerError],
    now_ms: int,
) -> list[Concern]:
    """All that deserves a look, the worst first."""
    found = [*_of_server(settings, away), *(each for sight in sights for each in _of_queue(sight, now_ms))]

    return sorted(found, key=lambda each: GRADES.index(each.grade))


def headline(found: Sequence[Concern]) -> tuple[str, str]:
    """The word for how things stand, and its class."""
    worst = found[0].grade if found else "note"

    return {"bad": ("In danger", "bad"), "warn": ("Degraded", "warn"), "note": ("Healthy", "good")}[worst]


def _of_server(settings: Sequence[Setting], away: Mapping[str, ServerError]) -> Iterator[Concern]:
    for what, error in away.items():
        yield Concern("bad", f"{what} cannot be read: {error}")

    for setting in settings:
        if setting.level in ("warning", "problem"):
            name = f"{setting.name} is {setting.value}"
            where = f" on {setting.server}" if setting.server else ""
            grade: Grade = "bad" if setting.level == "problem" else "note"
            yield Concern(grade, f"{name}{where}. {setting.words}")


def _of_queue(sight: QueueSight, now_ms: int) -> Iterator[Concern]:
    info, path = sight.info, f"/queues/{sight.info.name}"
    waiting = info.counts.queued

    for worker in info.late_workers:
        text = f"Worker {worker} holds jobs of queue {info.name}, and its lease has ended."
        yield Concern("warn", f"{text} Others take them over soon.", path)

    if info.paused:
        told = info.pauses[-1].told()
        text = f"Queue {info.name} is {'suspended' if sight.pause is None else 'paused'}{told}"
        yield Concern(
            "note", f"{text}; {count(waiting, 'job')} in it {'waits' if waiting == 1 else 'wait'}.", path
        )
    elif waiting and not info.counts.workers:
        since = milliseconds(sight.next_up.enqueued_at) if sight.next_up is not None else 0
        long = f" for {duration(now_ms - since)}" if since else ""
        text = f"Queue {info.name} has waited{long}: no live worker serves it. Start one: aioq worker {info.name}"
        yield Concern("warn", text, path)
