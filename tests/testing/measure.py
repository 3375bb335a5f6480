"""What the test kit costs: `python -m tests.testing.measure` prints it.

A fixture for one test, a project of tests under xdist, and time travel: a ladder of retries over a month.
"""

from __future__ import annotations

import asyncio
import logging
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

from aioq import Retry
from aioq.testing import TestKit
from tests.testing import work

PROJECT = """\
import pytest

from aioq.testing import run_inline

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="session")
def anyio_backend():
    return "asyncio"


async def add(left, right):
    return left + right


@pytest.mark.parametrize("number", range({count}))
async def test_a_job_runs(aioq_kit, aioq_queue, number):
    await aioq_queue.enqueue(add, number, right=1)
    await aioq_kit.assert_enqueued(add, number)
    (run,) = await aioq_kit.run_until_idle()
    assert run.result == number + 1
"""


def fixture_ms(url: str | None = None, times: int = 200) -> list[float]:
    """What making and closing a kit takes for each of many tests, in ms. Each enqueues a job in its own loop."""
    took = []

    async def test(kit: TestKit) -> None:
        await kit.queue().enqueue(work.add, 1)

    for _ in range(times):
        begun = time.perf_counter()
        kit = TestKit(url)
        kit.queue()
        made = time.perf_counter()
        asyncio.run(test(kit))
        ran = time.perf_counter()
        kit.close()
        took.append(1000 * (made - begun + time.perf_counter() - ran))

    return took


def project_s(folder: Path, count: int, environment: dict[str, str] | None = None, *options: str) -> float:
    """How long pytest runs a project of so many tests, each of which runs a job, in seconds."""
    (folder / "test_many.py").write_text(PROJECT.format(count=count))
    (folder / "pytest.ini").write_text("[pytest]\n")
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        *options,
        "-p",
        "no:cacheprovider",
        "-p",
        "no:randomly",
        "-p",
        "no:asyncio",
    ]
    begun = time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    took = time.perf_counter() - begun
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{count} passed" in done.stdout

    return took


async def ladder_s(kit: TestKit) -> float:
    """How long a ladder of 30 daily retries and three scheduled jobs take by time travel, in seconds."""
    now = await kit.now()
    await kit.queue().enqueue(work.flaky, 30, retry=Retry(30, interval="1d"))

    for days in (7, 14, 21):
        await kit.queue().enqueue_at(now + timedelta(days=days), work.add, days)

    begun = time.perf_counter()
    runs = await kit.run_until_idle(scheduled=True)
    took = time.perf_counter() - begun
    assert [run.result for run in runs if run.outcome == "finished"] == [7, 14, 21, 31]
    assert len(runs) == 34

    return took


async def ladders(times: int) -> list[float]:
    """As `ladder_s`, so many times, each in a kit of its own."""
    took = []

    for _ in range(times):
        async with TestKit() as kit:
            took.append(await ladder_s(kit))

    return took


def repeated(measure: Callable[[], float], times: int = 3) -> list[float]:
    return [measure() for _ in range(times)]


def told(name: str, values: list[float], unit: str) -> None:
    low, high = min(values), max(values)
    print(f"{name}: {statistics.median(values):.3g} {unit} (from {low:.3g} to {high:.3g}, n={len(values)})")


def main() -> None:
    logging.disable()
    told("a fixture for a test", fixture_ms()[1:], "ms")
    told("a month of retries and three scheduled jobs", asyncio.run(ladders(5)), "s")

    with tempfile.TemporaryDirectory() as folder:
        told("300 tests, xdist -n 2", repeated(lambda: project_s(Path(folder), 300, None, "-n", "2")), "s")


if __name__ == "__main__":
    main()
