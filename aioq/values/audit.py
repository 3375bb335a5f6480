"""AuditEntry: who has done what to a queue, and when."""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, NamedTuple, get_args

from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.moments import moment_of
from aioq.values.summary import first_line, printable

#: How many rows a queue keeps, for how long in ms, and how many names of what an action concerned stand in one.
#: `lua/lib/audit.lua` repeats them.
MOST_ENTRIES, ENTRIES_MS, MOST_SUBJECTS = 10_000, 90 * 86_400_000, 20

#: The most characters of a name, and of each other text of a row.
MAX_BY, MAX_TEXT = 200, 500

#: Where an action came from: the command line, the dashboard, or a program.
Source = Literal["cli", "web", "code"]


class Actor(NamedTuple):
    """Who acts.

    Args:
        by: a name.
        source: where the action comes from.
        reason: why; "" if no reason was given.

    """

    by: str
    source: Source
    reason: str


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """What somebody has done to a queue or to its jobs.

    Args:
        at: when, by the server's clock; of what took several calls, the moment of the last one.
        by: the name that was given to `acting_as`.
        source: "cli", "web" or "code": where it came from.
        action: what: cancel, stop, requeue, delete, empty, pause, resume, suspend, resume_all, retry_budget, mute,
            unmute, repair.
        subjects: the ids of the jobs that it concerned (or the fingerprint), 20 at the most; none if it concerned
            the queue.
        count: how many there were.
        detail: more of it, such as the filter or the duration; "" if there is no more.
        reason: why; "" if no reason was given.

    """

    at: datetime
    by: str
    source: str
    action: str
    subjects: tuple[str, ...]
    count: int
    detail: str
    reason: str


def read_actor(by: str, source: Source, reason: str | None) -> Actor:
    """Who acts, checked.

    Raises:
        InvalidType: one is no text.
        InvalidInput: one is empty, has several lines or characters that cannot be shown, or is too long.

    """
    if source not in get_args(Source):
        raise InvalidInput(f"source={source!r}: expected one of {', '.join(get_args(Source))}")

    return Actor(checked_by(by, "by"), source, "" if reason is None else _checked(reason, "reason", MAX_TEXT))


def checked_by(by: str, name: str) -> str:
    """The name of whoever acts, checked. Raises as `read_actor`; name: what the error calls it."""
    return _checked(by, name, MAX_BY)


def pack_act(word: str, actor: Actor, action: str, detail: str = "", reason: str = "") -> str:
    """An act as scripts take it: a word that was made for it, and the text that `read_entry` reads."""
    told = [actor.by, actor.source, action, printable(detail)[:MAX_TEXT], reason or actor.reason]

    return f"{word} {json.dumps(told)}"


def read_entry(row: bytes, at_ms: float) -> AuditEntry | None:
    """A row as it is stored; None for what cannot be read."""
    try:
        head, _, rest = row.decode(errors="replace").partition("\n")
        found: Any = json.loads(head)
        told: Any = json.loads(rest)
        _, count, *subjects = found
        by, source, action, detail, reason = (printable(first_line(str(each), MAX_TEXT)) for each in told)

        return AuditEntry(
            at=moment_of(str(int(at_ms))),
            by=by,
            source=source,
            action=action,
            subjects=tuple(printable(str(each)) for each in subjects),
            count=int(count),
            detail=detail,
            reason=reason,
        )
    except (ValueError, TypeError, RecursionError, OverflowError, OSError):
        return None


def _checked(value: str, name: str, longest: int) -> str:
    if not isinstance(value, str):
        raise InvalidType(f"{name}={value!r}: expected a text, not {type(value).__name__}")

    if not value.strip() or not value.isprintable() or len(value) > longest:
        raise InvalidInput(
            f"{name}={first_line(value, 50)!r}: expected one line of 1 to {longest} characters that can be shown"
        )

    return value
