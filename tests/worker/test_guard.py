"""The guard names the job that blocks the event loop."""

from __future__ import annotations

import asyncio
import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from aioq.worker.guard import Guard


async def _blocks() -> None:
    time.sleep(1)  # this is what is tested


async def _waits() -> None:
    await asyncio.sleep(1.5)


def _run(name: str, task: asyncio.Task[None]) -> Any:
    return SimpleNamespace(
        id=name, task=task, begun=True, claim=SimpleNamespace(record=SimpleNamespace(func_name=name))
    )


async def test_a_blocked_loop_is_logged_once_with_the_job_and_its_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aioq.worker")
    runs = [_run("waits", asyncio.create_task(_waits())), _run("blocks", asyncio.create_task(_blocks()))]
    guard = Guard(lambda: runs)
    guard.start()

    try:
        await asyncio.gather(*(run.task for run in runs))
    finally:
        guard.stop()

    began, ended = (record.getMessage() for record in caplog.records)
    assert "job blocks (blocks) has blocked the event loop" in began
    assert "time.sleep(1)" in began
    assert "job blocks (blocks) blocked it for" in ended
    assert guard.blocks == 1


async def test_a_task_that_a_job_has_started_is_named_by_its_own_name(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aioq.worker")
    guard = Guard(list)
    guard.start()

    try:
        await asyncio.create_task(_blocks(), name="inner")
    finally:
        guard.stop()

    began = caplog.records[0].getMessage()
    assert began.startswith("the task inner has blocked the event loop")
    assert "time.sleep(1)" in began


async def test_a_loop_that_turns_is_never_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aioq.worker")
    guard = Guard(list)
    guard.start()

    try:
        await _waits()
    finally:
        guard.stop()

    assert (guard.blocks, caplog.records) == (0, [])
