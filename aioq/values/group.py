"""What is known of a group of jobs without asking the server."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

#: For how long a group is kept after its end, in ms, unless it says otherwise: a day.
KEPT_MS = 86_400_000

#: After this many ms, members that somebody has announced and not enqueued are given up.
FILL_MS = 300_000

#: When the job of a group is made: `failure` if a member has ended without finishing and there is such a job.
SequelKind = Literal["complete", "failure"]

#: How a member may have ended without finishing. gone: it was deleted, or never enqueued.
HOWS = ("failed", "canceled", "stopped", "expired", "gone")


@dataclass(frozen=True, slots=True)
class GroupProgress:
    """How many members of a group have ended, and how, at one moment.

    Args:
        total: all members.
        finished: those whose function returned.
        failed: those that failed.
        canceled: those that were canceled.
        stopped: those whose run was stopped.
        expired: those that waited for longer than their `ttl`.
        gone: those that were deleted before they had ended, or were never enqueued.
        has_ended: whether the group has ended: all members have, and no more are being added.

    """

    total: int
    finished: int
    failed: int
    canceled: int
    stopped: int
    expired: int
    gone: int
    has_ended: bool

    @property
    def ended(self) -> int:
        """How many members have ended, in whatever way."""
        return self.finished + self.unfinished

    @property
    def unfinished(self) -> int:
        """How many members have ended without finishing."""
        return self.failed + self.canceled + self.stopped + self.expired + self.gone

    @property
    def open(self) -> int:
        """How many members wait or run."""
        return self.total - self.ended

    def __str__(self) -> str:
        others = [f"{getattr(self, how)} {how}" for how in HOWS if getattr(self, how)]

        return ", ".join([f"{self.ended}/{self.total}", *others])


class Place(NamedTuple):
    """What makes a job a member.

    Args:
        group: the name of the group.
        number: where the job stands among the members, from 0.
        home: the queue that keeps the group; "": that of the job.

    """

    group: str
    number: int
    home: str = ""

    def __str__(self) -> str:
        return f"{self.group}/{self.number}{'@' * bool(self.home)}{self.home}"


_PLACE = re.compile(rb"(?:^| )group=([^ /]+)/(\d+)(?:@([^ #!]+))?")


def read_place(after: bytes) -> Place | None:
    """The place that the field `after` of a job names; None for a job that is no member."""
    found = _PLACE.search(after)

    return None if found is None else Place(found[1].decode(), int(found[2]), (found[3] or b"").decode())


def is_set(bits: bytes, number: int) -> bool:
    """Whether a bit of a stored bitmap is set: the first one is the highest of the first byte."""
    return number >> 3 < len(bits) and bool(bits[number >> 3] >> (7 - (number & 7)) & 1)


def newly_set(bits: bytes, before: bytes) -> list[int]:
    """The numbers of the bits that are set in `bits` and not in `before`."""
    found: list[int] = []

    for at, byte in enumerate(bits):
        if changed := byte & ~(before[at] if at < len(before) else 0):
            found += [8 * at + bit for bit in range(8) if changed >> (7 - bit) & 1]

    return found
