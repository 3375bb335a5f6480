"""Memory: of the server for each job, and of a worker as it runs more and more of them (T10, T12)."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.crew import Crew
from benchmarks.machine import rss

MIB = 1024 * 1024


def measure(bench: Bench) -> Iterator[Outcome]:
    bench.step("aioq, bytes of a job")
    yield _server(bench, "aioq")
    bench.step("floor, bytes of a job")
    yield _server(bench, "floor")
    bench.step("aioq, memory of a worker")
    yield _worker(bench, "aioq")


def _server(bench: Bench, system: str) -> Outcome:
    count = bench.size(100_000)
    filling = {"system": system, "job": "answer", "count": count, "args": (), "indexed": False}

    with bench.server() as server:
        # Keys that there is one of, buffers and scripts are there before the first measure.
        _fill_and_drain(bench, system, server.url, filling | {"count": 200})
        server.client.flushdb()
        empty = server.memory()

        with bench.process("roles:fill", url=server.url, **filling) as filler:
            filler.hear("ready")
            filler.ask("fill")

        queued = server.memory()

        with Crew(bench, system, server.url) as crew:
            crew.await_ended(count)

        finished = server.memory()

    figures = {"memory.queued": (queued - empty) / count, "memory.finished": (finished - empty) / count}

    return Outcome(system, figures, [(f"{crew.ended:.0f} of {count} jobs ran", crew.ended == count)])


def _worker(bench: Bench, system: str) -> Outcome:
    early, late = bench.size(50_000), bench.size(200_000 if bench.plan.quick else 1_000_000)
    figures, done = {}, 0

    with bench.server() as server, Crew(bench, system, server.url) as crew:
        (worker,) = crew.workers
        figures["memory.worker"] = rss(worker.pid) / MIB

        while done < late:
            step = min(early, late - done)
            filling = {"system": system, "job": "answer", "count": step, "args": (), "indexed": False}

            with bench.process("roles:fill", url=server.url, **filling) as filler:
                filler.hear("ready")
                filler.ask("fill")

            done += step
            crew.await_ended(done)
            figures.setdefault("memory.early", rss(worker.pid) / MIB)

        figures["memory.growth"] = rss(worker.pid) / MIB - figures["memory.early"]

    return Outcome(system, figures, [(f"{crew.ended:.0f} of {late} jobs ran", crew.ended == late)])


def _fill_and_drain(bench: Bench, system: str, url: str, filling: dict[str, object]) -> None:
    with bench.process("roles:fill", url=url, **filling) as filler, Crew(bench, system, url) as crew:
        filler.hear("ready")
        filler.ask("fill")
        crew.await_ended(200)
