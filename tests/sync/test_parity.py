"""Everything public of Queue, Job and Registry has a plain twin with the same arguments."""

from __future__ import annotations

import inspect
from types import FunctionType
from typing import Any, get_overloads

import pytest

import aioq
import aioq.sync
import aioq.types
from aioq.client import context
from aioq.sync import using as plain
from aioq.types import BoundTask, Using
from tests import interface

TWINS: dict[type, type] = {
    aioq.Queue: aioq.sync.Queue,
    aioq.Job: aioq.sync.Job,
    aioq.Group: aioq.sync.Group,
    aioq.types.Registry: aioq.sync.Registry,
    Using: plain.Using,
    BoundTask: plain.BoundTask,
    context.CurrentJob: aioq.sync.CurrentJob,
}

#: The few names that differ: those that say that they are awaited.
RENAMED = {"aclose": "close", "__aenter__": "__enter__", "__aexit__": "__exit__"}

#: What other packages of aioq use.
INTERNAL = set().union(*interface.INTERNAL.values()) | {"asyncio_form", "worker_loop"}

EVERY_TWIN = pytest.mark.parametrize("kind", TWINS, ids=lambda kind: kind.__name__)


def public(kind: type) -> dict[str, Any]:
    """The public attributes of a class, and how it is entered and left."""
    names = {name for name in dir(kind) if not name.startswith("_") or name in {*RENAMED, *RENAMED.values()}}

    return {name: inspect.getattr_static(kind, name) for name in names - INTERNAL}


def function_of(value: Any) -> Any:
    return inspect.unwrap(getattr(value, "__func__", getattr(value, "fget", value)))


def taken(value: Any) -> list[tuple[Any, ...]]:
    """What a call takes: names, kinds, defaults and types."""
    parameters = inspect.signature(function_of(value)).parameters.values()

    return [(each.name, each.kind, each.default, str(each.annotation)) for each in parameters]


def given(value: Any) -> str:
    """The type of what a call gives, once it was awaited."""
    text = str(inspect.get_annotations(function_of(value)).get("return", ""))

    if text.startswith("AsyncGenerator"):
        return text.replace("AsyncGenerator", "Iterator", 1)

    return text.removeprefix("Coroutine[Any, Any, ").removesuffix("]") if text.startswith("Coroutine") else text


def overloads(value: Any) -> list[tuple[Any, ...]]:
    """What type checkers see of a call that has several forms."""
    function = function_of(value)
    # The methods of a part bear the name of the class that inherits them; their forms are known by their own.
    own = FunctionType(function.__code__, {"__name__": function.__module__})
    own.__qualname__ = function.__code__.co_qualname

    return [(taken(form), given(form)) for form in get_overloads(own)]


@EVERY_TWIN
def test_each_public_name_has_a_twin_of_its_kind(kind: type) -> None:
    here, there = public(TWINS[kind]), public(kind)
    assert {RENAMED.get(name, name) for name in there} == here.keys()
    differing = [name for name, value in there.items() if type(value) is not type(here[RENAMED.get(name, name)])]
    assert differing == []


@EVERY_TWIN
def test_each_call_takes_and_gives_what_its_twin_does(kind: type) -> None:
    here, there = public(TWINS[kind]), public(kind)
    compared = 0

    for name, value in there.items():
        twin = here[RENAMED.get(name, name)]

        if inspect.isfunction(function_of(value)):
            assert taken(twin) == taken(value), name
            assert given(twin) == given(value), name
            assert overloads(twin) == overloads(value), name
            assert not inspect.iscoroutinefunction(function_of(twin)), name
            compared += 1

    assert compared >= 7


@EVERY_TWIN
def test_each_call_is_told_as_its_twin_is(kind: type) -> None:
    here, there = public(TWINS[kind]), public(kind)

    for name, value in there.items():
        if inspect.isfunction(function_of(value)) and not name.startswith("_") and kind is not context.CurrentJob:
            twin = here[RENAMED.get(name, name)]
            assert interface.first_sentence(function_of(twin).__doc__) == interface.first_sentence(
                function_of(value).__doc__
            )


def test_calls_have_several_forms() -> None:
    assert len(overloads(aioq.sync.Queue.enqueue)) == 8
    assert len(overloads(aioq.sync.Queue.prepare_data)) == len(overloads(aioq.sync.Job.create)) == 4
    assert len(overloads(plain.BoundTask.enqueue)) == 3


def test_a_queue_is_made_with_the_same_arguments() -> None:
    assert taken(aioq.sync.Queue.__init__) == taken(aioq.Queue.__init__)


def test_the_attributes_of_objects_are_there(queue: aioq.sync.Queue) -> None:
    made = {aioq.Queue: queue, aioq.types.Registry: queue.failed_job_registry, BoundTask: queue.task(print)}

    for kind, thing in made.items():
        assert [name for name in interface.ATTRIBUTES[kind] if not hasattr(thing, name)] == []


def test_the_functions_of_the_package_are_there() -> None:
    for name in ("current_job", "get_current_job"):
        assert taken(getattr(aioq.sync, name)) == taken(getattr(aioq, name))
        assert given(getattr(aioq.sync, name)) == given(getattr(aioq, name))

    assert list(aioq.sync.__all__) == sorted(aioq.sync.__all__)
    assert set(aioq.sync.__all__) - {"CurrentJob", "Registry"} <= set(aioq.__all__)  # aioq.types has Registry


def test_a_later_addition_that_has_no_twin_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def peek(self: object, limit: int = 1) -> list[str]:
        return []

    monkeypatch.setattr(aioq.Queue, "peek", peek, raising=False)
    with pytest.raises(AssertionError):
        test_each_public_name_has_a_twin_of_its_kind(aioq.Queue)

    monkeypatch.setattr(aioq.sync.Queue, "peek", lambda self, limit=2: [], raising=False)
    test_each_public_name_has_a_twin_of_its_kind(aioq.Queue)
    with pytest.raises(AssertionError, match="peek"):
        test_each_call_takes_and_gives_what_its_twin_does(aioq.Queue)
