"""Crew: worker processes that serve together, and what they have run in all."""

from __future__ import annotations

import time
from collections import Counter
from contextlib import ExitStack
from typing import Self

from benchmarks.bench import Bench
from benchmarks.peers import concurrency as concurrency_of
from benchmarks.process import Process

#: Without any job ended for this long, jobs are lost; the run goes on and its check fails.
STALLED = 30.0

#: How often the workers are asked how far they are, in seconds.
LOOK = 0.1

#: After the last job its outcome still travels; what is used is counted until this long after it.
GRACE = 0.3


class Crew:
    """Worker processes of one system on one server.

    Args:
        bench: starts them.
        system: the adapter.
        url: the server.
        concurrency: of each of them; by default the one of the system.
        size: how many.
        limit: jobs after which each of them ends.

    """

    def __init__(
        self,
        bench: Bench,
        system: str,
        url: str,
        *,
        concurrency: int | None = None,
        size: int = 1,
        limit: int | None = None,
    ) -> None:
        self._stack = ExitStack()
        self.workers: list[Process] = []
        self._bench = bench
        jobs = concurrency or concurrency_of(system)
        self._spec = {"system": system, "url": url, "concurrency": jobs, "limit": limit}
        self._size = size
        self.ended = self.first = self.last = self.cpu = 0.0

    def __enter__(self) -> Self:
        for _ in range(self._size):
            self.workers.append(self._stack.enter_context(self._bench.process("roles:worker", **self._spec)))

        for worker in self.workers:
            worker.hear("ready")

        return self

    def __exit__(self, *error: object) -> None:
        self._stack.__exit__(*error)

    def await_ended(self, count: int) -> None:
        """Wait until so many jobs have ended; then `first`, `last` (on the machine's clock) and `cpu` hold."""
        ended, progress = -1.0, time.monotonic()

        while self.ended < count and time.monotonic() - progress < STALLED:
            time.sleep(LOOK)
            self.look()

            if self.ended != ended:
                ended, progress = self.ended, time.monotonic()

        time.sleep(GRACE)
        self.look()

    def look(self) -> None:
        """Ask all of them how far they are."""
        reports = [worker.ask("report") for worker in self.workers]
        self.ended = sum(report["ended"] for report in reports)
        self.cpu = sum(report["cpu"] for report in reports if report["first"])
        self.first = min((report["first"] for report in reports if report["first"]), default=0)
        self.last = max(report["last"] for report in reports)

    def check(self, count: int) -> tuple[str, bool]:
        """Whether each of so many jobs ran once."""
        runs: Counter[int] = Counter()

        for worker in self.workers:
            runs.update(dict(worker.ask("runs")))

        once = sum(times == 1 for times in runs.values())

        return f"{once} of {count} jobs ran once", once == count == runs.total()
