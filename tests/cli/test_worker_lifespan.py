"""`aioq worker --lifespan`, in this process, and as one of its own where signals are sent."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.tools import Cli, Running

Start = Callable[..., Running]

MODULE = """
import asyncio
from contextlib import asynccontextmanager

from aioq import current_job

@asynccontextmanager
async def lifespan(worker):
    print("opens", worker.queue_names, flush=True)
    yield "the pool"
    print("closes", flush=True)

@asynccontextmanager
async def slow(worker):
    print("opens", flush=True)
    try:
        await asyncio.sleep(60)
    finally:
        print("cleans up", flush=True)
    yield

@asynccontextmanager
async def broken(worker):
    raise OSError("no database")
    yield

@asynccontextmanager
async def broken_at_its_end(worker):
    yield
    raise OSError("the pool does not close")

async def job():
    return current_job().resources
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    place.mkdir()
    (place / "tasks.py").write_text(MODULE)
    return place


def test_a_worker_opens_and_closes_what_its_jobs_share(cli: Cli, shop: Path) -> None:
    cli.enqueue("a", func="tasks.job")
    done = cli.process("worker", "--burst", "--lifespan", "tasks:lifespan", cwd=shop)
    assert (done.returncode, done.stdout) == (0, "opens ['default']\ncloses\n"), done.stderr
    assert cli.status("a") == "finished"
    assert '"the pool"' in cli.call("job", "show", "a", "--json").stdout


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.chaos)])
def test_a_stop_signal_ends_a_worker_whose_jobs_share_something(start: Start, shop: Path, number: int) -> None:
    worker = start("worker", "--lifespan", "tasks:lifespan", cwd=shop)
    worker.says("serves default")
    worker.signal(number)
    assert worker.ends() == 0
    assert worker.stdout == "opens ['default']\ncloses\n"


@pytest.mark.parametrize(
    ("number", "code"), [pytest.param(signal.SIGTERM, 143, marks=pytest.mark.chaos), (signal.SIGINT, 130)]
)
def test_a_signal_during_the_start_cancels_it(start: Start, shop: Path, number: int, code: int) -> None:
    worker = start("worker", "--lifespan", "tasks:slow", "--pid", "worker.pid", cwd=shop)
    worker.says("opens")
    worker.signal(number)
    assert worker.ends() == code
    assert worker.stdout == "opens\ncleans up\n"
    assert "Traceback" not in worker.stderr
    assert not (shop / "worker.pid").exists()


@pytest.mark.parametrize(
    ("name", "error"),
    [
        (
            "broken",
            "lifespan tasks.broken has failed at its start: OSError: no database ({shop}/tasks.py, line 24)",
        ),
        ("gone", "--lifespan='tasks:gone': module tasks has no gone"),
    ],
)
def test_a_start_that_fails_is_one_error_and_nothing_is_claimed(
    cli: Cli, shop: Path, name: str, error: str
) -> None:
    cli.enqueue("a", func="tasks.job")
    done = cli.call_in(shop, "worker", "--burst", "--lifespan", f"tasks:{name}")
    assert (done.exit_code, done.stderr) == (1, f"Error: {error.format(shop=shop)}\n")
    assert cli.status("a") == "queued"


def test_an_end_that_fails_comes_after_the_jobs_are_recorded(cli: Cli, shop: Path) -> None:
    cli.enqueue("a", func="tasks.job")
    done = cli.call_in(shop, "worker", "--burst", "--lifespan", "tasks:broken_at_its_end")
    assert done.exit_code == 1
    assert "Error: lifespan tasks.broken_at_its_end has failed at its end: OSError: the pool does" in done.stderr
    assert cli.status("a") == "finished"


@pytest.mark.parametrize(
    "name",
    [
        "tasks",
        *(pytest.param(name, marks=pytest.mark.chaos) for name in ("tasks.", "tasks:", "shop/tasks:lifespan")),
    ],
)
def test_what_is_no_name_in_a_module_is_refused(cli: Cli, shop: Path, name: str) -> None:
    done = cli.call_in(shop, "worker", "--burst", "--lifespan", name)
    assert done.exit_code == 2
    assert "expected a module and a name in it, such as" in done.stderr


def test_what_cannot_be_called_is_refused(cli: Cli, shop: Path) -> None:
    (shop / "tasks.py").write_text("lifespan = 5\n")
    done = cli.call_in(shop, "worker", "--burst", "--lifespan", "tasks:lifespan")
    assert done.exit_code == 2
    assert "lifespan=5: expected a function with @asynccontextmanager" in done.stderr
