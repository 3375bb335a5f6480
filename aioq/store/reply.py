"""Reply: what comes back from a script, as values."""

from __future__ import annotations

from typing import Any

from aioq.values.signed import Fields


def fields_of(row: Any) -> Fields:
    """A hash, from the flat list of a reply."""
    flat = iter(row)

    return dict(zip(flat, flat, strict=True))


def text(name: bytes) -> str:
    """A name that was stored, whatever its bytes are."""
    return name.decode(errors="backslashreplace")
