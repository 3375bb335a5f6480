"""What measured processes do in more than one benchmark."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from benchmarks import jobs
from benchmarks.child import Talk
from benchmarks.systems import connect, load

#: Jobs of one call of the bulk interface, and of one gather.
CALL = 1000


async def fill(
    talk: Talk, system: str, url: str, job: str, count: int, args: list[Any], indexed: bool = True
) -> None:
    """Enqueue jobs when told to, and say afterwards whether their stored results are right.

    Args:
        talk: the way to the parent.
        system: the adapter.
        url: the server.
        job: the name of a function in jobs.
        count: how many.
        args: arguments after the index.
        indexed: the index is the first argument; otherwise there is none.

    """
    client = await connect(system, url)
    function = getattr(jobs, job)
    calls = [((index, *args) if indexed else ()) for index in range(count)]
    handles: list[Any] = []
    talk.say("ready")

    async for word in talk.words():
        if word == "fill":
            cpu = time.process_time()

            for start in range(0, count, CALL):
                handles += await client.enqueue_many(function, calls[start : start + CALL])

            talk.say("fill", time.process_time() - cpu)
        elif word == "check":
            seen = await client.look(handles)
            talk.say("check", sum(each.ended and each.value == index for index, each in enumerate(seen)))

    await client.aclose()


async def worker(talk: Talk, system: str, url: str, concurrency: int | None, limit: int | None = None) -> None:
    """Run jobs, and report what ran."""
    stop = asyncio.Event()

    async def obey() -> None:
        async for word in talk.words():
            if word == "report":
                talk.say(word, jobs.tally.report())
            elif word == "runs":
                talk.say(word, sorted(jobs.tally.runs.items()))
            elif word == "order":
                talk.say(word, list(jobs.tally.runs))

        stop.set()

    obeying = asyncio.create_task(obey())
    await load(system).work(url, concurrency, limit, lambda: talk.say("ready"), stop)
    await obeying
