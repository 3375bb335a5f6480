"""What functions of jobs ask for with `Depends`: it is given in each run, and cleaned up at its end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Annotated, Any

import fastapi
import pytest

from aioq import Job, Queue, Retry, Worker
from aioq.errors import InvalidFunction
from aioq.values.depends import Depends
from aioq.values.errors import InvalidInput
from aioq.worker.dependencies import needs_of
from tests import jobs
from tests.worker.notes import notes

KEY = "dependencies"


@pytest.fixture(autouse=True)
def _fresh() -> None:
    notes[KEY].clear()


class Session:
    def __init__(self, url: str = "db") -> None:
        self.url = url


def settings() -> str:
    notes[KEY].append(("settings", threading.current_thread() is threading.main_thread()))
    return "db://shop"


async def get_session(url: str = Depends(settings)) -> AsyncIterator[Session]:
    notes[KEY].append("opened")
    try:
        yield Session(url)
    except ValueError as error:
        notes[KEY].append(f"rolled back: {error}")
        raise
    else:
        notes[KEY].append("committed")
    finally:
        notes[KEY].append("closed")


def get_plain_session() -> Iterator[Session]:
    notes[KEY].append(("opened", threading.current_thread() is threading.main_thread()))
    yield Session()
    notes[KEY].append(("closed", threading.current_thread() is threading.main_thread()))


@asynccontextmanager
async def managed() -> AsyncIterator[Session]:
    notes[KEY].append("opened")
    yield Session("managed")
    notes[KEY].append("closed")


@contextmanager
def managed_plainly() -> Iterator[Session]:
    yield Session("managed plainly")
    notes[KEY].append("closed")


SessionOfRun = Annotated[Session, Depends(get_session)]
SessionOfFastapi = Annotated[Session, fastapi.Depends(get_session)]


async def by_default(x: int, session: Session = Depends(get_session)) -> tuple[int, str]:
    notes[KEY].append("ran")
    return x, session.url


async def annotated(x: int, session: SessionOfRun) -> tuple[int, str]:
    return x, session.url


async def of_fastapi(x: int, session: SessionOfFastapi) -> tuple[int, str]:
    return x, session.url


async def of_fastapi_by_default(x: int, session: Session = fastapi.Depends(get_session)) -> tuple[int, str]:
    return x, session.url


def on_a_thread(x: int, session: Session = Depends(get_session)) -> tuple[int, str]:
    assert threading.current_thread() is not threading.main_thread()
    return x, session.url


async def items(x: int, session: Session = Depends(get_session)) -> AsyncIterator[Any]:
    yield x
    yield session.url


async def in_the_middle(session: SessionOfRun, x: int) -> tuple[int, str]:
    return x, session.url


async def fails(session: Session = Depends(get_session)) -> None:
    raise ValueError(f"no money at {session.url}")


async def error_of(job: Job[Any]) -> str:
    await job.refresh()
    return job.exc_info or ""


async def run(queue: Queue, func: Any, *args: Any, **options: Any) -> Job[Any]:
    job = await queue.enqueue(func, *args, **options)
    await Worker(queue).run(burst=True)
    await job.refresh()
    return job


@pytest.mark.parametrize("function", [by_default, annotated, of_fastapi, of_fastapi_by_default, on_a_thread])
async def test_each_form_is_given_what_it_asks_for(queue: Queue, function: Any) -> None:
    job = await run(queue, function, 7)
    assert await job.result(1) == (7, "db://shop")
    assert notes[KEY][:2] == [("settings", False), "opened"]
    assert notes[KEY][-2:] == ["committed", "closed"]


async def test_a_generator_is_given_what_it_asks_for(queue: Queue) -> None:
    assert await (await run(queue, items, 7)).result(1) == [7, "db://shop"]
    assert notes[KEY][-2:] == ["committed", "closed"]


async def test_a_dependency_may_stand_before_what_the_job_brings(queue: Queue) -> None:
    assert await (await run(queue, in_the_middle, x=7)).result(1) == (7, "db://shop")

    with pytest.raises(InvalidFunction, match="missing a required argument: 'x'"):
        await queue.enqueue(in_the_middle)


async def test_what_the_job_brings_is_not_asked_for(queue: Queue) -> None:
    job = await run(queue, by_default, 7, session=Session("of the job"))
    assert await job.result(1) == (7, "of the job")
    job = await run(queue, by_default, 7, Session("of the job"))
    assert await job.result(1) == (7, "of the job")
    assert notes[KEY] == ["ran", "ran"]


async def test_a_failure_is_raised_at_the_yield_and_stays_a_failure(queue: Queue) -> None:
    job = await run(queue, fails)
    assert (job.status, notes[KEY][-2:]) == ("failed", ["rolled back: no money at db://shop", "closed"])
    assert "ValueError: no money at db://shop" in await error_of(job)


async def swallow() -> AsyncIterator[None]:
    try:
        yield
    except ValueError:
        notes[KEY].append("swallowed")


async def fails_beside_it(_: None = Depends(swallow)) -> None:
    raise ValueError("told")


async def test_a_dependency_that_swallows_an_error_hides_nothing(queue: Queue) -> None:
    job = await run(queue, fails_beside_it)
    assert (job.status, notes[KEY]) == ("failed", ["swallowed"])
    assert "ValueError: told" in await error_of(job)


async def breaks_at_its_end() -> AsyncIterator[int]:
    yield 1
    raise OSError("the commit failed")


async def needs_a_commit(x: int = Depends(breaks_at_its_end)) -> int:
    return x


async def test_a_clean_up_that_fails_fails_the_attempt(queue: Queue) -> None:
    job = await run(queue, needs_a_commit, retry=Retry(1))
    assert (job.status, job.attempt) == ("failed", 2)
    assert "OSError: the commit failed" in await error_of(job)


async def both(
    first: SessionOfRun, second: SessionOfRun, other: Session = Depends(get_session, use_cache=False)
) -> Any:
    return first is second, other is first


async def test_a_value_is_cached_within_a_run(queue: Queue) -> None:
    assert await (await run(queue, both)).result(1) == (True, False)
    assert notes[KEY].count("opened") == 2


@pytest.mark.parametrize(
    ("provider", "url"),
    [(managed, "managed"), (managed_plainly, "managed plainly"), (get_plain_session, "db"), (Session, "db")],
)
async def test_whatever_provides_is_called_as_it_is_made(
    queue: Queue, provider: Any, url: str, monkeypatch
) -> None:
    async def job(session: Any = Depends(provider)) -> str:
        return str(session.url)

    name = f"given_{provider.__name__}"  # a worker keeps what it has found under a name
    monkeypatch.setattr(jobs, name, job, raising=False)
    job.__module__, job.__qualname__ = "tests.jobs", name
    done = await run(queue, job)
    assert await done.result(1) == url
    assert all(each in ("opened", "closed", ("opened", False), ("closed", False)) for each in notes[KEY])


async def open_pool() -> AsyncIterator[Session]:
    notes[KEY].append("pool opened")
    await asyncio.sleep(0.01)
    yield Session("pool")
    notes[KEY].append("pool closed")


async def get_connection(
    pool: Session = Depends(open_pool, scope="worker"),
) -> AsyncIterator[tuple[Session, object]]:
    yield pool, object()


async def with_pool(connection: Any = Depends(get_connection)) -> str:
    notes[KEY].append(connection)
    return str(connection[0].url)


async def test_what_is_of_the_worker_is_opened_once_and_closed_at_the_end(queue: Queue) -> None:
    made = await queue.enqueue_many([Queue.prepare_data(with_pool) for _ in range(5)])
    await Worker(queue).run(burst=True)
    assert [await (await queue.fetch_job(each.id)).result(1) for each in made] == ["pool"] * 5
    seen = notes[KEY]
    assert (seen[0], seen[-1], seen.count("pool opened")) == ("pool opened", "pool closed", 1)
    assert len({id(each[0]) for each in seen[1:-1]}) == 1
    assert len({id(each[1]) for each in seen[1:-1]}) == 5


async def opens_at_the_second_time() -> AsyncIterator[int]:
    notes[KEY].append("tried")

    if len(notes[KEY]) == 1:
        raise OSError("not yet")

    yield 5
    raise OSError("does not close")


async def with_late_pool(pool: int = Depends(opens_at_the_second_time, scope="worker")) -> int:
    return pool


async def test_what_could_not_be_opened_is_tried_again(queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    job = await run(queue, with_late_pool, retry=Retry(1))
    assert (job.status, job.attempt, notes[KEY]) == ("finished", 2, ["tried", "tried"])
    assert "the dependency opens_at_the_second_time has failed when it was closed" in caplog.text


# What cannot be provided


def without_default(url: str) -> str:
    return url


def of_a_request(request: fastapi.Request) -> None: ...


def of_a_query(page: int = fastapi.Query(1)) -> None: ...


async def unknown(x: int, name: str = Depends(without_default)) -> None: ...


async def below(session: Any = Depends(of_a_request)) -> None: ...


async def query(session: Any = Depends(of_a_query)) -> None: ...


async def unresolved(session: Annotated[Missing, Depends(settings)]) -> None: ...  # noqa: F821


async def secured(user: Any = fastapi.Security(settings)) -> None: ...


async def per_run() -> int:
    return 1


async def per_worker(x: int = Depends(per_run)) -> int:
    return x


async def outlives(x: int = Depends(per_worker, scope="worker")) -> None: ...


async def circle(x: Any = None) -> None: ...


circle.__defaults__ = (Depends(circle),)


async def positional(x: Any = Depends(settings), /) -> None: ...


NAME = __name__
BROKEN = [
    (unknown, "unknown > name > without_default > url: it has neither a Depends nor a default"),
    (below, "below > session > of_a_request > request: starlette.Request belongs to a web request"),
    (query, "query > session > of_a_query > page: fastapi.Query belongs to a web request"),
    (
        unresolved,
        "unresolved: parameter session: its annotation 'Annotated[Missing, Depends(settings)]' can",
    ),
    (secured, "secured: Security of FastAPI is for requests"),
    (outlives, 'outlives > x > per_worker > x: a dependency with scope="worker" outlives the run'),
    (circle, "circle > x > circle: the dependencies form a circle"),
    (positional, "positional > x: a parameter before a / cannot be given by its name"),
]


@pytest.mark.parametrize(("function", "text"), BROKEN)
def test_what_cannot_be_provided_is_refused_with_the_path_to_it(function: Any, text: str) -> None:
    with pytest.raises(InvalidFunction) as caught:
        needs_of(function, f"shop.{function.__name__}")

    assert f"shop.{text}" in str(caught.value)


async def test_a_job_whose_dependencies_cannot_be_provided_fails_without_retries(queue: Queue) -> None:
    job = await run(queue, unknown, 1, retry=Retry(3))
    assert (job.status, job.attempt) == ("failed", 1)
    assert "test_dependencies.unknown > name > without_default > url: it has neither" in await error_of(job)


@pytest.mark.parametrize("given", [5, "shop.get_session"])
def test_what_cannot_be_called_is_no_dependency(given: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a function"):
        Depends(given)


def test_there_are_two_scopes() -> None:
    with pytest.raises(InvalidInput, match='expected "run" or "worker"'):
        Depends(settings, scope="request")  # type: ignore[arg-type]


def test_a_function_without_dependencies_needs_nothing() -> None:
    for each in (jobs.noop, jobs.add, jobs.add_sync, print, Session):
        assert needs_of(each, "shop.f") == ()
