"""What is awaited has a time limit, and its own TimeoutError stays its own."""

from __future__ import annotations

import asyncio
import math

import pytest

from aioq.store.net.tasks import see_end, within


@pytest.mark.parametrize("seconds", [5, math.inf])
async def test_a_result_in_time_is_given_back(seconds: float) -> None:
    assert await within(asyncio.sleep(0, "done"), seconds) == "done"


async def test_what_takes_too_long_is_ended_and_says_how_long_it_had() -> None:
    task = asyncio.create_task(asyncio.sleep(60))

    with pytest.raises(TimeoutError, match=r"no answer within 0\.0125 s"):
        await within(task, 0.0125)

    assert task.cancelled()


async def test_a_timeout_of_what_is_awaited_keeps_its_text() -> None:
    async def fail() -> None:
        raise TimeoutError("the disk is slow")

    with pytest.raises(TimeoutError, match="the disk is slow"):
        await within(fail(), 5)


async def test_an_error_that_was_seen_is_not_reported() -> None:
    reported: list[object] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: reported.append(context))

    async def fail() -> None:
        raise ValueError("nobody waits for it")

    task = asyncio.create_task(fail())
    task.add_done_callback(see_end)
    canceled = asyncio.create_task(asyncio.sleep(60))
    canceled.add_done_callback(see_end)
    canceled.cancel()
    await asyncio.wait([task, canceled])
    await asyncio.sleep(0)
    del task
    assert reported == []
