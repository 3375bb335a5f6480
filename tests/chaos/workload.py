"""What producers ask for. All of it follows from a seed, before anything runs."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

#: How many of about a thousand orders are of each kind.
KINDS = {
    "quick": 270,  # ends at once
    "wait": 110,  # the same, and its result is waited for
    "many": 40,  # ten at once, in one call
    "slow": 190,  # takes some seconds, so faults find it running
    "thread": 80,  # a plain function, on a thread
    "block": 8,  # blocks its worker's event loop
    "stick": 6,  # a plain function that blocks its thread in C, for longer than a worker may take to stop
    "retry": 60,  # raises, and is retried until it returns
    "deadline": 10,  # raises, and is retried until a deadline
    "fail": 25,  # raises, and may not be retried
    "requeue": 30,  # raises, and is brought back
    "timeout": 20,  # takes longer than it may
    "schedule": 60,  # is due in a while
    "repeat": 25,  # runs a few times in a series, and its last result is waited for
    "cancel": 30,  # is taken back, whatever it does by then
    "stop": 20,  # is ended while it runs
    "ttl": 10,  # may not wait for long
    "meta": 10,  # writes meta
    "call": 20,  # its end has a callback and a webhook; half of them raise
    "forget": 12,  # its result is kept for no time, or for a second, and waited for
    "late": 10,  # the same, and who asks for its result may come too late
    "drop": 12,  # raises, and nothing is kept of it after a second at the most
    "large": 4,  # has a result of 1 KB to 5 MB, which is waited for
    "after": 40,  # depends on another job, which takes a while; in half of them that is of another queue
    "impatient": 12,  # the same, and it may not wait for long: it runs after the other one, or expires
    "adopt": 15,  # adds a child to itself, and another job depends on it
    "back": 15,  # raises, and is brought back with a job that depends on it
    "take": 30,  # takes the result of another job, which is kept for no time else
    "group": 20,  # three members of a group, whose end is waited for
    "kill": 1,  # ends the process of its worker
}

#: Loads: other weights for some kinds; those that are not named do not come.
LOADS: dict[str, dict[str, int]] = {
    "usual": KINDS,
    "plain": KINDS | dict.fromkeys(("stick", "forget", "late", "drop", "large", "take", "kill"), 0),
    # Nothing is due at a moment.
    "steady": KINDS | dict.fromkeys(("schedule", "retry", "deadline", "repeat", "impatient"), 0),
    "brief": {"quick": 20, "wait": 10, "slow": 10, "ttl": 5, "forget": 15, "late": 10, "drop": 30},
    "take": {"quick": 30, "slow": 20, "take": 50},
    "large": {"quick": 40, "wait": 20, "slow": 28, "large": 12},
    "stick": {"quick": 40, "slow": 30, "thread": 15, "stick": 15},
    "kill": {"quick": 400, "wait": 100, "slow": 480, "kill": 20},
    "series": {"quick": 30, "slow": 10, "repeat": 60},
}

#: The smallest and the largest result of a "large" order, in bytes. A third of them has more than VERY.
SMALLEST, VERY, LARGEST = 1_000, 2_000_000, 5_000_000

#: On which event loop a producer carries an order out: on its main one, on another one that lives as long, or on
#: one that a thread makes for this order alone.
LOOPS = ("main", "second", "own")

#: The tags of the load. Jobs of every fifth order have the first one, and one of the others.
TAGS = ("fifth", "tenth-0", "tenth-5")

#: The longest body of each kind, in seconds; of the others 0.3.
LONGEST = {
    "slow": 6.0, "impatient": 2.0, "thread": 3.0, "block": 1.5, "stick": 20.0, "stop": 8.0, "cancel": 3.0,
    "kill": 1.0,
}  # fmt: skip


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
    size: int  # bytes of its result, if that is to be large
    loop: str  # of LOOPS


def orders(seed: str, seconds: float, rate: float, load: str = "usual", loops: float = 0.0) -> Iterator[Order]:
    """The orders of one producer, by time.

    Args:
        seed: the same one gives the same orders.
        seconds: how long it goes on.
        rate: orders a second, on average.
        load: what they are, of LOADS.
        loops: the share of them, 0 to 1, that other event loops than the main one carry out.

    """
    rng, at, number, weights = random.Random(seed), 0.0, 0, LOADS[load]

    while (at := at + rng.expovariate(rate)) < seconds:
        number += 1
        kind = rng.choices(list(weights), list(weights.values()))[0]

        yield Order(
            at, number, kind,
            seconds=round(rng.uniform(0, LONGEST.get(kind, 0.3)), 3),
            delay=round(rng.uniform(0.1, 4), 3),
            chosen_id=rng.random() < 0.5,
            pad=rng.choice([0, 0, 0, 100, 5_000, 60_000]),
            size=_size(rng),
            loop=rng.choice(LOOPS[1:]) if rng.random() < loops else LOOPS[0],
        )  # fmt: skip


def _size(rng: random.Random) -> int:
    if rng.random() < 1 / 3:
        return rng.randint(VERY, LARGEST)

    return int(SMALLEST * (LARGEST / SMALLEST) ** rng.random())
