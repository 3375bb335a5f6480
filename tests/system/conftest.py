from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import Server
from tests.system.processes import WorkerProcess


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
