"""assert_enqueued and refute_enqueued: which jobs wait."""

from __future__ import annotations

from datetime import timedelta
from unittest.mock import ANY

import pytest

from aioq import InvalidInput
from aioq.errors import InvalidFunction
from aioq.testing import TestKit
from tests.testing import work


async def test_a_job_that_waits_is_found_by_its_function(kit: TestKit) -> None:
    job = await kit.queue().enqueue(work.add, 1, 2)
    for function in (work.add, "tests.testing.work.add"):
        assert await kit.assert_enqueued(function) == job
    await kit.refute_enqueued(work.boom)
    await kit.run_until_idle()
    await kit.refute_enqueued(work.add)


@pytest.mark.parametrize(
    ("args", "kwargs", "fits"),
    [
        ((1,), {}, True),
        ((1, 2), {}, True),
        ((), {"right": 2}, True),
        ((), {"left": 1, "right": 2}, True),
        ((ANY, 2), {}, True),
        ((2,), {}, False),
        ((), {"right": 3}, False),
    ],
)
@pytest.mark.parametrize("by_name", [False, True])
async def test_arguments_are_compared_however_they_were_passed(kit: TestKit, args, kwargs, fits, by_name) -> None:
    await kit.queue().enqueue(
        work.add, **({"left": 1, "right": 2} if by_name else {"kwargs": {"left": 1, "right": 2}})
    )
    call = kit.assert_enqueued if fits else kit.refute_enqueued
    await call(work.add, *args, **kwargs)
    other = kit.refute_enqueued if fits else kit.assert_enqueued
    with pytest.raises(AssertionError):
        await other(work.add, *args, **kwargs)


async def test_defaults_are_arguments(kit: TestKit) -> None:
    await kit.queue().enqueue(work.add, 1)
    await kit.assert_enqueued(work.add, right=0)
    await kit.refute_enqueued(work.add, right=1)


async def test_of_a_name_the_arguments_are_compared_as_they_were_passed(kit: TestKit) -> None:
    await kit.queue().enqueue("shop.elsewhere.send", 1, to="ann", subject="x")
    await kit.assert_enqueued("shop.elsewhere.send", 1, to="ann")
    await kit.refute_enqueued("shop.elsewhere.send", 2)
    await kit.refute_enqueued("shop.elsewhere.send", to="bob")


async def test_a_job_that_does_not_fit_its_function_is_none(kit: TestKit) -> None:
    await kit.queue().enqueue("tests.testing.work.add", 1, 2, 3)
    await kit.refute_enqueued(work.add, 1)
    await kit.assert_enqueued(work.add)


async def test_arguments_that_are_collected_are_compared(kit: TestKit) -> None:
    await kit.queue().enqueue(work.collect, 1, 2, a=3, b=4)
    await kit.assert_enqueued(work.collect, 1)
    await kit.assert_enqueued(work.collect, 1, 2, b=4)
    await kit.refute_enqueued(work.collect, 1, 3)
    await kit.refute_enqueued(work.collect, c=5)


async def test_tasks_and_methods_are_found(kit: TestKit) -> None:
    await kit.queue().enqueue(work.with_options, 1)
    await kit.queue().enqueue(work.Greeter().greet, "ann")
    await kit.assert_enqueued(work.with_options, 1)
    await kit.assert_enqueued(work.Greeter().greet, "ann")


async def test_arguments_that_the_function_does_not_take_are_refused(kit: TestKit) -> None:
    with pytest.raises(InvalidFunction, match=r"work\.add: no job has such arguments: .*'rigth'"):
        await kit.refute_enqueued(work.add, rigth=1)


async def test_a_job_is_due_within_a_time(kit: TestKit) -> None:
    await kit.queue().enqueue_in("2h", work.add, 1)
    await kit.assert_enqueued(work.add)
    await kit.assert_enqueued(work.add, within="2h")
    await kit.refute_enqueued(work.add, within=timedelta(hours=1))
    await kit.advance(hours=1)
    await kit.assert_enqueued(work.add, within=3600)
    with pytest.raises(InvalidInput, match="within=-1"):
        await kit.assert_enqueued(work.add, within=-1)


async def test_a_job_is_looked_for_in_one_queue_or_in_all(kit: TestKit) -> None:
    mail = kit.queue("mail")
    await mail.enqueue(work.add, 1)
    await kit.assert_enqueued(work.add)
    await kit.assert_enqueued(work.add, queue="mail")
    await kit.assert_enqueued(work.add, queue=mail)
    await kit.refute_enqueued(work.add, queue="default")
    with pytest.raises(InvalidInput, match="queue=5: expected a Queue or the name of one"):
        await kit.assert_enqueued(work.add, queue=5)


async def test_the_error_shows_what_waits(kit: TestKit) -> None:
    with pytest.raises(AssertionError) as raised:
        await kit.assert_enqueued(work.add, 1)
    assert str(raised.value) == "not enqueued: tests.testing.work.add(1). No job waits."

    await kit.queue().enqueue(work.add, 2, right=3)
    await kit.queue("mail").enqueue_in("26h", work.boom, "x")
    with pytest.raises(AssertionError) as raised:
        await kit.assert_enqueued(work.add, 1, within="1h", queue="mail")
    assert str(raised.value).splitlines() == [
        "not enqueued: tests.testing.work.add(1) in queue mail within 1:00:00. 2 waiting:",
        "  tests.testing.work.add(2, right=3) (queue default)",
        "  tests.testing.work.boom('x') (queue mail, due in 1 day, 2:00:00)",
    ]

    with pytest.raises(AssertionError, match=r"^enqueued: tests.testing.work.add\(…\)\. 2 waiting:"):
        await kit.refute_enqueued(work.add)


async def test_a_long_list_is_cut(kit: TestKit) -> None:
    await kit.queue().enqueue_many([kit.queue().prepare_data(work.add, (each,)) for each in range(30)])
    with pytest.raises(AssertionError) as raised:
        await kit.assert_enqueued(work.boom)
    lines = str(raised.value).splitlines()
    assert lines[0].endswith("30 waiting:")
    assert (len(lines), lines[-1]) == (22, "  …")
