"""What an examination finds, and what it says of a queue."""

from __future__ import annotations

from typing import NamedTuple

from aioq.values.errors import ServerError


class Finding(NamedTuple):
    """One thing that is wrong.

    Args:
        queue: the queue's name.
        kind: a word of `KINDS`; it stays the same from version to version.
        name: the job, entry, worker or key.
        words: what is wrong with it.
        repaired: whether it was repaired.

    """

    queue: str
    kind: str
    name: str
    words: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.queue}: {self.kind} {self.name}: {self.words}" + " (repaired)" * self.repaired


class Examined(NamedTuple):
    """A queue that was examined.

    Args:
        name: the queue's name.
        listed: whether it is on the list of queues; None if that is unknown.
        jobs: how many jobs were examined.
        findings: what is wrong, or was wrong and is repaired now.
        error: why the examination failed or stopped early; None if it was complete.
        format: the number of the format in which the queue is stored; None if that could not be told.

    """

    name: str
    listed: bool | None
    jobs: int
    findings: list[Finding]
    error: ServerError | None = None
    format: int | None = None
