"""Worker processes for tests that kill, stop and pause them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from tests.tools import eventually


class WorkerProcess:
    """A worker in a process of its own."""

    def __init__(self, log: Path, url: str, environment: dict[str, str], queues: str, options: object) -> None:
        self.log = log
        self._out = log.open("wb")
        self.process = subprocess.Popen(
            [sys.executable, "-m", *self.words(url, queues, options)],
            env=environment,
            stdout=self._out,
            stderr=subprocess.STDOUT,
        )

    @staticmethod
    def words(url: str, queues: str, options: object) -> list[str]:
        """The module that it runs, and its arguments."""
        return ["tests.system.serve", url, queues, json.dumps(options)]

    async def ready(self) -> None:
        assert await self.started(), self.text()

    async def started(self, timeout: float = 30) -> bool:
        """Whether it serves its queues; if not, it has ended."""
        await eventually(
            lambda: "ready " in self._lines() or self.process.poll() is not None,
            timeout=timeout,
            describe="a worker",
        )
        return "ready " in self._lines()

    def _lines(self) -> set[str]:
        """The first six characters of each line of its log."""
        return {line[:6] for line in self.text().splitlines()}

    @property
    def name(self) -> str:
        return next(line.split()[1] for line in self.text().splitlines() if line.startswith("ready "))

    def text(self) -> str:
        return self.log.read_text()

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    async def ended(self, timeout: float = 30) -> int:
        await eventually(lambda: self.process.poll() is not None, timeout=timeout, describe="the worker's end")
        return self.process.returncode

    def destroy(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()
        self._out.close()
