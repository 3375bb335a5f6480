"""Link: what the pool and one of its processes tell each other on a socket, as lines of JSON.

The pool tells a process what to do: first of all its settings, later how far it is to stop. The process tells its
pool the name of its worker, before that worker joins any queue, and that it serves. Figures of a process, for one
endpoint of the whole pool, would be told here, too. If the other side has ended, the socket says so.
"""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from aioq.worker.forks import forks

#: How much is read at once, in bytes.
READ_BYTES = 65_536

#: A line that is longer is none of ours, in bytes.
LONGEST_LINE = 262_144


def line(facts: dict[str, Any]) -> bytes:
    """A message as it is sent."""
    return json.dumps(facts).encode() + b"\n"


def take_lines(buffer: bytearray) -> Iterator[dict[str, Any]]:
    """Take the messages out of what was received. What is no message is dropped: a job has written it."""
    while (end := buffer.find(b"\n")) >= 0:
        text = bytes(buffer[:end])
        del buffer[: end + 1]

        with suppress(ValueError):
            if isinstance(facts := json.loads(text), dict):
                yield facts

    if len(buffer) > LONGEST_LINE:
        buffer.clear()


class Link:
    """The end of a process of a pool.

    Args:
        descriptor: its socket, which no program that a job starts inherits, and which forks of jobs close.

    """

    def __init__(self, descriptor: int) -> None:
        os.set_inheritable(descriptor, False)
        forks.withhold(descriptor)
        self._socket = socket.socket(fileno=descriptor)
        self._received = self._read()

    def receive(self) -> dict[str, Any] | None:
        """Wait for the next message; None if the pool has ended."""
        return next(self._received, None)

    def tell(self, **facts: Any) -> None:
        """Tell the pool something. If it has ended, nobody hears it."""
        with suppress(OSError):
            self._socket.sendall(line(facts))

    def _read(self) -> Iterator[dict[str, Any]]:
        buffer = bytearray()

        with suppress(OSError):
            while data := self._socket.recv(READ_BYTES):
                buffer += data
                yield from take_lines(buffer)
