"""Job ids and names of queues."""

from __future__ import annotations

import re
import time
from base64 import b32hexencode
from os import urandom

from aioq.values.errors import InvalidInput

_ID = re.compile(r"[A-Za-z0-9_-]+")
_QUEUE = re.compile(r"[A-Za-z0-9_.:@/+-]+")
_MAX_LENGTH = 200


def new_id() -> str:
    """A fresh id: 26 characters that sort by time.

    It is laid out as a ULID (48 bits of milliseconds, 80 random bits; https://github.com/ulid/spec), written
    in base32hex (RFC 4648 section 7), which keeps the order of the bytes. Ids are never read back as times.
    """
    now_ms = time.time_ns() // 1_000_000

    # 48 bits do not fill whole base32 characters, so the two leading bits of 50 are zero, as in a ULID.
    return (b32hexencode((now_ms << 14).to_bytes(8, "big"))[:10] + b32hexencode(urandom(10))).decode().lower()


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


def check_queue_name(value: object) -> str:
    """A queue's name. Braces are refused: they would change the hash tag that a Cluster shards by.

    Raises:
        TypeError: it is not a str.
        InvalidInput: it is empty, too long, or has other characters than letters, digits and _ . : @ / + -.

    """
    if not isinstance(value, str):
        raise TypeError(f"queue name {value!r}: expected a str, not {type(value).__name__}")

    if not _QUEUE.fullmatch(value) or len(value) > _MAX_LENGTH:
        raise InvalidInput(
            f"queue name {value!r}: expected 1 to {_MAX_LENGTH} letters, digits or characters of _ . : @ / + -"
        )

    return value
