from __future__ import annotations

import inspect
from functools import wraps
from types import FunctionType
from typing import Any

import pytest

from aioq import Job, Queue
from aioq.client.enqueuing import Enqueuing
from aioq.client.mixed import Mixed
from aioq.client.parts import part_of
from aioq.client.registries import Registries
from aioq.client.snapshot import Snapshot
from aioq.client.view import JobView
from aioq.client.waiting import Waiting


@pytest.mark.parametrize(
    ("part", "owner"),
    [(JobView, Job), (Snapshot, Job), (Waiting, Job), (Enqueuing, Queue), (Mixed, Queue), (Registries, Queue)],
)
def test_the_methods_of_a_part_bear_the_name_of_the_class_that_users_know(part: type, owner: type) -> None:
    found = {
        name: getattr(value, "__func__", getattr(value, "fget", value))
        for name, value in vars(part).items()
        if isinstance(value, FunctionType | staticmethod | property)
    }
    assert {name: value.__qualname__ for name, value in found.items()} == {
        name: f"{owner.__name__}.{name}" for name in found
    }
    assert {inspect.unwrap(value).__qualname__.partition(".")[0] for value in found.values()} == {owner.__name__}


def test_what_is_no_function_keeps_its_name() -> None:
    def wrapping(function: Any) -> Any:
        @wraps(function)
        def call(self: object) -> str:
            return str(function(self))

        return call

    @part_of("Whole")
    class Part:
        __slots__ = ("slot",)

        class Inner:
            pass

        @wrapping
        def wrapped(self) -> str:
            return "it works"

    assert Part.Inner.__qualname__.endswith("Part.Inner")
    assert (Part.wrapped.__qualname__, Part.wrapped.__wrapped__.__qualname__) == ("Whole.wrapped", "Whole.wrapped")
    assert Part().wrapped() == "it works"


async def test_a_wrong_argument_is_told_with_the_class_that_users_know(queue: Queue) -> None:
    job: Any = Job.create("m.f")

    with pytest.raises(TypeError, match=r"^Job\.result\(\) got an unexpected keyword argument 'limit'"):
        job.result(limit=5)

    with pytest.raises(TypeError, match=r"^Queue\.enqueue_job\(\) got an unexpected keyword argument 'limit'"):
        queue.enqueue_job(job, limit=5)  # type: ignore[call-arg]
