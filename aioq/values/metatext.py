"""Metatext: a value of a job's meta as a text, from the stored bytes; nothing is loaded."""

from __future__ import annotations

import json

from aioq.values.pickled import look_into
from aioq.values.serializer import PICKLE
from aioq.values.signature import SIGNED, inner

#: Longer values are not looked at.
MAX_BYTES = 10_000


def meta_text(data: bytes) -> str | None:
    """A stored meta value as a text: a text as it is, everything else as JSON. None if it cannot be told.

    Example:
        >>> meta_text(b'j"vip"'), meta_text(b"j7")
        ('vip', '7')

    """
    data = inner(data) if data[:1] == SIGNED else data

    if len(data) > MAX_BYTES:
        return None

    try:
        value = _pickled(data[1:]) if data[:1] == PICKLE.tag else json.loads(data[1:])

        return value if isinstance(value, str) else json.dumps(value)  # an object is of no type that JSON has
    except (ValueError, TypeError, RecursionError, LookupError):
        return None


def _pickled(data: bytes) -> object:
    """The plain value in a pickle; an object that JSON does not take if it holds something else."""
    found = look_into(data)

    return found.items[0] if found.is_whole else found
