"""What producers ask for. All of it follows from a seed, before anything runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

#: How many of a hundred orders are of each kind.
KINDS = {
    "quick": 28,  # ends at once
    "wait": 12,  # the same, and its result is waited for
    "many": 4,  # ten at once, in one call
    "slow": 20,  # takes some seconds, so faults find it running
    "thread": 8,  # a plain function, on a thread
    "block": 1,  # blocks its worker's event loop
    "retry": 6,  # raises, and is retried until it returns
    "fail": 3,  # raises, and may not be retried
    "requeue": 3,  # raises, and is brought back
    "timeout": 2,  # takes longer than it may
    "schedule": 6,  # is due in a while
    "cancel": 3,  # is taken back, whatever it does by then
    "stop": 2,  # is ended while it runs
    "ttl": 1,  # may not wait for long
    "meta": 1,  # writes meta
}


@dataclass(frozen=True, slots=True)
class Order:
    """One thing that a producer asks for."""

    at: float  # seconds from its start
    number: int
    kind: str
    seconds: float  # how long the body takes
    delay: float  # until it is due, or until it is taken back
    chosen_id: bool  # whether the producer chooses the id
    pad: int  # bytes that it carries


def orders(seed: str, seconds: float, rate: float) -> Iterator[Order]:
    """The orders of one producer, by time.

    Args:
        seed: the same one gives the same orders.
        seconds: how long it goes on.
        rate: orders a second, on average.

    """
    rng, at, number = random.Random(seed), 0.0, 0

    while (at := at + rng.expovariate(rate)) < seconds:
        number += 1
        kind = rng.choices(list(KINDS), list(KINDS.values()))[0]
        longest = {"slow": 6.0, "thread": 3.0, "block": 1.5, "stop": 8.0, "cancel": 3.0}.get(kind, 0.3)

        yield Order(
            at, number, kind,
            seconds=round(rng.uniform(0, longest), 3),
            delay=round(rng.uniform(0.1, 4), 3),
            chosen_id=rng.random() < 0.5,
            pad=rng.choice([0, 0, 0, 100, 5_000, 60_000]),
        )  # fmt: skip
