"""Numbers, durations and moments as the pages write them."""

from __future__ import annotations

from datetime import UTC, datetime

_UNITS = (("d", 86_400), ("h", 3_600), ("min", 60))


def number(value: int) -> str:
    """A whole number with its thousands set apart.

    Example:
        >>> number(12906)
        '12,906'

    """
    return f"{value:,}"


def count(value: int, noun: str) -> str:
    """A number of things.

    Example:
        >>> count(1, "job"), count(1200, "job")
        ('1 job', '1,200 jobs')

    """
    return f"{number(value)} {noun if value == 1 else noun + 's'}"


def duration(ms: float) -> str:
    """A duration with at most two units. What would be negative by a clock that is wrong is nothing.

    Example:
        >>> duration(400), duration(7_200), duration(372_000), duration(180_000_000)
        ('0.4 s', '7.2 s', '6 min 12 s', '2 d 2 h')

    """
    seconds = max(0.0, ms / 1000)

    if seconds < 0.0995:
        return f"{seconds * 1000:.0f} ms"

    if seconds < 9.95:
        return f"{seconds:.1f}".removesuffix(".0") + " s"

    if seconds < 59.5:
        return f"{seconds:.0f} s"

    left = round(seconds)
    parts: list[str] = []

    for unit, size in (*_UNITS, ("s", 1)):
        amount, left = divmod(left, size)

        if amount or parts:
            parts.append(f"{amount} {unit}")

    return " ".join(part for part in parts[:2] if not part.startswith("0 "))


def size(value: int) -> str:
    """A number of bytes.

    Example:
        >>> size(900), size(58_840_000)
        ('1 kB', '59 MB')

    """
    for unit, bytes_ in (("GB", 1e9), ("MB", 1e6)):
        if value >= bytes_:
            return f"{value / bytes_:.3g} {unit}" if unit == "GB" else f"{value / bytes_:.0f} {unit}"

    return f"{value / 1000:.0f} kB"


def ago(at_ms: int, now_ms: int) -> str:
    """How far a moment is from now.

    Example:
        >>> ago(1000, 8000), ago(8000, 1000)
        ('7 s ago', 'in 7 s')

    """
    return f"{duration(now_ms - at_ms)} ago" if at_ms <= now_ms else f"in {duration(at_ms - now_ms)}"


def moment(at_ms: int) -> str:
    """A moment, in UTC.

    Example:
        >>> moment(1_767_225_600_250)
        '2026-01-01 00:00:00.250 UTC'

    """
    try:
        found = datetime.fromtimestamp(at_ms / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return "not known"

    return f"{found:%Y-%m-%d %H:%M:%S}.{at_ms % 1000:03d} UTC"


def milliseconds(found: datetime | None) -> int:
    """A moment in ms since 1970; 0 for none."""
    return 0 if found is None else round(found.timestamp() * 1000)
