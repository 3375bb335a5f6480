"""Payloads that run code when they are read: the traps of the security tests. What they do is seen in a file."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path

from aioq.values.serializer import PICKLE


class Trap:
    """Its bytes make whoever unpickles them create a file."""

    def __init__(self, marker: Path) -> None:
        self._marker = marker

    def __reduce__(self) -> tuple[Callable[..., object], tuple[object, ...]]:
        return os.mkdir, (str(self._marker),)


def trap(marker: Path) -> bytes:
    """A stored value whose reading creates the marker."""
    return PICKLE.tag + pickle.dumps(Trap(marker))


def trap_call(marker: Path) -> bytes:
    """A stored call whose reading creates the marker, and which then is a good one."""
    return PICKLE.tag + pickle.dumps((None, (Trap(marker),), {}))
