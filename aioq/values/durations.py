"""Durations: what users write, turned into whole milliseconds."""

from __future__ import annotations

import re
from datetime import timedelta

from aioq.values.errors import InvalidInput, InvalidType, TimeoutFormatError

#: What a duration may be: seconds, a timedelta, or a text such as "43", "90s", "1h30m", "2d".
Duration = int | float | str | timedelta

#: "For ever" and "no limit", as RQ writes it.
FOREVER = -1

#: A hundred years: no duration is longer, so that every moment that follows from one can be told as a date.
LONGEST_MS = 36_500 * 86_400_000

_PART = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|[smhdw])", re.IGNORECASE | re.ASCII)
_TEXT = re.compile(r"(?:\d+(?:\.\d+)?\s*(?:ms|[smhdw])\s*)+", re.IGNORECASE | re.ASCII)
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?", re.ASCII)
_MINUS_ONE = -1_000
_UNIT_MS = {"ms": 1, "s": 1_000, "m": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}


def to_ms(value: Duration, name: str) -> int:
    """A duration in milliseconds; a positive one is never rounded down to 0.

    Args:
        value: seconds (int or float), a timedelta, or a text such as "43", "1h30m", "2d", "250ms".
        name: what the value is for; it stands in the error.

    Raises:
        TimeoutFormatError: the text is not a duration, or it is longer than LONGEST_MS.
        InvalidType: the value is of another type (bool among them).

    Example:
        >>> to_ms("1h30m", "ttl")
        5400000

    """
    if isinstance(value, timedelta):
        seconds = value.total_seconds()
    elif isinstance(value, bool) or not isinstance(value, int | float | str):
        raise InvalidType(
            f'{name}={value!r}: expected seconds, a timedelta or a text such as "1h30m",'
            f" not {type(value).__name__}"
        )
    elif isinstance(value, str):
        seconds = _parse(value, name)
    else:
        seconds = value

    if not abs(seconds) <= LONGEST_MS / 1000:  # in this form it refuses nan, too
        raise TimeoutFormatError(f"{name}={_short(value)}: expected a duration of at most 100 years")

    return _round(seconds * 1000)


def positive_ms(value: Duration, name: str) -> int:
    """As `to_ms`, and greater than 0."""
    ms = to_ms(value, name)

    if ms <= 0:
        raise InvalidInput(f"{name}={value!r}: expected a duration greater than 0")

    return ms


def limit_ms(value: Duration, name: str) -> int:
    """As `positive_ms`, or FOREVER for -1: a timeout that may be switched off."""
    if to_ms(value, name) == _MINUS_ONE:
        return FOREVER

    return positive_ms(value, name)


def retention_ms(value: Duration, name: str) -> int:
    """How long to keep something: 0 (not at all), FOREVER for -1, or a positive duration."""
    ms = to_ms(value, name)

    if ms == _MINUS_ONE:
        return FOREVER

    if ms < 0:
        raise InvalidInput(f"{name}={value!r}: expected 0 (delete at once), -1 (keep for ever) or more than 0")

    return ms


def waiting_ms(value: Duration, name: str) -> int:
    """How long to wait: 0 (ask once), or a positive duration."""
    ms = to_ms(value, name)

    if ms < 0:
        raise InvalidInput(f"{name}={value!r}: expected 0 (ask once) or a duration of more than 0")

    return ms


def pause_ms(value: Duration, name: str) -> int:
    """How long to pause before something: 0 (not at all), or a positive duration."""
    ms = to_ms(value, name)

    if ms < 0:
        raise InvalidInput(f"{name}={value!r}: expected a duration of 0 or more")

    return ms


def is_duration(value: object) -> bool:
    """Whether a stored value is a duration in milliseconds, or FOREVER."""
    return type(value) is int and FOREVER <= value <= LONGEST_MS


def seconds(ms: int | None) -> float | None:
    """Milliseconds as seconds; FOREVER stays -1."""
    if ms is None or ms == FOREVER:
        return ms

    return ms / 1000


def whole_seconds(ms: int | None) -> float | None:
    """As `seconds`; whole seconds as a whole number."""
    found = seconds(ms)

    return found if found is None or found % 1 else int(found)


def spelled(seconds: float) -> str:
    """Seconds, as they stand in texts.

    Example:
        >>> spelled(1), spelled(0.25)
        ('1 second', '0.25 seconds')

    """
    return "1 second" if seconds == 1 else f"{seconds:g} seconds"


def in_two_units(seconds: float) -> str:
    """Whole seconds with at most two units, for short texts.

    Example:
        >>> in_two_units(7_199), in_two_units(86_400), in_two_units(0.5)
        ('1h 59m', '1d', '0s')

    """
    left, parts = int(seconds), list[str]()

    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        number, left = divmod(left, size)

        if parts or number or unit == "s":
            parts.append(f"{number}{unit}")

    return " ".join(part for part in parts[:2] if not part.startswith("0") or len(parts) == 1)


def _parse(text: str, name: str) -> float:
    bare = text.strip()

    if _NUMBER.fullmatch(bare):
        return float(bare)

    if not _TEXT.fullmatch(bare):
        raise TimeoutFormatError(
            f'{name}={_short(text)}: expected seconds or a text such as "43", "90s", "1h30m" or "2d"'
        )

    return sum(float(number) * _UNIT_MS[unit.lower()] for number, unit in _PART.findall(bare)) / 1000


def _round(ms: float) -> int:
    """Whole milliseconds; what is not 0 does not become 0."""
    return round(ms) or (ms > 0) - (ms < 0)


def _short(value: Duration) -> str:
    text = repr(value) if not isinstance(value, int) or value.bit_length() < 64 else "a huge number"

    return text if len(text) <= 75 else f"{text[:74]}…"
