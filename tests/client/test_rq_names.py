"""Who uses a name of RQ that is another one here is told so, and nobody else notices."""

from __future__ import annotations

import inspect
import re
from typing import Any

import pytest

import aioq
from aioq import Job, Queue, Retry, Worker, WorkerPool, task
from aioq.errors import InvalidType
from aioq.types import Registry
from aioq.values import rq_names
from tests import jobs

TABLES = {name: value for name, value in vars(rq_names).items() if name.isupper() and isinstance(value, dict)}


@pytest.fixture
async def owners(queue: Queue) -> dict[str, Any]:
    """For each table of attributes, an object of its class."""
    return {
        "QUEUE": queue,
        "REGISTRY": queue.failed_job_registry,
        "JOB": await queue.enqueue(jobs.noop),
        "WORKER": Worker(queue),
        "POOL": WorkerPool(),
        "TASK": queue.task(jobs.noop),
        "LOOSE_TASK": task(jobs.noop),
        "RETRY": Retry(1),
    }


async def test_an_attribute_that_rq_has_is_told(owners: dict[str, Any]) -> None:
    for table, owner in owners.items():
        for name in TABLES[table]:
            if not name.startswith("__"):
                assert not hasattr(owner, name)
                with pytest.raises(AttributeError, match=rf"has no '{name}', unlike RQ's\. \S.*\.$"):
                    getattr(owner, name)

        with pytest.raises(AttributeError, match=f"'{type(owner).__name__}' object has no attribute 'nonsense'"):
            owner.nonsense


async def test_what_is_named_instead_is_there(owners: dict[str, Any]) -> None:
    """The first name behind a dot of each piece of code is an attribute."""
    words = {
        "queue": "QUEUE",
        "registry": "REGISTRY",
        "job": "JOB",
        "worker": "WORKER",
        "pool": "POOL",
        "task": "TASK",
    }
    seen = 0

    for table in owners:
        for text in TABLES[table].values():
            for word, attribute in re.findall(r"\b(queue|registry|job|worker|pool|task)\.(\w+)", text):
                seen += 1
                assert hasattr(owners[words[word]], attribute), text

    assert seen > 20


def test_an_argument_that_rq_has_is_told() -> None:
    for table, call in {
        "QUEUE_ARGUMENTS": Queue,
        "WORKER_ARGUMENTS": Worker,
        "RUN_ARGUMENTS": Worker("q", "redis://localhost").run,
        "POOL_ARGUMENTS": WorkerPool,
        "FETCH_ARGUMENTS": Job.fetch,
        "FETCH_MANY_ARGUMENTS": Job.fetch_many,
        "ENQUEUE_MANY_ARGUMENTS": Queue("q", "redis://localhost").enqueue_many,
        "LIST_ARGUMENTS": Queue("q", "redis://localhost").failed_job_registry.job_ids,
    }.items():
        own = inspect.signature(call).parameters
        for name in TABLES[table]:
            assert name not in own
            with pytest.raises(InvalidType, match=rf"has no argument '{name}', unlike RQ's\. \S.*\.$"):
                call(**{name: 1})  # type: ignore[operator]
        with pytest.raises(TypeError, match=r"unexpected keyword argument 'nonsense'") as caught:
            call(nonsense=1)  # type: ignore[operator]
        assert type(caught.value) is TypeError


def test_a_type_error_of_the_call_itself_stays_as_it_is() -> None:
    @rq_names.tell_rq_arguments({"old": "new=…"})
    def call(**named: int) -> None:
        raise TypeError("f() got an unexpected keyword argument 'old'")

    with pytest.raises(TypeError, match=r"^f\(\) got") as caught:
        call(other=1)
    assert type(caught.value) is TypeError


@pytest.mark.parametrize("name", rq_names.MODULE)
def test_what_rq_exports_is_told_on_import(name: str) -> None:
    with pytest.raises(ImportError, match=rf"^aioq has no {name}, unlike RQ\. \S.*\.$"):
        exec(f"from aioq import {name}")


def test_what_nobody_has_is_an_ordinary_error() -> None:
    with pytest.raises(ImportError, match="cannot import name 'nonsense'"):
        exec("from aioq import nonsense")
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        aioq.nonsense


def test_a_worker_can_be_imported_as_in_rq() -> None:
    from aioq.worker import Worker as again

    assert again is Worker


async def test_questions_that_python_cannot_await(queue: Queue) -> None:
    registry = queue.failed_job_registry
    with pytest.raises(TypeError, match=r"Write `await queue\.count\(\)`"):
        len(queue)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Write `await registry\.count\(\)`"):
        len(registry)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"Write `await registry\.contains\(job\)`"):
        "id" in registry  # type: ignore[operator]
    assert queue
    assert registry


async def test_an_error_inside_of_a_property_is_not_hidden(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise AttributeError("the cause")

    monkeypatch.setattr(Registry, "broken", property(broken), raising=False)
    with pytest.raises(AttributeError, match="the cause"):
        queue.failed_job_registry.broken  # type: ignore[attr-defined]


async def test_names_of_rq_are_offered_by_no_completion(owners: dict[str, Any]) -> None:
    for table, owner in owners.items():
        assert not {name for name in TABLES[table] if not name.startswith("__")} & set(dir(owner))
