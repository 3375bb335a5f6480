"""A row of numbers as a row of characters, readable without colours."""

from __future__ import annotations

from collections.abc import Sequence

#: From the lowest to the highest; behind it, what stands for 0. The second row is for terminals without the first.
BLOCKS = ("▁▂▃▄▅▆▇█", "·")
ASCII = (":-=+*#%@", ".")


def sparkline(numbers: Sequence[float | None], width: int, *, encoding: str | None = "utf-8") -> str:
    """Numbers, the first one to the left. A gap stands for what is not known.

    Args:
        numbers: the numbers; None: not known.
        width: the most characters. If there are more numbers, each character stands for the highest of several.
        encoding: that of the terminal.

    Example:
        >>> sparkline([0, 1, 2, None, 4, 8], 40)
        '·▁▂ ▄█'

    """
    levels, zero = BLOCKS if _has_blocks(encoding) else ASCII
    known = [_highest(part) for part in _parts(numbers, width)]
    highest = max((each for each in known if each is not None), default=0) or 1

    def shown(number: float | None) -> str:
        if number is None:
            return " "

        return levels[min(len(levels) - 1, int(len(levels) * number / highest - 1e-9))] if number > 0 else zero

    return "".join(map(shown, known))


def _parts(numbers: Sequence[float | None], width: int) -> list[Sequence[float | None]]:
    """The numbers in so many parts at the most, as equal as they can be."""
    count = min(len(numbers), max(width, 1))

    return [numbers[len(numbers) * at // count : len(numbers) * (at + 1) // count] for at in range(count)]


def _highest(numbers: Sequence[float | None]) -> float | None:
    return max((each for each in numbers if each is not None), default=None)


def _has_blocks(encoding: str | None) -> bool:
    try:
        "".join(BLOCKS).encode(encoding or "ascii")
    except (UnicodeEncodeError, LookupError):
        return False

    return True
