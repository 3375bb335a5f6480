"""Places for the workers and producers of a trial."""

from __future__ import annotations

import asyncio
import subprocess
import time
from typing import Any

from tests.system.processes import WorkerProcess
from tests.system.proxy import Proxy

#: A process that takes longer than this to end, when it is told to, is killed, in seconds.
STUCK = 30.0


async def end_of(process: subprocess.Popen[bytes], seconds: float) -> int | None:
    """The exit code of a process; None if it has not ended within so many seconds."""
    deadline = time.monotonic() + seconds

    while process.poll() is None and time.monotonic() < deadline:
        await asyncio.sleep(0.02)

    return process.returncode


class CommandProcess(WorkerProcess):
    """The command `aioq worker` in a process of its own; its options are those of the command line."""

    @staticmethod
    def words(url: str, queues: str, options: Any) -> list[str]:
        """See `tests.chaos.serve`."""
        given = [word for name, value in options.items() for word in (f"--{name}", str(value))]

        return ["tests.chaos.serve", "--url", url, "--webhook-allow-private", *given, *queues.split(",")]


class Slot:
    """A place for a worker or a producer; its process may be another one later.

    Args:
        name: of the place.
        url: its way to the servers.
        proxy: through which that way leads, if it does.

    """

    def __init__(self, name: str, url: str, proxy: Proxy | None = None) -> None:
        self.name = name
        self.url = url
        self._proxy = proxy
        self.busy = False  # a fault is at work here
        self.worker: CommandProcess | None = None
        self.producer: subprocess.Popen[bytes] | None = None

    @property
    def proxy(self) -> Proxy:
        assert self._proxy is not None, "there are no faults of the network in this topology"

        return self._proxy

    @property
    def process(self) -> subprocess.Popen[bytes]:
        process = self.worker.process if self.worker is not None else self.producer
        assert process is not None

        return process

    @property
    def pid(self) -> int:
        return self.process.pid
