"""Rules of the checker about what lists acts and jobs: the audit, and tags."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable

from aioq.values.audit import MOST_ENTRIES

from .history import Event
from .judging import Found, History, Violation, jobs, losses, lost
from .promises import is_brief


def told_once(history: History) -> Found:
    """I32. An act that was answered is in the audit once, if the server kept what it wrote; no other is there."""
    faults, rows = losses(history), defaultdict[tuple[str, str, str], list[Event]](list)

    for event in history:
        if event.kind == "told":
            rows[event.actor, event.name, event.job].append(event)

    for job, events in jobs(history).items():
        asked = [e for e in events if e.kind == "invoke" and e.actor]
        known = {(e.actor, e.name, job) for e in asked}

        for key in known:
            is_answered = any(e.kind == "ok" and e.name == key[1] for e in events)

            if len(rows[key]) > 1 or (is_answered and not rows[key] and not lost(events, faults)):
                yield Violation("I32", f"{len(rows[key])} rows of {key[0]}", tuple(events))

        if strange := [e for e in events if e.kind == "told" and (e.actor, e.name, job) not in known]:
            yield Violation("I32", "a row of what nobody has done", tuple(strange))

    for queue, count in Counter(e.queue for e in history if e.kind == "told").items():
        if count > MOST_ENTRIES:
            yield Violation("I32", f"{count} rows of queue {queue}", ())


def found_by_tags(history: History) -> Found:
    """I33. A job that is there is found by each of its tags, if the server kept what it wrote, and by no other."""
    faults = losses(history)

    for events in jobs(history).values():
        given = {tag for e in events if e.kind == "invoke" for tag in e.tags.split(",") if tag}
        found = {e.name for e in events if e.kind == "tagged"}
        is_there = any(e.kind == "final" for e in events) and not is_brief(events)

        if found - given:
            yield Violation("I33", f"found by {', '.join(sorted(found - given))}", tuple(events))

        if is_there and given - found and not lost(events, faults):
            yield Violation("I33", f"not found by {', '.join(sorted(given - found))}", tuple(events))


LISTS: tuple[Callable[[History], Found], ...] = (told_once, found_by_tags)
