"""Moments: as users give them, as the scripts take them, and as they are stored."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from aioq.values.durations import Duration, pause_ms
from aioq.values.errors import InvalidType

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MS = timedelta(milliseconds=1)


def due_at(moment: datetime) -> str:
    """A moment as the scripts take it. See `moment_ms`."""
    return str(moment_ms(moment, "moment"))


def moment_ms(moment: datetime, name: str) -> int:
    """A moment in ms since 1970; one before that is 0.

    A naive one is read as `datetime.timestamp` does (PEP 495): a moment that the clocks skip is read by the offset
    from before the gap, and `fold` tells which of two is meant when a moment comes twice.

    Raises:
        InvalidType: it is no datetime.

    """
    if not isinstance(moment, datetime):
        raise InvalidType(f"{name}={moment!r}: expected a datetime, not {type(moment).__name__}")

    if moment.utcoffset() is None:
        try:
            ms = int(moment.replace(microsecond=0).timestamp()) * 1_000 + moment.microsecond // 1_000
        except (ValueError, OverflowError, OSError):  # so near to an end of the calendar that UTC leaves it
            ms = (moment.replace(tzinfo=UTC) - _EPOCH) // _MS
    else:
        ms = (moment - _EPOCH) // _MS

    return max(0, ms)


def due_in(delay: Duration) -> str:
    """A delay as the scripts take it.

    Raises:
        InvalidInput: it is negative, or no duration.

    """
    return f"+{pause_ms(delay, 'delay')}"


def moment_of(ms: bytes | str) -> datetime:
    """A stored moment, in ms since 1970.

    Raises:
        ValueError, OverflowError, OSError: it is none.

    """
    return datetime.fromtimestamp(int(ms) / 1000, UTC)
