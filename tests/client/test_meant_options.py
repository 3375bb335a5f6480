"""Options that aioq lacks, and misspelled ones: refused in every form of enqueue, and nothing is written."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from aioq import InvalidInput, Job, Queue

NAME = "tests.client.test_meant_options"


def collect(*args: Any, **kwargs: Any) -> list[Any]:
    return [list(args), kwargs]


def timed(timeout: int) -> int:
    return timeout


@pytest.mark.parametrize("function", [collect, f"{NAME}.collect"])
@pytest.mark.parametrize("name", ["depends_on", "group_id", "unique", "timeout", "job_timout"])
async def test_every_form_refuses_them_by_their_names(
    queue: Queue, raw: redis.Redis, function: Any, name: str
) -> None:
    given: Any = {name: 1}
    bound = queue.task(collect)
    forms = [
        lambda: queue.enqueue(function, 1, **given),
        lambda: queue.enqueue_in(5, function, 1, **given),
        lambda: queue.enqueue_at(datetime.now(UTC), function, 1, **given),
        lambda: queue.enqueue(function, kwargs={"x": 1}, **given),
        lambda: queue.using(ttl=5).enqueue(function, 1, **given),
        lambda: queue.using(ttl=5).enqueue_in(5, function, 1, **given),
        lambda: bound.enqueue(1, **given),
    ]
    makers = [
        lambda: Queue.prepare_data(function, (1,), **given),
        lambda: Job.create(function, (1,), **given),
        lambda: queue.using(**given),
    ]

    for form in forms:
        with pytest.raises(InvalidInput, match=name):
            await form()

    for maker in makers:
        with pytest.raises(InvalidInput, match=name):
            maker()

    assert raw.keys() == []


async def test_arguments_of_such_names_are_passed_apart(queue: Queue, burst: Callable[[], Awaitable[int]]) -> None:
    made = [
        await queue.enqueue(collect, args=(1,), kwargs={"depends_on": 2, "job_timout": 3}),
        await queue.enqueue_call(f"{NAME}.collect", (1,), {"depends_on": 2, "job_timout": 3}),
    ]
    own = await queue.using(ttl=5).enqueue(timed, timeout=7)
    await burst()

    assert [await job.result(5) for job in made] == [[[1], {"depends_on": 2, "job_timout": 3}]] * 2
    assert await own.result(5) == 7


async def test_what_asks_for_nothing_is_left_out(queue: Queue, burst: Callable[[], Awaitable[int]]) -> None:
    passed_on: Any = {"depends_on": None, "on_success": None, "unique": False, "ttl": None}
    made = [
        await queue.enqueue(collect, 1, x=2, **passed_on),
        await queue.enqueue_call(collect, (1,), {"x": 2}, **passed_on),
    ]
    await burst()

    assert [await job.result(5) for job in made] == [[[1], {"x": 2}]] * 2
