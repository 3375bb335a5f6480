"""The example programs, each run as its README tells, with a worker beside it."""

import asyncio
import re
import sys
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from aioq import Queue

FOLDER = Path(__file__).parent.parent.parent / "examples"
Run = Callable[..., Awaitable[list[str]]]


@pytest.fixture
def run(server, environment) -> Run:
    """Runs `python -m <module>` from the top folder; the lines that it prints. logs: how many failures it logs."""

    async def run(module: str, logs: int = 0) -> list[str]:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", module),
            cwd=FOLDER.parent,
            env=environment | {"AIOQ_REDIS_URL": server.url},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        output, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        assert len(re.findall(r"^\S+ failed after .+", errors.decode(), re.MULTILINE)) == logs
        assert logs or errors == b""
        return output.decode().splitlines()

    return run


async def test_script_gathers_results_of_jobs_that_ran_side_by_side(run: Run, start_worker) -> None:
    await start_worker()
    *results, summary = await run("examples.script")
    assert results[:2] == ["Bergen: 18 degrees", "Cairo: 15 degrees"]
    assert len(results) == 10
    # One after the other they would need 3 seconds.
    assert float(re.fullmatch(r"10 jobs in ([\d.]+) s", summary)[1]) < 2.5


async def test_sync_job_runs_on_threads(run: Run, start_worker) -> None:
    await start_worker()
    lines = await run("examples.sync_job")
    found = [re.fullmatch(r"([0-9a-f]{16}) computed on thread (\d+)", line) for line in lines]
    assert len({match[1] for match in found}) == 3
    assert all(int(match[2]) for match in found)


async def test_progress_prints_pages_and_the_result(run: Run, start_worker) -> None:
    await start_worker()
    *steps, last = await run("examples.progress")
    pages = [int(re.fullmatch(r"page (\d+) of 12", line)[1]) for line in steps]
    assert last == "done: 12 pages"
    assert len(pages) >= 2
    assert pages == sorted(pages)
    assert 0 < pages[-1] <= 12


async def test_ttl_and_failures_tells_its_story(run: Run, server) -> None:
    assert await run("examples.ttl_and_failures", logs=1) == [
        "too late: expired - jobs in the queue: 0",
        "failed: FileNotFoundError",
        "failed jobs: 1",
        "failed jobs: 0 - jobs in the queue: 1",
        "result: all is well",
    ]
    async with Queue("reports", server.url) as queue:
        assert await queue.expired_job_registry.count() == 1
        assert await queue.finished_job_registry.count() == 1


def test_the_readme_lists_every_example_with_its_command() -> None:
    page = (FOLDER / "README.md").read_text()
    programs = {path.name for path in FOLDER.glob("*.py")} - {"__init__.py", "jobs.py", "orders.py", "database.py"}
    listed = dict(re.findall(r"^\| \[(\w+\.py)\]\(\1\) \|.*\| `([^`]+)` \|$", page, re.MULTILINE))
    assert listed.keys() == programs
    for name, command in listed.items():
        assert f"examples.{name.removesuffix('.py')}" in command


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.py")), ids=lambda path: path.name)
def test_an_example_is_short_and_says_what_it_is(path: Path) -> None:
    lines = path.read_text().splitlines()
    assert len(lines) <= 65
    assert lines[0].startswith('"""')
