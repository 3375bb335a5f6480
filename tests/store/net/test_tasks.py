"""What is awaited has a time limit, and its own TimeoutError stays its own; several are waited for together."""

from __future__ import annotations

import asyncio
import math
import re
from pathlib import Path

import anyio
import pytest

import aioq
from aioq.store.net.tasks import all_settled, see_end, shared, within


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


async def test_who_waits_for_a_task_that_somebody_cancels_is_not_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(60))
    waits = [asyncio.create_task(shared(task)) for _ in range(2)]
    await asyncio.sleep(0)
    task.cancel()

    for wait in waits:
        with pytest.raises(ConnectionResetError, match="closed meanwhile"):
            await wait


async def test_a_task_goes_on_for_others_when_one_who_waits_is_cancelled() -> None:
    task = asyncio.create_task(asyncio.sleep(0.05, "done"))
    given_up = asyncio.create_task(shared(task))
    await asyncio.sleep(0)
    given_up.cancel()

    assert await shared(task) == "done"
    assert given_up.cancelled()


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


async def test_results_and_errors_of_all_come_in_their_order() -> None:
    async def fail() -> None:
        raise ValueError("not me")

    canceled = asyncio.create_task(asyncio.sleep(60))
    canceled.cancel()
    first, second, third, fourth = await all_settled(
        [asyncio.sleep(0.01, "a"), fail(), canceled, asyncio.sleep(0, "")]
    )
    assert (first, str(second), fourth) == ("a", "not me", "")
    assert isinstance(second, ValueError)
    assert isinstance(third, asyncio.CancelledError)
    assert await all_settled([]) == []


async def test_a_cancellation_ends_all_waits_for_them_and_stays_that_of_its_caller() -> None:
    cleaned: list[str] = []

    async def clean_up() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            with anyio.CancelScope(shield=True):
                await asyncio.sleep(0.02)
            cleaned.append("done")

    # The last one has ended when the time is over: asyncio.gather forgets whose cancellation it was.
    with anyio.move_on_after(0.05) as scope:
        await all_settled([clean_up(), asyncio.sleep(0)])

    assert scope.cancelled_caught
    assert cleaned == ["done"]


def test_nothing_waits_for_errors_by_gather() -> None:
    calls = re.compile(r"\bgather\([^#]*?return_exceptions=")
    assert calls.search("gather(\n    *some,\n    return_exceptions=True,\n)")
    files = Path(aioq.__file__).parent.rglob("*.py")
    assert [str(file) for file in files if calls.search(file.read_text())] == []
