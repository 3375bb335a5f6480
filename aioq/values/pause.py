"""Pause: why workers claim nothing from a queue, who said so, and for how long."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from aioq.values.durations import in_two_units
from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.summary import first_line, printable

#: The most characters of each.
MAX_REASON = 500
MAX_BY = 100

#: What is stored of a pause of which nothing is known but that it is there.
BARE = "1"


@dataclass(frozen=True, slots=True)
class Pause:
    """Why workers claim nothing from a queue.

    Args:
        everywhere: whether all workers are suspended, and not this queue alone is paused.
        reason: what was given as `reason`; None if nothing was.
        by: what was given as `by`; None if nothing was.
        left_ms: for how many ms more; None: until someone resumes it.

    """

    everywhere: bool
    reason: str | None = None
    by: str | None = None
    left_ms: int | None = None

    def told(self) -> str:
        """By whom, why, and for how long, as the end of a sentence; empty if none of it is known.

        Example:
            >>> Pause(False, "the disk is full", "ann", 60_000).told()
            ' by ann: the disk is full (1m left)'

        """
        by = "" if self.by is None else f" by {self.by}"
        reason = "" if self.reason is None else f": {self.reason}"
        left = "" if self.left_ms is None else f" ({in_two_units(self.left_ms / 1000)} left)"

        return f"{by}{reason}{left}"


def pack_pause(reason: str | None, by: str | None) -> str:
    """What is stored of a pause.

    Raises:
        InvalidType: one is no text.
        InvalidInput: one is empty, has several lines or characters that cannot be shown, or is too long.

    """
    given = {"reason": _checked(reason, "reason", MAX_REASON), "by": _checked(by, "by", MAX_BY)}
    told = {name: value for name, value in given.items() if value is not None}

    return json.dumps(told) if told else BARE


def read_pause(stored: bytes | None, left_ms: int, *, everywhere: bool) -> Pause | None:
    """A pause as it is stored; None: there is none. Whatever is stored, there is a pause.

    Args:
        stored: the value of the key.
        left_ms: for how many ms more the key is there, as PTTL tells it: -1 for ever.
        everywhere: as in Pause.

    """
    if stored is None:
        return None

    try:
        found: Any = json.loads(stored)
    except (ValueError, RecursionError):
        found = None

    told = found if isinstance(found, dict) else {}

    return Pause(
        everywhere,
        _shown(told.get("reason"), MAX_REASON),
        _shown(told.get("by"), MAX_BY),
        left_ms if left_ms >= 0 else None,
    )


def _checked(value: str | None, name: str, longest: int) -> str | None:
    if value is None:
        return None

    if not isinstance(value, str):
        raise InvalidType(f"{name}={value!r}: expected a text, not {type(value).__name__}")

    if not value.strip() or not value.isprintable() or len(value) > longest:
        raise InvalidInput(
            f"{name}={first_line(value, 50)!r}: expected one line of 1 to {longest} characters that can be shown"
        )

    return value


def _shown(value: object, longest: int) -> str | None:
    """A text that somebody has stored, as it can be shown."""
    return printable(first_line(value, longest)) if isinstance(value, str) and value.strip() else None
