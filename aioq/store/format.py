"""Format: the number of the way in which a queue is stored, so that no older version misreads it.

The number stands beside the queue from when the queue is registered. It grows with a change that an older version
would read wrongly; within one number, versions of aioq may be mixed.
"""

from __future__ import annotations

from aioq.values.errors import ServerUnsuitable

#: What this version writes. It reads the one before, too.
FORMAT = 1


def read_format(stored: bytes | None) -> int:
    """The number that is stored with a queue. Queues from before there was one are of the first format."""
    return int(stored) if stored and stored.isdigit() else 1


def refuse_newer(queue: str, number: int) -> None:
    """Refuse to go on with a queue that this version could not read.

    Raises:
        ServerUnsuitable: it names the queue, both numbers and what to do.

    """
    if number > FORMAT:
        raise ServerUnsuitable(
            f"queue {queue!r} is stored in format {number}, by a newer version of aioq; this one reads formats up"
            f" to {FORMAT}. Upgrade aioq here (pip install --upgrade aioq-streams), or use another queue or prefix"
        )
