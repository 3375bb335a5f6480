"""Users: a closed loop of 100, and of one: each enqueues a job and awaits its result, again and again (T5)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress

from benchmarks import jobs
from benchmarks.bench import Bench, Outcome, percentile
from benchmarks.child import Talk
from benchmarks.crew import Crew
from benchmarks.systems import connect


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq", "floor", *bench.peers("users")), _run)


def _run(bench: Bench, system: str) -> Outcome:
    outcome = Outcome(system)
    _loop(bench, outcome, "users", 100, bench.size(20_000, system=system))
    # With each call of a lone user the worker falls idle and is woken: what a lost hint would cost, shows here.
    _loop(bench, outcome, "users.alone", 1, bench.size(2_000, system=system))

    return outcome


def _loop(bench: Bench, outcome: Outcome, key: str, users: int, count: int) -> None:
    rounds = count // users + 1
    count = rounds * users
    spec = {"system": outcome.system, "users": users, "rounds": rounds}

    with (
        bench.server() as server,
        Crew(bench, outcome.system, server.url) as crew,
        bench.process("measures.users:client", url=server.url, **spec) as client,
    ):
        took = client.hear("took")
        crew.await_ended(count + users)
        outcome.checks.append(crew.check(count + users))

    outcome.checks.append((f"{took['right']} of {count} results came and are right", took["right"] == count))
    p50, p99 = (percentile(took["waits"], part) * 1000 for part in (0.5, 0.99))
    outcome.figures |= {
        f"{key}.rate": count / took["seconds"],
        f"{key}.p50": p50,
        f"{key}.p99": p99,
        f"{key}.spread": p99 / p50,
    }


async def client(talk: Talk, system: str, url: str, users: int, rounds: int) -> None:
    """The users. One round before the clock starts opens connections and subscriptions."""
    client = await connect(system, url)
    waits: list[float] = []
    right = 0

    async def call(index: int) -> bool:
        nonlocal right
        start = time.perf_counter()
        handle = await client.enqueue(jobs.note, index)

        with suppress(TimeoutError):
            value = await client.result(handle)
            right += value == index  # not in one step with the await: it would add to a number read before it
            waits.append(time.perf_counter() - start)
            return True

        return False

    async def user(number: int) -> None:
        for turn in range(1, rounds + 1):
            if not await call(turn * users + number):
                break  # the check will say how many are missing

    await asyncio.gather(*(call(number) for number in range(users)))
    waits.clear()
    right = 0
    start = time.perf_counter()
    await asyncio.gather(*(user(number) for number in range(users)))
    talk.say("took", {"seconds": time.perf_counter() - start, "waits": waits, "right": right})
    await client.aclose()
