"""Sizes: amounts of memory as users write them, turned into bytes."""

from __future__ import annotations

import re
from typing import TypeAlias

from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.numbers import LARGEST

#: What a size may be: a number of bytes, or a text such as "500MB" or "1.5GiB".
Size: TypeAlias = int | str

_TEXT = re.compile(r"(\d{1,15}(?:\.\d{1,9})?)\s*(B|[kKMGT]i?B)", re.ASCII)
_POWERS = {"K": 1, "M": 2, "G": 3, "T": 4}


def read_size(value: Size, name: str) -> int:
    """A size in bytes.

    Args:
        value: bytes, or a text with a unit: kB, MB, GB and TB are powers of 1000; KiB, MiB, GiB and TiB of 1024.
        name: what the value is for; it stands in the error.

    Raises:
        InvalidType: it is neither an int nor a str.
        InvalidInput: it is no size, or not greater than 0.

    Example:
        >>> read_size("500MB", "max_memory")
        500000000

    """
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise InvalidType(
            f'{name}={value!r}: expected a number of bytes or a text such as "500MB", not {type(value).__name__}'
        )

    size = value if isinstance(value, int) else _parse(value)

    if size is None or not 0 < size <= LARGEST:
        raise InvalidInput(f'{name}={value!r}: expected a size greater than 0, such as "500MB" or "1.5GiB"')

    return size


def shown_size(size: int) -> str:
    """A size for people, in MB.

    Example:
        >>> shown_size(512_400_000)
        '512 MB'

    """
    return f"{size / 1_000_000:,.0f} MB"


def _parse(text: str) -> int | None:
    if text.isdecimal() and text.isascii():
        return int(text[:20])

    if (found := _TEXT.fullmatch(text.strip())) is None:
        return None

    number, unit = found.groups()
    base = 1024 if "i" in unit else 1000

    return int(float(number) * base ** _POWERS.get(unit[0].upper(), 0))
