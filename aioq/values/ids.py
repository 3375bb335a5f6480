"""Job ids and names of queues."""

from __future__ import annotations

import os
import re
import time
from functools import lru_cache

from aioq.values.errors import InvalidInput, InvalidType

_ID = re.compile(r"[A-Za-z0-9_-]+")
_QUEUE = re.compile(r"[A-Za-z0-9_.:@/+-]+")
_MAX_LENGTH = 200


_DIGITS = b"0123456789abcdefghijklmnopqrstuv"
_DIGIT_OF_BYTE = _DIGITS * 8  # five of a byte's bits, as a digit

#: How many ids one call of the system brings the random bytes for; a call for each would cost more than all else.
_DRAWN = 256

#: Random texts of 16 digits, 80 bits each. A pop is one step: two threads never get the same one.
_drawn: list[str] = []

os.register_at_fork(after_in_child=_drawn.clear)  # two processes would use the same ones


def _draw() -> None:
    digits = os.urandom(16 * _DRAWN).translate(_DIGIT_OF_BYTE).decode()
    _drawn.extend([digits[at : at + 16] for at in range(0, len(digits), 16)])


@lru_cache(maxsize=1)  # many jobs are made in the same millisecond
def _written(ms: int) -> str:
    fives = (ms >> 45, ms >> 40, ms >> 35, ms >> 30, ms >> 25, ms >> 20, ms >> 15, ms >> 10, ms >> 5, ms)

    return bytes(map(_DIGITS.__getitem__, map((31).__and__, fives))).decode()


def new_id() -> str:
    """A fresh id: 26 characters that sort by time.

    It is laid out as a ULID (48 bits of milliseconds, 80 random bits; https://github.com/ulid/spec), written
    in base32hex (RFC 4648 section 7), which keeps the order of the bytes. Ids are never read back as times.
    """
    while True:
        try:
            return _written(time.time_ns() // 1_000_000) + _drawn.pop()
        except IndexError:
            _draw()


def check_id(value: object, name: str = "job_id") -> str:
    """A job id as given by a user.

    Raises:
        InvalidType: it is not a str.
        InvalidInput: it is empty, too long, or has other characters than A-Z a-z 0-9 _ and -.

    """
    if not isinstance(value, str):
        raise InvalidType(f"{name}={value!r}: expected a str, not {type(value).__name__}")

    if not _ID.fullmatch(value) or len(value) > _MAX_LENGTH:
        raise InvalidInput(f"{name}={value!r}: expected 1 to {_MAX_LENGTH} of the characters A-Z a-z 0-9 _ -")

    return value


def lookup_id(value: object) -> str:
    """An id to look for: any text. No job has one with other characters than `check_id` takes.

    Returns:
        A text that can be encoded. What an operating system or a program could not decode is an escape in it.

    Raises:
        InvalidType: it is not a str.

    """
    if not isinstance(value, str):
        raise InvalidType(f"job_id={value!r}: expected a str, not {type(value).__name__}")

    return value if value.isascii() else value.encode(errors="backslashreplace").decode()


def is_queue_name(value: str) -> bool:
    """Whether a queue can have this name."""
    return bool(_QUEUE.fullmatch(value)) and len(value) <= _MAX_LENGTH


def check_queue_name(value: object) -> str:
    """A queue's name. Braces are refused: they would change the hash tag that a Cluster shards by.

    Raises:
        InvalidType: it is not a str.
        InvalidInput: it is empty, too long, a URL, or has other characters than letters, digits and
            _ . : @ / + -.

    """
    if not isinstance(value, str):
        raise InvalidType(f"queue name {value!r}: expected a str, not {type(value).__name__}")

    if "://" in value:  # not repeated here: it may have a password
        raise InvalidInput("queue name: that is a URL; the server goes by Queue(connection=…)")

    if not is_queue_name(value):
        raise InvalidInput(
            f"queue name {value!r}: expected 1 to {_MAX_LENGTH} letters, digits or characters of _ . : @ / + -"
        )

    return value
