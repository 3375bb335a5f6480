"""What a worker tells of the types of its tasks: those of typed queues, within a bound."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from aioq import Queue, task
from aioq.store.worker_info import read_schemas
from aioq.values.errors import WorkerError
from aioq.worker.description import Description
from aioq.worker.heartbeat import BEATS_PER_DESCRIPTION
from aioq.worker.schemas import MAX_BYTES, schemas_of
from tests import jobs


@dataclass
class Doc:
    title: str


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Makes a module of tasks; its name."""

    def make(**names: Any) -> str:
        made = ModuleType("made_of_tasks")
        vars(made).update(names)
        monkeypatch.setitem(sys.modules, made.__name__, made)
        return made.__name__

    return make


def function(name: str) -> Callable[..., Any]:
    async def func(doc: Doc) -> int: ...  # type: ignore[empty-body]

    func.__module__, func.__name__, func.__qualname__ = "made_of_tasks", name, name
    return func


def test_tasks_of_typed_queues_are_told(module: Callable[..., str]) -> None:
    typed, plain = Queue(serializer="typed"), Queue()
    name = module(a=typed.task(function("a")), b=plain.task(function("b")), c=task(function("c")), d=function("d"))
    assert list(json.loads(schemas_of([name]))) == ["made_of_tasks.a"]
    assert list(json.loads(schemas_of([name], all_typed=True))) == [f"made_of_tasks.{each}" for each in "abc"]
    assert schemas_of([jobs.__name__]) == schemas_of([]) == ""


def test_there_is_a_bound_and_what_is_left_out_is_told(
    module: Callable[..., str], caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"f{number:03}" for number in range(500)]
    told = schemas_of([module(**{name: task(function(name)) for name in names})], all_typed=True)
    assert MAX_BYTES - 1000 < len(told.encode()) <= MAX_BYTES
    kept = list(json.loads(told))
    assert kept == [f"made_of_tasks.{name}" for name in names[: len(kept)]]
    assert f"the types of {500 - len(kept)} tasks are not told" in caplog.text


def test_a_task_whose_types_cannot_be_used_is_an_error(module: Callable[..., str]) -> None:
    wrong = function("wrong")
    wrong.__annotations__["doc"] = "Nowhere"
    with pytest.raises(WorkerError, match=r"made_of_tasks\.wrong: parameter doc: its annotation 'Nowhere'"):
        schemas_of([module(wrong=task(wrong))], all_typed=True)


def test_they_are_told_with_the_first_description_and_then_with_few() -> None:
    slots = SimpleNamespace(running=0, concurrency=8, successful=5, failed=2)
    parts = (
        slots,
        SimpleNamespace(is_requested=False),
        SimpleNamespace(may_claim=True),
        SimpleNamespace(blocks=1, lag=0.0, memory=0),
    )
    told = ["schemas" in Description(*parts, schemas="{}").facts() for _ in range(2)]
    assert told == [True, True]
    description = Description(*parts, schemas="{}")
    told = ["schemas" in description.facts() for _ in range(2 * BEATS_PER_DESCRIPTION)]
    assert [at for at, has in enumerate(told) if has] == [0, BEATS_PER_DESCRIPTION]
    assert "schemas" not in Description(*parts).facts()


@pytest.mark.parametrize("data", [b"", b"[", b"[1]", b"5", b"\xff", b"[" * 100_000])
def test_damaged_ones_are_none(data: bytes) -> None:
    assert read_schemas(data) == {}


def test_what_is_no_schema_is_left_out() -> None:
    assert read_schemas(b'{"a":{"x":1},"b":5}') == {"a": {"x": 1}}
