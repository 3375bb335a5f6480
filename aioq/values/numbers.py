"""Whole numbers as users give them."""

from __future__ import annotations

from aioq.values.errors import InvalidInput

#: The largest number that the server's scripts tell from its neighbours.
LARGEST = 2**53


def whole(value: object, name: str, least: int = 0) -> int:
    """A whole number that is large enough.

    Args:
        value: what was given.
        name: what it is for; it stands in the error.
        least: the smallest one that is taken.

    Raises:
        InvalidInput: it is no int (bool and float are none), smaller than `least`, or larger than 2**53.

    Example:
        >>> whole(5, "limit")
        5

    """
    if isinstance(value, bool) or not isinstance(value, int):
        raise InvalidInput(f"{name}={value!r}: expected a whole number, not {type(value).__name__}")

    if not least <= value <= LARGEST:
        shown = str(value) if abs(value) <= LARGEST else "a huge number"
        raise InvalidInput(f"{name}={shown}: expected a whole number of at least {least}, and at most 2**53")

    return value


def count(number: int, noun: str) -> str:
    """A number and what it counts.

    Example:
        >>> count(2, "job")
        '2 jobs'

    """
    return f"{number} {noun}" if number == 1 else f"{number:,} {noun}s"
