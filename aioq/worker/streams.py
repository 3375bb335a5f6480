"""Streams: the descriptors 0 to 2, which a process may be started without.

A socket that is opened while one of them is closed takes its number. What is then written to the standard streams,
by this process or by one that it starts, goes into that socket.
"""

from __future__ import annotations

import os
import sys

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
