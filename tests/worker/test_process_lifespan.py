"""What each process for jobs opens before its first job, and closes after its last one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from aioq import InvalidInput, Queue, Worker, current_job, get_resources
from tests.worker import apart

PLACE = "AIOQ_TEST_NOTES"


@contextmanager
def database() -> Iterator[str]:
    note("opens")
    yield f"database of {os.getpid()}"
    note("closes")


def plain_generator() -> Iterator[str]:
    yield "of a generator"


@contextmanager
def broken() -> Iterator[None]:
    raise OSError("no database")
    yield


@contextmanager
def broken_at_its_end() -> Iterator[None]:
    yield
    raise OSError("it does not close")


def no_manager() -> int:
    return 5


async def awaited() -> None: ...


def note(word: str) -> None:
    apart.note(os.environ[PLACE], word, os.getpid())


def use() -> tuple[str, str, int]:
    return current_job().resources, get_resources(str), os.getpid()


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(PLACE, str(tmp_path / "notes"))
    return tmp_path / "notes"


async def run(server, lifespan: Any) -> None:
    await Worker("default", server.url, job_processes=1, process_lifespan=lifespan).run(burst=True)


async def results(queue: Queue, server, lifespan: Any, number: int = 1) -> list[Any]:
    made = [await queue.using(executor="process").enqueue(use) for _ in range(number)]
    await run(server, lifespan)

    return [await job.result(0) for job in made]


@pytest.mark.parametrize("lifespan", [database, f"{__name__}:database", f"{__name__}.database"])
async def test_a_process_enters_it_once_and_leaves_it_at_its_end(
    queue: Queue, server, place: Path, lifespan: Any
) -> None:
    first, second = await results(queue, server, lifespan, 2)
    assert first == second
    assert first[0] == first[1] == f"database of {first[2]}"
    assert apart.notes(place) == [[word, str(first[2])] for word in ("opens", "closes")]


async def test_a_generator_will_do(queue: Queue, server) -> None:
    ((own, _, _),) = await results(queue, server, plain_generator)
    assert own == "of a generator"


@pytest.mark.parametrize(("lifespan", "told"), [(broken, "OSError: no database"), (no_manager, "returned int")])
async def test_a_failing_start_fails_the_job_with_its_error(
    queue: Queue, server, lifespan: Any, told: str
) -> None:
    job = await queue.using(executor="process").enqueue(use)
    await run(server, lifespan)
    await job.refresh()
    assert job.status == "failed"
    assert f"process_lifespan {__name__}.{lifespan.__name__} has failed at its start" in (job.exc_info or "")
    assert told in (job.exc_info or "")


async def test_a_failing_end_is_logged_and_changes_nothing(
    queue: Queue, server, capfd: pytest.CaptureFixture[str]
) -> None:
    ((_, _, pid),) = await results_of_pid(queue, server)
    assert pid
    told = capfd.readouterr().err
    assert f"process_lifespan {__name__}.broken_at_its_end has failed at its end" in told
    assert "OSError: it does not close" in told


async def results_of_pid(queue: Queue, server) -> list[tuple[None, None, int]]:
    job = await queue.using(executor="process").enqueue(apart.pid)
    await run(server, broken_at_its_end)

    return [(None, None, await job.result(0))]


@pytest.mark.parametrize("given", [5, "shop", awaited, lambda: None])
def test_what_a_process_cannot_enter_is_refused(given: Any) -> None:
    with pytest.raises(InvalidInput):
        Worker("default", process_lifespan=given)
