"""Job ids and names of queues."""

from __future__ import annotations

import os
import re
import time

from aioq.values.errors import InvalidInput

_ID = re.compile(r"[A-Za-z0-9_-]+")
_QUEUE = re.compile(r"[A-Za-z0-9_.:@/+-]+")
_MAX_LENGTH = 200


class _Entropy:
    """Random bytes, drawn from the system in blocks: a call of it for each id would cost more than all else."""

    BLOCK = 10 * 256

    def __init__(self) -> None:
        self._block, self._at = b"", 0
        os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Draw anew; after a fork two processes would use the same bytes."""
        self._block, self._at = b"", 0

    def draw(self) -> int:
        """80 random bits."""
        if self._at == len(self._block):
            self._block, self._at = os.urandom(self.BLOCK), 0

        self._at += 10

        return int.from_bytes(self._block[self._at - 10 : self._at])


_DIGITS = "0123456789abcdefghijklmnopqrstuv"
_PAIRS = [first + second for first in _DIGITS for second in _DIGITS]
_entropy = _Entropy()


def new_id() -> str:
    """A fresh id: 26 characters that sort by time.

    It is laid out as a ULID (48 bits of milliseconds, 80 random bits; https://github.com/ulid/spec), written
    in base32hex (RFC 4648 section 7), which keeps the order of the bytes. Ids are never read back as times.
    """
    # Two digits at a time, written out: a loop would take twice as long, and every job needs an id.
    pair, ms, noise = _PAIRS, time.time_ns() // 1_000_000, _entropy.draw()

    return (
        f"{pair[ms >> 40]}{pair[ms >> 30 & 1023]}{pair[ms >> 20 & 1023]}{pair[ms >> 10 & 1023]}{pair[ms & 1023]}"
        f"{pair[noise >> 70]}{pair[noise >> 60 & 1023]}{pair[noise >> 50 & 1023]}{pair[noise >> 40 & 1023]}"
        f"{pair[noise >> 30 & 1023]}{pair[noise >> 20 & 1023]}{pair[noise >> 10 & 1023]}{pair[noise & 1023]}"
    )


def check_id(value: object) -> str:
    """A job id as given by a user.

    Raises:
        TypeError: it is not a str.
        InvalidInput: it is empty, too long, or has other characters than A-Z a-z 0-9 _ and -.

    """
    if not isinstance(value, str):
        raise TypeError(f"job_id={value!r}: expected a str, not {type(value).__name__}")

    if not _ID.fullmatch(value) or len(value) > _MAX_LENGTH:
        raise InvalidInput(f"job_id={value!r}: expected 1 to {_MAX_LENGTH} of the characters A-Z a-z 0-9 _ -")

    return value


def is_queue_name(value: str) -> bool:
    """Whether a queue can have this name."""
    return bool(_QUEUE.fullmatch(value)) and len(value) <= _MAX_LENGTH


def check_queue_name(value: object) -> str:
    """A queue's name. Braces are refused: they would change the hash tag that a Cluster shards by.

    Raises:
        TypeError: it is not a str.
        InvalidInput: it is empty, too long, or has other characters than letters, digits and _ . : @ / + -.

    """
    if not isinstance(value, str):
        raise TypeError(f"queue name {value!r}: expected a str, not {type(value).__name__}")

    if not is_queue_name(value):
        raise InvalidInput(
            f"queue name {value!r}: expected 1 to {_MAX_LENGTH} letters, digits or characters of _ . : @ / + -"
        )

    return value
