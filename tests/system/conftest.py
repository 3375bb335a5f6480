from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.system.processes import WorkerProcess
from tests.tools import assert_all_sound


@pytest.fixture
def server(server: Server) -> Iterator[Server]:
    """What stands on the server after a test must be sound, whatever the test has broken."""
    yield server
    asyncio.run(assert_all_sound(server.url))


@pytest.fixture
def own_server(own_server: Callable[..., Server]) -> Iterator[Callable[..., Server]]:
    """As above, for the servers that run at the end of the test."""
    made: list[Server] = []

    def make(*options: str) -> Server:
        made.append(own_server(*options))
        return made[-1]

    yield make

    for each in made:
        if each.process is not None and each.process.poll() is None:
            asyncio.run(assert_all_sound(each.url))


@pytest.fixture
def spawn(server: Server, tmp_path: Path, environment: dict[str, str]) -> Iterator[Callable[..., object]]:
    """Starts worker processes; whatever is left of them at the end is killed."""
    started: list[WorkerProcess] = []

    async def start(*, url: str = server.url, queues: str = "default", **options: object) -> WorkerProcess:
        worker = WorkerProcess(tmp_path / f"worker-{len(started)}.log", url, environment, queues, options)
        started.append(worker)
        await worker.ready()
        return worker

    yield start

    for worker in started:
        worker.destroy()
