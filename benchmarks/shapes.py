"""Shapes: jobs that belong together, enqueued in one go and then drained by one worker process."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Any

from benchmarks import jobs
from benchmarks.bench import Bench
from benchmarks.child import Talk
from benchmarks.crew import Crew
from benchmarks.process import Process
from benchmarks.systems import connect

#: What waits for what, among jobs with the numbers 0 to count - 1. `enqueue_many` is the yardstick: none waits.
PLAIN, FAN_OUT, FAN_IN, CHAIN, GROUP = "enqueue_many", "fan_out", "fan_in", "chain", "group"

#: What a client can wait for: that no job waits for another any more, and to be told of the end of a group.
RELEASED, TOLD = "released", "told"

#: How often a client looks whether jobs still wait for others, in seconds.
LOOK = 0.001


@dataclass
class Ran:
    """What one shape took.

    Args:
        enqueue: seconds of the calls that enqueue it.
        first: when the first body began, on the machine's clock.
        last: when the last one ended.
        moment: when the client saw what it waited for.
        queued: bytes that the server held before a worker came.
        ended: the same after the last job.
        checks: what was verified.

    """

    enqueue: float
    first: float
    last: float
    moment: float
    queued: int
    ended: int
    checks: list[tuple[str, bool]]

    @property
    def drain(self) -> float:
        """Seconds from the first body to the last."""
        return self.last - self.first


def run(bench: Bench, system: str, shape: str, count: int, watch: str = "") -> Ran:
    """Enqueue jobs of a shape, then let a worker run them.

    Args:
        bench: starts server and processes.
        system: the adapter.
        shape: a method of its client.
        count: how many jobs.
        watch: what the client waits for meanwhile: RELEASED or TOLD; by default nothing.

    """
    spec = {"system": system, "shape": shape, "count": count}

    with bench.server() as server, bench.process("shapes:client", url=server.url, **spec) as client:
        client.hear("ready")
        enqueue = client.ask("fill")
        queued = server.memory()

        if watch:
            client.say(watch)

        with Crew(bench, system, server.url) as crew:
            crew.await_ended(count)
            moment = client.hear(watch) if watch else crew.last
            checks = [crew.check(count), *_in_order(crew.workers[0], shape, count)]

        ended = server.memory()
        right = client.ask("check")
        checks.append((f"{right} of {count} results are stored and right", right == count))

    checks = [(f"{shape}: {text}", is_so) for text, is_so in checks]

    return Ran(enqueue, crew.first, crew.last, moment, queued, ended, checks)


def _in_order(worker: Process, shape: str, count: int) -> list[tuple[str, bool]]:
    """Whether no job ended before one that it waits for."""
    if shape in (PLAIN, GROUP):
        return []

    order = worker.ask("order")
    right = {FAN_OUT: order[:1] == [0], FAN_IN: order[-1:] == [count - 1], CHAIN: order == list(range(count))}

    return [("no job ended before those that it waits for", right[shape])]


async def client(talk: Talk, system: str, url: str, shape: str, count: int) -> None:
    """Enqueue when told to; wait for what it is told to; say whether the results are right."""
    client = await connect(system, url)
    await client.waiting()  # opens the connection
    calls = [(index,) for index in range(count)]
    handles: list[Any] = []
    talk.say("ready")

    async for word in talk.words():
        if word == "fill":
            start = time.perf_counter()
            handles = await getattr(client, shape)(jobs.note, calls)
            talk.say("fill", time.perf_counter() - start)

            if all_of := getattr(client, "all_of", None):
                handles = await all_of(handles)
        elif word == RELEASED:
            while await client.deferred():
                await asyncio.sleep(LOOK)

            talk.say(word, time.perf_counter())
        elif word == TOLD:
            await client.ended()
            talk.say(word, time.perf_counter())
        elif word == "check":
            seen = await client.look(handles)
            talk.say("check", sum(each.ended and each.value == index for index, each in enumerate(seen)))

    await client.aclose()
