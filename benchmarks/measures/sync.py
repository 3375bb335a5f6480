"""Sync: an enqueue alone without an event loop, beside the same with one, in turns in one process."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Iterator

from aioq import Queue, sync
from benchmarks import jobs
from benchmarks.bench import Bench, Outcome
from benchmarks.child import Talk

#: Calls of one kind before it is the other one's turn. Those of the first turns open connections.
TURN = 50
WARM_TURNS = 2


def measure(bench: Bench) -> Iterator[Outcome]:
    yield from bench.interleave(("aioq",), _run)


def _run(bench: Bench, system: str) -> Outcome:
    turns = bench.size(2_000) // TURN

    with (
        bench.server() as server,
        bench.process("measures.sync:client", system=system, url=server.url, turns=turns) as client,
    ):
        plain, awaited = (statistics.median(each) * 1e6 for each in client.hear("seconds"))

    figures = {"sync.enqueue": plain, "sync.awaited": awaited, "sync.ratio": plain / awaited}

    return Outcome(system, figures)


async def client(talk: Talk, system: str, url: str, turns: int) -> None:
    plain: list[float] = []
    awaited: list[float] = []

    async with Queue("awaited", url) as queue:
        plain_queue = sync.Queue("plain", url)

        for turn in range(turns + WARM_TURNS):
            if turn == WARM_TURNS:
                plain, awaited = [], []

            awaited += await _await_calls(queue)
            plain += await asyncio.to_thread(_make_calls, plain_queue)

    talk.say("seconds", [plain, awaited])
    await asyncio.to_thread(plain_queue.close)


async def _await_calls(queue: Queue) -> list[float]:
    seconds = []

    for number in range(TURN):
        start = time.perf_counter()
        await queue.enqueue(jobs.note, number)
        seconds.append(time.perf_counter() - start)

    return seconds


def _make_calls(queue: sync.Queue) -> list[float]:
    seconds = []

    for number in range(TURN):
        start = time.perf_counter()
        queue.enqueue(jobs.note, number)
        seconds.append(time.perf_counter() - start)

    return seconds
