"""Figures: what is counted of a queue in some minute or hour, by name, and as it is stored.

What is stored is one text of words: `finished=12 w31=5`. A script adds such texts (`lua/lib/figures.lua`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from aioq.values.histogram import BUCKETS, Histogram

#: What workers count. A run that was given back or lost has been started, too, and is started again.
COUNTERS = (
    *("started", "finished", "failed", "retried", "canceled", "stopped", "given_back", "lost", "expired"),
    *("wait_ms", "run_ms"),
)

#: What the first report of a minute samples: how many jobs wait, run and are scheduled, for how many ms the oldest
#: one has waited, and how many entries the lanes have ever got. An hour keeps the greatest value of each; only of
#: the entries it keeps the first one.
GAUGES = ("waiting", "running", "scheduled", "age_ms", "added")

#: The letters before the number of a bucket: of how long jobs waited, and of how long runs took.
WAIT, RUN = "w", "r"

#: No stored number is larger; `lua/lib/read.lua` has the same limit.
LARGEST = 10**15

_WORD = re.compile(rb"([a-z_]{1,16}|[wr]\d{1,3})=(\d{1,15})(?!\d)")


def pack_figures(figures: Mapping[str, float]) -> str:
    """Figures as they are sent to the server; those that are 0 are left out."""
    return " ".join([f"{name}={round(number)}" for name, number in figures.items() if round(number)])


def unpack_figures(packed: bytes) -> dict[str, int]:
    """Figures as they are stored. What is no such word is passed over."""
    return {name.decode(): int(number) for name, number in _WORD.findall(packed)}


def histogram_of(figures: Mapping[str, int], letter: str) -> Histogram:
    """One of the two histograms in figures."""
    named = ((bucket, figures.get(f"{letter}{bucket}", 0)) for bucket in range(BUCKETS))

    return Histogram({bucket: number for bucket, number in named if number})
