"""What a fault is, and which faults a kind of trial has."""

from __future__ import annotations

import math
import random
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

from tests.chaos.history import Event

#: Breaks and heals; returns what it was, or None if there was nothing to break just then.
Hit = Callable[[Any, random.Random], Awaitable[Event | None]]


@dataclass(frozen=True, slots=True)
class Fault:
    """One way to break something.

    Args:
        name: what tables and histories call it.
        mix: the kind of trial that it belongs to.
        weight: how often it comes, beside the others of its mix.
        hit: does it.

    """

    name: str
    mix: str
    weight: int
    hit: Hit


FAULTS: dict[str, Fault] = {}

#: Writes of this many seconds before a SIGKILL may be gone. With everysec, a write is postponed for up to two
#: seconds while an fsync is under way; else it is with the operating system before it is answered.
LOSES = {"always": 0.0, "everysec": 2.0, "none": math.inf}

#: Replicas receive what is written as soon as the network lets them. When one takes over that nobody has prepared,
#: the primary's writes of its last so many seconds may be gone.
LAG = 1.0


def fault(mix: str, weight: int) -> Callable[[Hit], Hit]:
    """Registers a fault by its function's name."""

    def register(hit: Hit) -> Hit:
        name = hit.__name__.replace("_", "-")
        FAULTS[name] = Fault(name, mix, weight, hit)

        return hit

    return register


def of_mix(mix: str) -> list[Fault]:
    """The faults of a kind of trial, or of several that a + joins; a name is one fault alone.

    "mixed" has all that can break where one server stands alone, but for faults that need a load of their own.
    """
    names = mix.split("+")

    return [
        each
        for each in FAULTS.values()
        if {each.name, each.mix} & set(names) or ("mixed" in names and each.mix not in {*HOMES, *OWN_LOADS})
    ]


MIXES = ("workers", "server", "network", "narrow", "clock", "mixed", "failover", "cluster")

#: Where faults of servers are at home that do not stand alone.
HOMES = {"failover": "sentinel", "cluster": "cluster"}

#: Faults that need a load of their own, of workload.LOADS. When a clock that was ahead is set back, scheduled jobs
#: come later by as much, and rightly; so there are none. On a narrow line results must be large.
OWN_LOADS = {"clock": "steady", "narrow": "large"}

#: There is one fault of these kinds at a time, with a pause of some seconds before the next: work goes on in it.
SERIAL = ("server", "clock", "failover", "cluster")


def home_of(mix: str) -> str:
    """The topology that a mix, or a fault, needs."""
    return next((HOMES[each.mix] for each in of_mix(mix) if each.mix in HOMES), "standalone")


def load_of(mix: str) -> str:
    """The load that a mix, or a fault, needs."""
    return next((OWN_LOADS[each.mix] for each in of_mix(mix) if each.mix in OWN_LOADS), "usual")


now = time.monotonic


def a_while(rng: random.Random, longest: float = 10.0) -> float:
    """Mostly short; sometimes longer than a lease."""
    return rng.uniform(0, 2) if rng.random() < 0.6 else rng.uniform(2, longest)
