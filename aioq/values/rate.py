"""Rate: how many jobs a second have begun lately, by what the statistics of a queue tell of its last minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise

#: So many minutes are looked at beside the one that has not ended.
MINUTES = 6

#: Workers tell of what they have counted about every so many seconds. So what is told first in a minute may belong
#: to so much time before it.
TOLD_EVERY_S = 10


def rate_of(minutes: Sequence[Mapping[str, int]], seconds: float) -> float | None:
    """How many jobs a second have begun while others waited.

    A minute at whose beginning no job waited tells how fast jobs come, and not how fast they could begin. It is
    left out. So is a minute after one in which no worker told anything: it may have been busy for a part of it.

    Args:
        minutes: the figures of each minute, the one that has not ended first.
        seconds: how much of that one is over.

    Returns:
        The rate; None: it is not known.

    Example:
        >>> rate_of([{}, {"waiting": 30, "started": 120}, {"started": 9}], 15)
        2.0

    """
    begun, passed = 0, 0.0

    for turn, (figures, before) in enumerate(pairwise(minutes)):
        if figures.get("waiting", 0) and before:
            # What was given back, or lost with its worker, is in its lane again.
            number = figures.get("started", 0) - figures.get("given_back", 0) - figures.get("lost", 0)
            begun += max(0, number)
            passed += 60 if turn else max(seconds, TOLD_EVERY_S)

    return begun / passed if begun else None
