"""Rate: how many jobs a second have begun lately, by what the statistics of a queue tell of its last minutes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

#: So many minutes are looked at beside the one that has not ended.
MINUTES = 5

#: Workers tell of what they have counted about every so many seconds. So what is told first in a minute may belong
#: to so much time before it.
TOLD_EVERY_S = 10


def rate_of(minutes: Sequence[Mapping[str, int]], seconds: float) -> float | None:
    """How many jobs a second have begun.

    A minute in which none has begun and none waited tells nothing of how fast jobs could begin; it is left out.

    Args:
        minutes: the figures of each minute, the one that has not ended first.
        seconds: how much of that one is over.

    Returns:
        The rate; None: it is not known.

    Example:
        >>> rate_of([{}, {"started": 120}], 15)
        2.0

    """
    begun, passed = 0, 0.0

    for turn, figures in enumerate(minutes):
        # What was given back, or lost with its worker, is in its lane again.
        number = figures.get("started", 0) - figures.get("given_back", 0) - figures.get("lost", 0)

        if number > 0 or figures.get("waiting", 0):
            begun += max(0, number)
            passed += 60 if turn else max(seconds, TOLD_EVERY_S)

    return begun / passed if begun else None
