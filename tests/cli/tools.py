"""Helpers of the command line's tests."""

from __future__ import annotations

import asyncio
import functools
import os
import pty
import re
import select
import subprocess
import sys
from collections.abc import Awaitable, Callable
from contextlib import chdir
from pathlib import Path
from typing import Any

from typer import testing
from typer.testing import CliRunner, Result

from aioq import Job, Queue, Worker
from aioq.cli.main import app
from aioq.values.resolving import resolve
from tests import jobs
from tests.tools import eventually_sync, logging_restored

# The runner makes all commands anew for each call, and most calls take less time than that. Tests make thousands.
testing._get_command = functools.cache(testing._get_command)

COMMAND = (sys.executable, "-m", "aioq")


class Cli:
    """The command line. `call` runs a command in this process, `process` in one of its own."""

    def __init__(self, url: str, environment: dict[str, str]) -> None:
        self.url = url
        self.environment = environment | {"AIOQ_REDIS_URL": url, "COLUMNS": "120"}

    def call(self, *words: str, environment: dict[str, str] | None = None) -> Result:
        # A worker's log goes to a stream of the runner, which is closed afterwards; what other tests log must not.
        with logging_restored():
            result = CliRunner().invoke(
                app, words, env=environment or {"AIOQ_REDIS_URL": self.url}, prog_name="aioq"
            )

        unexpected = result.exception is not None and not isinstance(result.exception, SystemExit)
        assert not unexpected, result.exception
        return result

    def call_in(self, place: Path, *words: str) -> Result:
        """As `call`, in a folder. What is imported from there is not known to others afterwards."""
        paths, modules = list(sys.path), set(sys.modules)

        try:
            with chdir(place):
                return self.call(*words)
        finally:
            sys.path[:] = paths

            for name in set(sys.modules) - modules:
                if str(getattr(sys.modules[name], "__file__", None)).startswith(str(place)):
                    del sys.modules[name]

            resolve.cache_clear()

    def process(
        self,
        *words: str,
        program: tuple[str, ...] = COMMAND,
        environment: dict[str, str] | None = None,
        **options: Any,
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*program, *words],
            env=self.environment | (environment or {}),
            capture_output=True,
            text=True,
            timeout=40,
            check=False,
            **options,
        )

    def on_terminal(
        self,
        *words: str,
        columns: int = 80,
        until: bytes | None = None,
        colours: bool = False,
        environment: dict[str, str] | None = None,
    ) -> tuple[int, str]:
        """The status, and the text that a terminal of that width gets, without colours; Ctrl-C after `until`."""
        own, its = pty.openpty()
        size = {"TERM": "xterm-256color", "COLUMNS": str(columns)}
        environment = self.environment | size | (environment or {})
        process = subprocess.Popen([*COMMAND, *words], env=environment, stdin=its, stdout=its, stderr=its)
        os.close(its)
        seen = b""

        while select.select([own], [], [], 20)[0]:
            try:
                chunk = os.read(own, 65_536)
            except OSError:  # the other end is closed
                break

            seen += chunk

            if until is not None and until in seen:
                until = None
                process.send_signal(2)

        os.close(own)
        text = seen.decode().replace("\r\n", "\n")
        return process.wait(20), text if colours else re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", text)

    def do(self, work: Callable[[Queue], Awaitable[Any]], queue: str = "default") -> Any:
        """What an application would do with a queue."""

        async def run() -> Any:
            async with Queue(queue, self.url) as opened:
                return await work(opened)

        return asyncio.run(run())

    def enqueue(
        self, *ids: str, func: Any = jobs.noop, args: tuple[Any, ...] = (), queue: str = "default"
    ) -> None:
        calls = [Queue.prepare_data(func, args, job_id=each) for each in ids]
        self.do(lambda opened: opened.enqueue_many(calls), queue)

    def fail(self, *ids: str, queue: str = "default") -> None:
        """Jobs that have failed, in this order."""
        self.enqueue(*ids, func=jobs.div_by_zero, args=(1,), queue=queue)
        # A few run one at a time, so that they end in their order.
        self.work(queue, concurrency=1 if len(ids) < 10 else 100)

    def work(self, *queues: str, concurrency: int = 100) -> None:
        """A worker, until the queues are empty."""
        asyncio.run(Worker(list(queues) or ["default"], self.url, concurrency=concurrency).run(burst=True))

    def job(self, job_id: str, queue: str = "default") -> Job[Any]:
        found = self.do(lambda opened: opened.fetch_job(job_id), queue)
        assert found is not None
        return found

    def status(self, job_id: str, queue: str = "default") -> str:
        return str(self.job(job_id, queue).status)

    def queued(self, queue: str = "default") -> list[str]:
        return self.do(lambda opened: opened.job_ids(), queue)

    def failed(self, queue: str = "default") -> list[str]:
        return self.do(lambda opened: opened.failed_job_registry.job_ids(), queue)


class Running:
    """A command that goes on, as a process of its own; stdout and stderr are in files."""

    def __init__(
        self,
        cli: Cli,
        words: tuple[str, ...],
        place: Path,
        *,
        environment: dict[str, str] | None = None,
        command: tuple[str, ...] = COMMAND,
        **options: Any,
    ) -> None:
        self._out, self._err = place.with_suffix(".out"), place.with_suffix(".err")

        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*command, *words], env=cli.environment | (environment or {}), stdout=out, stderr=err, **options
            )

    @property
    def stdout(self) -> str:
        return self._out.read_text()

    @property
    def stderr(self) -> str:
        return self._err.read_text()

    def says(self, text: str, timeout: float = 15) -> None:
        """Wait for a text on stdout or stderr."""
        eventually_sync(
            lambda: text in self.stdout + self.stderr or self.process.poll() is not None,
            timeout=timeout,
            describe=f"{text!r} in {self.stdout + self.stderr!r}",
        )
        assert text in self.stdout + self.stderr

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def ends(self, timeout: float = 15) -> int:
        return self.process.wait(timeout)

    def destroy(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait()


def processes_of(place: Path) -> list[str]:
    """The command lines that name a folder."""
    listed = subprocess.run(["ps", "axww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if str(place) in line]
