"""Pools in the test's own event loop; their processes are real."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from aioq import WorkerPool
from aioq.pool.process import PoolProcess
from tests.conftest import Server
from tests.tools import eventually


class RunningPool:
    """A pool that runs as a task."""

    def __init__(self, url: str, run: dict[str, Any], options: dict[str, Any]) -> None:
        self.pool = WorkerPool(options.pop("queues", "default"), options.pop("connection", url), **options)
        self.ready = asyncio.Event()
        self.task = asyncio.create_task(self.pool.run(ready=self.ready.set, **run))

    async def serves(self) -> None:
        """Wait until all processes serve, or the pool has ended."""
        waiting = asyncio.create_task(self.ready.wait())
        await asyncio.wait([waiting, self.task], return_when=asyncio.FIRST_COMPLETED, timeout=30)
        waiting.cancel()
        assert self.ready.is_set() or self.task.done(), "the pool does not serve"

        if self.task.done():
            await self.task

    @property
    def living(self) -> list[PoolProcess]:
        """All processes that have not ended, by their numbers."""
        supervisor = self.pool._supervisor

        return sorted(supervisor._living, key=lambda each: (each.number, each.pid)) if supervisor else []

    @property
    def serving(self) -> list[PoolProcess]:
        supervisor = self.pool._supervisor

        return sorted(supervisor._serving, key=lambda each: (each.number, each.pid)) if supervisor else []

    @property
    def pids(self) -> list[int]:
        return [each.pid for each in self.serving]

    async def replaced(self, *pids: int) -> None:
        """Wait until none of these processes is left, and each place has one that serves."""
        await eventually(
            lambda: (
                not {each.pid for each in self.living} & set(pids) and len(self.serving) == self.pool.processes
            ),
            timeout=30,
            describe=f"other processes than {pids}",
        )

    async def ends(self) -> int:
        async with asyncio.timeout(30):
            return await asyncio.shield(self.task)


@pytest.fixture
async def start_pool(server: Server, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Callable[..., Any]]:
    """Starts pools, and waits until they serve."""
    monkeypatch.setenv("PYTHONWARNINGS", "error")
    running: list[RunningPool] = []

    async def start(*, run: dict[str, Any] | None = None, wait: bool = True, **options: Any) -> RunningPool:
        running.append(RunningPool(server.url, run or {}, {"processes": 2} | options))

        if wait:
            await running[-1].serves()

        return running[-1]

    yield start

    for each in running:
        processes = each.living
        each.pool.request_stop()
        each.pool.request_stop()

        await asyncio.wait([each.task], timeout=30)

        if each.task.done() and not each.task.cancelled():
            each.task.exception()  # a test that was to see it has done so

        assert [one for one in processes if not one.has_ended] == []


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that processes import from."""
    monkeypatch.syspath_prepend(str(tmp_path))

    return tmp_path
