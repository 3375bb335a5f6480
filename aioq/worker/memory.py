"""Memory: how much a process holds, as the kernel counts it."""

from __future__ import annotations

import os

from aioq.values.errors import InvalidInput

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def resident(pid: int) -> int | None:
    """The resident memory of a process in bytes; None if it is gone, or if this system does not tell."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123 - a Path costs more than the read
            return int(file.read().split()[1]) * _PAGE_BYTES
    except (OSError, ValueError, IndexError):
        return None


def check_readable(option: str, instead: str) -> None:
    """Refuse a limit of memory where memory cannot be read.

    Args:
        option: the limit; it stands in the error.
        instead: what does the same without it.

    Raises:
        InvalidInput: this system does not tell.

    """
    if resident(os.getpid()) is None:
        raise InvalidInput(
            f"{option}: the memory of a process cannot be read on this system; expected Linux, with"
            f" /proc/<pid>/statm. Leave the option away, and use {instead}"
        )
