"""Functions that `aioq worker` is given by name: middleware, exception handlers, a process lifespan."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.tools import Cli

MODULE = """
from contextlib import contextmanager

from aioq import current_job

async def outer(job, call_next):
    print("outer", flush=True)
    return await call_next()

async def inner(job, call_next):
    print("inner", flush=True)
    return await call_next()

def report(job, exc_type, exc_value, traceback):
    print(job.id, exc_type.__name__, exc_value, flush=True)

@contextmanager
def model():
    yield "a model"

async def job():
    return 5

async def fails():
    raise LookupError("nothing")

def in_a_process():
    return current_job().resources
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    place = tmp_path / "shop"
    place.mkdir()
    (place / "tasks.py").write_text(MODULE)
    return place


def test_middleware_runs_around_each_job_the_first_one_outermost(cli: Cli, shop: Path) -> None:
    cli.enqueue("a", func="tasks.job")
    done = cli.process("worker", "--burst", "--middleware", "tasks:outer", "--middleware", "tasks:inner", cwd=shop)
    assert (done.returncode, done.stdout) == (0, "outer\ninner\n"), done.stderr
    assert cli.status("a") == "finished"


@pytest.mark.parametrize("name", ["tasks:report", "tasks.report"])
def test_exception_handlers_hear_of_failures(cli: Cli, shop: Path, name: str) -> None:
    cli.enqueue("a", func="tasks.fails")
    done = cli.call_in(shop, "worker", "--burst", "--exception-handler", name)
    assert (done.exit_code, done.stdout) == (0, "a LookupError nothing\n"), done.stderr
    assert cli.status("a") == "failed"


@pytest.mark.chaos
def test_processes_of_jobs_enter_a_lifespan(cli: Cli, shop: Path) -> None:
    cli.enqueue("a", func="tasks.in_a_process")
    done = cli.process("worker", "--burst", "--executor", "process", "--process-lifespan", "tasks:model", cwd=shop)
    assert done.returncode == 0, done.stderr
    assert '"a model"' in cli.process("job", "show", "a", "--json").stdout


@pytest.mark.parametrize(
    ("option", "name", "error"),
    [
        ("--middleware", "tasks:report", "expected a function of the form `async def name(job, call_next)`"),
        ("--exception-handler", "tasks:job", "it does not take four arguments"),
        ("--process-lifespan", "tasks:gone", "module tasks has no gone"),
        ("--middleware", "tasks", "expected a module and a name in it"),
    ],
)
def test_what_cannot_be_used_is_refused_and_nothing_is_claimed(
    cli: Cli, shop: Path, option: str, name: str, error: str
) -> None:
    cli.enqueue("a", func="tasks.job")
    done = cli.call_in(shop, "worker", "--burst", option, name)
    assert done.exit_code in (1, 2)
    assert error in done.stderr.replace("\n", " ")
    assert "Traceback" not in done.stderr
    assert cli.status("a") == "queued"
