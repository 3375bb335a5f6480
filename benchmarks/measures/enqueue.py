"""Enqueue: one at a time, gathered, and in bulk (T2, T3, T4)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from benchmarks import jobs
from benchmarks.bench import Bench, Outcome
from benchmarks.child import Talk
from benchmarks.peers import peer
from benchmarks.roles import CALL
from benchmarks.systems import connect

#: Jobs before the clock starts: they open the connection and load the scripts.
WARM = 20


def measure(bench: Bench) -> Iterator[Outcome]:
    lone_bytes = 0.0

    def run(bench: Bench, system: str) -> Outcome:
        nonlocal lone_bytes
        outcome = Outcome(system)

        if system == "floor":
            _run(bench, outcome, "padded", lone_bytes)
            _run(bench, outcome, "many")

            # The floor has one way for many jobs; both of aioq's are held against it.
            for part in ("", ".client", ".server"):
                outcome.figures[f"enqueue.gather{part}"] = outcome.figures[f"enqueue.many{part}"]
        else:
            found = peer(system)

            for way in ("one", "gather", "many"):
                if found is None or way in found.ways:
                    _run(bench, outcome, way)

            if found is None:
                lone_bytes = outcome.figures["enqueue.one.bytes"]

        return outcome

    yield from bench.interleave(("aioq", "floor", *bench.peers("one", "gather", "many")), run)


def _run(bench: Bench, outcome: Outcome, way: str, lone_bytes: float = 0) -> None:
    count = bench.size(20_000 if way in ("gather", "many") else 4_000, system=outcome.system)
    key = "enqueue.one" if way == "padded" else f"enqueue.{way}"
    role = "measures.enqueue:client"

    with bench.server() as server, bench.process(role, system=outcome.system, url=server.url) as client:
        client.hear("ready")
        filler = 0

        if way == "padded":
            # The bare call gets as many bytes as the one that it is compared with.
            before = server.usage()
            client.ask(f"padded {WARM} 0")
            filler = max(0, round(lone_bytes - (server.usage() - before).bytes_in / WARM))

        before = server.usage()
        took = client.ask(f"{way} {count} {filler}")
        used = server.usage() - before
        found = client.ask("check")

    outcome.figures |= {
        key: count / took["seconds"],
        f"{key}.client": took["cpu"] / count * 1e6,
        f"{key}.server": used.cpu / count * 1e6,
    }

    if key == "enqueue.one":
        outcome.figures[f"{key}.bytes"] = used.bytes_in / count

    right = found["right"] == found["handles"] == found["waiting"]
    outcome.checks.append(
        (f"{way}: {found['right']} of {found['handles']} jobs are queued with their arguments", right)
    )


async def client(talk: Talk, system: str, url: str) -> None:
    """Enqueue in the ways that it is told."""
    client = await connect(system, url)
    handles: list[Any] = []
    expected: list[int] = []

    async def one(count: int, _: int) -> None:
        for index in range(count):
            handles.append(await client.enqueue(jobs.note, index))

    async def gather(count: int, _: int) -> None:
        for start in range(0, count, CALL):
            calls = (client.enqueue(jobs.note, index) for index in range(start, min(start + CALL, count)))
            handles.extend(await asyncio.gather(*calls))

    async def many(count: int, _: int) -> None:
        for start in range(0, count, CALL):
            calls = [(index,) for index in range(start, min(start + CALL, count))]
            handles.extend(await client.enqueue_many(jobs.note, calls))

    async def padded(count: int, filler: int) -> None:
        text = "-" * filler

        for index in range(count):
            handles.append(await client.enqueue_padded(text, jobs.note, index))

    ways = {"one": one, "gather": gather, "many": many, "padded": padded}
    await many(WARM, 0)
    expected += range(WARM)
    talk.say("ready")

    async for word in talk.words():
        way, *numbers = word.split()

        if way == "check":
            seen = await client.look(handles)
            right = sum(not each.ended and each.value == index for each, index in zip(seen, expected, strict=True))
            talk.say("check", {"right": right, "handles": len(set(handles)), "waiting": await client.waiting()})
        else:
            count, filler = map(int, numbers)
            cpu, start = time.process_time(), time.perf_counter()
            await ways[way](count, filler)
            talk.say(way, {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu})
            expected += range(count)

    await client.aclose()
