"""The clock of a server, which a trial can set."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path


def build_clock(folder: Path) -> Path | None:
    """A library that gives a process another clock; None if this machine has no C compiler."""
    if shutil.which("cc") is None:
        return None

    library, source = folder / "clock.so", Path(__file__).parent / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)

    return library


class ServerClock:
    """A wall clock that is ahead of the machine's by some seconds, or behind it.

    Args:
        folder: where its files are.

    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ahead = folder / "ahead"
        self.works = False

    def wrapped(self, binary: str | None) -> str | None:
        """A program that runs the server with this clock; the server itself, if no clock can be made."""
        library = build_clock(self._folder)

        if library is None or binary is None:
            return binary

        self.works = True
        self.set(0)
        program = self._folder / "server-with-a-clock"
        program.write_text(
            f'#!/bin/sh\nexport LD_PRELOAD="{library}" CHAOS_CLOCK="{self._ahead}"\nexec "{binary}" "$@"\n'
        )
        program.chmod(0o700)

        return str(program)

    def set(self, seconds: int) -> None:
        """Be ahead by so many seconds. The server sees the old value or the new one, and nothing between."""
        written = self._folder / "ahead.new"
        written.write_text(str(seconds))
        written.rename(self._ahead)
