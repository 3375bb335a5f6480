"""Streams: the standard streams of a process that runs jobs. It may be started without some, or nobody takes them.

A socket that is opened while one of them is closed takes its number. What is then written to the standard streams,
by this process or by one that it starts, goes into that socket.
"""

from __future__ import annotations

import io
import os
import sys
from contextlib import suppress
from typing import Any

#: The number of standard error.
STDERR = 2


def open_standard_descriptors() -> None:
    """Open /dev/null for each of the descriptors 0 to 2 that is closed."""
    while (opened := os.open(os.devnull, os.O_RDWR)) <= STDERR:  # the lowest number that is free
        os.set_inheritable(opened, True)

    os.close(opened)


def has_stderr() -> bool:
    """Whether the process was started with a standard error; else its number may be that of something else."""
    return sys.__stderr__ is not None


class Dropping(io.FileIO):
    """Drops what cannot be written: a full disk, or a reader that is gone, must not fail a job that prints."""

    def write(self, data: Any) -> int:
        """How many bytes were written or dropped."""
        try:
            written = super().write(data)
        except OSError:
            written = None

        return memoryview(data).nbytes if written is None else written


def drop_what_nobody_takes() -> None:
    """Let print fail no more in this process, whatever is behind its stdout and stderr."""
    for name, stream in (("stdout", sys.stdout), ("stderr", sys.stderr)):
        if stream is not getattr(sys, f"__{name}__") or not isinstance(stream, io.TextIOWrapper):
            continue  # it was replaced; that is the business of whoever has done so

        with suppress(OSError):
            stream.flush()

        raw = Dropping(stream.fileno(), "w", closefd=False)
        replacement = io.TextIOWrapper(
            raw if stream.write_through else io.BufferedWriter(raw),  # as Python does it
            encoding=stream.encoding,
            errors=stream.errors,
            line_buffering=stream.line_buffering,
            write_through=stream.write_through,
        )
        setattr(sys, name, replacement)
