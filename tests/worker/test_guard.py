"""The guard names the job that blocks the event loop."""

from __future__ import annotations

import asyncio
import ctypes
import importlib
import logging
import re
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from aioq.worker.guard import Guard
from aioq.worker.lasting import LastingThread
from tests.tools import eventually


async def _blocks() -> None:
    time.sleep(1)  # this is what is tested


async def _waits() -> None:
    await asyncio.sleep(1.5)


def _run(name: str, task: asyncio.Task[None]) -> Any:
    return SimpleNamespace(id=name, named=f"shop.{name} (job {name})", task=task, begun=True)


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
    assert re.match(r"shop\.blocks \(job blocks\) has blocked the event loop for 0\.\d s so far, at:\n", began)
    assert began.rpartition("\n")[2].strip().startswith("time.sleep(1)")  # no empty line is behind it
    assert re.fullmatch(
        r"the event loop turns again: shop\.blocks \(job blocks\) blocked it for 1\.\d s in all", ended
    )
    assert guard.blocks == 1
    assert guard.lag > 0.5  # of the second, what was beyond the tick that was due
    assert guard.memory > 2**20


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


async def test_a_block_that_ends_with_the_worker_is_told_in_full(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aioq.worker")
    guard = Guard(list)
    guard.start()
    await asyncio.sleep(0.01)
    await asyncio.create_task(_blocks())
    guard.stop()  # before the guard has looked again

    assert sum("blocked it for 1." in record.getMessage() for record in caplog.records) == 1


async def test_a_loop_that_turns_is_never_told_of(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "aioq.worker")
    guard = Guard(list)
    guard.start()

    try:
        await _waits()
    finally:
        guard.stop()

    assert (guard.blocks, caplog.records) == (0, [])


# The threads that it watches


async def test_a_thread_that_has_ended_is_started_again_within_a_second_also_beside_a_blocked_loop() -> None:
    begun: list[float] = []
    guard = Guard(list)

    def live() -> None:
        begun.append(time.monotonic())

        if len(begun) > 1:
            thread.stopped.wait()

    thread = LastingThread("watched", live, lambda _: None)
    guard.watched = [thread]
    guard.start()
    thread.start()
    time.sleep(1.2)  # this is what is tested
    guard.stop()
    thread.stop()

    assert len(begun) == 2
    assert begun[1] - begun[0] < 1


async def test_the_loop_starts_the_guard_again(caplog: pytest.LogCaptureFixture) -> None:
    guard = Guard(list)
    guard.start()
    (ident,) = (each.ident for each in threading.enumerate() if each.name == "aioq-guard")

    try:
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit))
        await eventually(lambda: "aioq-guard has ended" in caplog.text, timeout=2)
        await asyncio.create_task(_blocks())
        assert guard.blocks == 1
    finally:
        guard.stop()


async def test_an_error_of_the_guard_is_told_once_and_it_goes_on(caplog: pytest.LogCaptureFixture) -> None:
    def runs() -> list[Any]:
        raise LookupError("no runs")

    guard, checks = Guard(runs), []
    guard.watched = [SimpleNamespace(check=lambda: checks.append(1))]  # type: ignore[list-item]
    guard.start()

    try:
        for _ in range(2):
            await asyncio.create_task(_blocks())
            await asyncio.sleep(0.6)

        before = len(checks)
        await eventually(lambda: len(checks) > before)
    finally:
        guard.stop()

    assert [record.getMessage() for record in caplog.records if record.levelno >= logging.ERROR] == [
        "the guard of the event loop failed; it goes on"
    ]


async def test_the_guard_s_clock_leaves_out_when_the_process_stood_still() -> None:
    guard = Guard(list)
    guard.start()

    try:
        await asyncio.sleep(0.3)
        began, awake = time.monotonic(), guard.awake()
        # No other thread runs meanwhile.
        ctypes.PyDLL(None).usleep(2_000_000)
        at_once = guard.awake() - awake
        await asyncio.sleep(0.6)
        passed, awake = time.monotonic() - began, guard.awake() - awake
    finally:
        guard.stop()

    assert at_once < 1
    assert 2.5 < passed
    assert awake < passed - 1.5


async def test_an_import_on_the_loop_is_shown_without_frames_of_the_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "blocks_the_loop.py").write_text("import time\ntime.sleep(1)\n")
    monkeypatch.syspath_prepend(tmp_path)
    guard = Guard(list)
    guard.start()

    async def imports() -> None:
        importlib.import_module("blocks_the_loop")

    try:
        await asyncio.create_task(imports())
    finally:
        guard.stop()
        sys.modules.pop("blocks_the_loop")

    shown = caplog.records[0].getMessage()
    assert 'blocks_the_loop.py", line 2' in shown
    assert "import_module" in shown  # the job's own line
    assert "importlib/" not in shown
    assert "frozen" not in shown
