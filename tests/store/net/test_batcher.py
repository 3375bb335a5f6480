from __future__ import annotations

import asyncio
import gc
from collections.abc import Sequence

import pytest

from aioq.store.net.batcher import FULL_ITEMS, MAX_BYTES, MAX_ITEMS, MOST_UNDER_WAY, Batcher


class RoundTrips:
    """Round round_trips that end when the test says so; each answers with what it was sent."""

    def __init__(self) -> None:
        self.sent: list[list[int]] = []
        self.gates: list[asyncio.Future[None]] = []
        self.senders: list[asyncio.Task[object] | None] = []

    async def send(self, items: Sequence[int]) -> Sequence[str]:
        self.sent.append(list(items))
        self.senders.append(asyncio.current_task())
        gate: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.gates.append(gate)
        await gate

        return [f"answer to {item}" for item in items]

    async def begun(self, number: int) -> None:
        """Until so many round trips have begun; no more than that may have."""
        for _ in range(1_000):
            if len(self.sent) >= number:
                break

            await asyncio.sleep(0)

        assert len(self.sent) == number

    def finish(self, error: BaseException | None = None) -> None:
        """End the round trip that is under way."""
        if error is None:
            self.gates[-1].set_result(None)
        else:
            self.gates[-1].set_exception(error)


@pytest.fixture
def round_trips() -> RoundTrips:
    return RoundTrips()


@pytest.fixture
def batcher(round_trips: RoundTrips) -> Batcher[int, str]:
    return Batcher(round_trips.send, lambda _: 1)


def submit(batcher: Batcher[int, str], *items: int) -> list[asyncio.Task[str]]:
    return [asyncio.create_task(batcher.submit(item)) for item in items]


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_lone_call_goes_at_once_in_its_caller_s_own_task(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    (task,) = submit(batcher, 1)
    await round_trips.begun(1)
    assert round_trips.senders == [task]
    round_trips.finish()

    assert await task == "answer to 1"


async def test_what_comes_during_a_round_trip_travels_together_in_the_next(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    tasks = submit(batcher, 1, 2, 3, 4)
    await round_trips.begun(1)
    round_trips.finish()
    await round_trips.begun(2)
    tasks += submit(batcher, 5, 6)
    await settled()
    round_trips.finish()
    await round_trips.begun(3)
    round_trips.finish()

    assert await asyncio.gather(*tasks) == [f"answer to {number}" for number in range(1, 7)]
    assert round_trips.sent == [[1], [2, 3, 4], [5, 6]]


async def test_a_thousand_callers_take_a_dozen_round_trips(round_trips: RoundTrips) -> None:
    async def send(items: Sequence[int]) -> Sequence[int]:
        round_trips.sent.append(list(items))
        await asyncio.sleep(0)

        return items

    batcher: Batcher[int, int] = Batcher(send, lambda _: 1)

    assert await asyncio.gather(*(batcher.submit(number) for number in range(1000))) == list(range(1000))
    assert [item for items in round_trips.sent for item in items] == list(range(1000))
    assert len(round_trips.sent) <= 12


async def test_many_leave_at_once_and_do_not_wait_for_the_caller_s_turn_to_end(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    """The hundredth that waits takes the others along, in its own task, before the next one is even prepared."""
    seen: list[int] = []

    async def call(number: int) -> str:
        seen.append(len(round_trips.sent))

        return await batcher.submit(number)

    tasks = [asyncio.create_task(call(number)) for number in range(1 + FULL_ITEMS + 1)]
    await settled()
    assert [len(items) for items in round_trips.sent] == [1, FULL_ITEMS]
    assert round_trips.senders == [tasks[0], tasks[FULL_ITEMS]]
    assert seen[-1] == 2

    for number in range(2):
        round_trips.gates[number].set_result(None)

    await round_trips.begun(3)
    round_trips.finish()
    assert await asyncio.gather(*tasks) == [f"answer to {number}" for number in range(len(tasks))]


async def test_more_than_there_may_be_round_trips_for_wait_and_then_go_in_full_batches(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first = 1 + (MOST_UNDER_WAY - 1) * FULL_ITEMS
    tasks = submit(batcher, *range(first + MAX_ITEMS + 1))
    await settled()
    assert [len(items) for items in round_trips.sent] == [1] + [FULL_ITEMS] * (MOST_UNDER_WAY - 1)

    round_trips.gates[0].set_result(None)
    await round_trips.begun(MOST_UNDER_WAY + 1)
    assert round_trips.sent[-1] == list(range(first, first + MAX_ITEMS))

    for gate in round_trips.gates[1:]:
        gate.set_result(None)

    await round_trips.begun(MOST_UNDER_WAY + 2)
    round_trips.finish()
    assert await asyncio.gather(*tasks) == [f"answer to {number}" for number in range(len(tasks))]


async def test_those_in_the_trip_of_a_caller_that_is_cancelled_are_sent_again(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    tasks = submit(batcher, *range(1 + FULL_ITEMS))
    await round_trips.begun(2)
    carrier, left = tasks[FULL_ITEMS], tasks[7]
    left.cancel()
    carrier.cancel()
    round_trips.gates[0].set_result(None)
    await round_trips.begun(3)
    round_trips.finish()
    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert round_trips.sent[2] == [each for each in range(1, FULL_ITEMS) if each != 7]
    assert [number for number, each in enumerate(found) if isinstance(each, BaseException)] == [7, FULL_ITEMS]


async def test_all_who_are_cancelled_together_are_not_sent_again(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    tasks = submit(batcher, *range(1 + FULL_ITEMS))
    await round_trips.begun(2)

    for task in tasks:
        task.cancel()

    await asyncio.wait(tasks)
    await settled()
    assert len(round_trips.sent) == 2
    (task,) = submit(batcher, 1000)
    await round_trips.begun(3)
    round_trips.finish()
    assert await task == "answer to 1000"


async def test_a_few_wait_for_the_trip_that_is_under_way(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    tasks = submit(batcher, *range(FULL_ITEMS))
    await settled()
    assert round_trips.sent == [[0]]

    round_trips.finish()
    await round_trips.begun(2)
    round_trips.finish()
    await asyncio.gather(*tasks)


async def test_an_error_of_one_of_two_round_trips_does_not_touch_the_other(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    tasks = submit(batcher, *range(1 + FULL_ITEMS))
    await round_trips.begun(2)
    round_trips.gates[0].set_exception(OSError("lost"))
    round_trips.gates[1].set_result(None)
    found = await asyncio.gather(*tasks, return_exceptions=True)

    assert str(found[0]) == "lost"
    assert found[1:] == [f"answer to {number}" for number in range(1, 1 + FULL_ITEMS)]


async def test_heavy_items_do_not_all_travel_together(round_trips: RoundTrips) -> None:
    batcher: Batcher[int, str] = Batcher(round_trips.send, lambda _: MAX_BYTES // 2)
    tasks = submit(batcher, *range(6))

    for number in range(1, 5):
        await round_trips.begun(number)
        round_trips.finish()
        await settled()

    await asyncio.gather(*tasks)
    assert round_trips.sent == [[0], [1, 2], [3, 4], [5]]


async def test_an_item_heavier_than_a_batch_travels_all_the_same(round_trips: RoundTrips) -> None:
    batcher: Batcher[int, str] = Batcher(round_trips.send, lambda _: 10 * MAX_BYTES)
    tasks = submit(batcher, 1, 2)

    for number in (1, 2):
        await round_trips.begun(number)
        round_trips.finish()

    assert await asyncio.gather(*tasks) == ["answer to 1", "answer to 2"]


async def test_an_error_reaches_all_in_the_batch_and_nobody_else(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first, *others = submit(batcher, 1, 2, 3)
    await round_trips.begun(1)
    round_trips.finish()
    assert await first == "answer to 1"
    await round_trips.begun(2)
    later = submit(batcher, 4)
    await settled()
    round_trips.finish(OSError("lost"))
    found = await asyncio.gather(*others, return_exceptions=True)
    await round_trips.begun(3)
    round_trips.finish()

    assert [str(error) for error in found] == ["lost", "lost"]
    assert await later[0] == "answer to 4"


async def test_an_error_of_a_lone_call_does_not_hold_up_those_behind_it(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first, second = submit(batcher, 1, 2)
    await round_trips.begun(1)
    round_trips.finish(OSError("lost"))

    with pytest.raises(OSError, match="lost"):
        await first

    await round_trips.begun(2)
    round_trips.finish()
    assert await second == "answer to 2"


async def test_a_caller_that_is_cancelled_while_it_waits_is_not_sent(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first, second, third = submit(batcher, 1, 2, 3)
    await round_trips.begun(1)
    second.cancel()
    await settled()
    round_trips.finish()
    await round_trips.begun(2)
    round_trips.finish()

    assert await asyncio.gather(first, third) == ["answer to 1", "answer to 3"]
    assert round_trips.sent == [[1], [3]]


async def test_a_caller_that_is_cancelled_on_the_way_does_not_hurt_the_others(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first, second, third = submit(batcher, 1, 2, 3)
    await round_trips.begun(1)
    round_trips.finish()
    await round_trips.begun(2)
    second.cancel()
    await settled()
    round_trips.finish()

    assert await asyncio.gather(first, third) == ["answer to 1", "answer to 3"]
    assert second.cancelled()


async def test_a_first_caller_that_is_cancelled_on_the_way_does_not_hold_up_those_behind_it(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first, second = submit(batcher, 1, 2)
    await round_trips.begun(1)
    first.cancel()
    await round_trips.begun(2)
    round_trips.finish()

    assert await second == "answer to 2"


async def test_when_all_have_been_cancelled_the_next_call_goes_at_once(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    tasks = submit(batcher, 1, 2, 3)
    await round_trips.begun(1)

    for task in tasks:
        task.cancel()

    await asyncio.wait(tasks)
    await settled()
    assert round_trips.sent == [[1]]

    (again,) = submit(batcher, 4)
    await round_trips.begun(2)
    assert round_trips.senders[-1] is again
    round_trips.finish()
    assert await again == "answer to 4"


async def test_an_error_that_nobody_is_left_to_hear_is_no_warning(
    batcher: Batcher[int, str], round_trips: RoundTrips
) -> None:
    first, second = submit(batcher, 1, 2)
    await round_trips.begun(1)
    round_trips.finish()
    await round_trips.begun(2)
    second.cancel()
    await settled()
    round_trips.finish(OSError("lost"))
    await settled()
    gc.collect()

    assert await first == "answer to 1"


async def test_an_answer_too_few_is_an_error_and_no_endless_wait(round_trips: RoundTrips) -> None:
    async def send(items: Sequence[int]) -> Sequence[int]:
        await asyncio.sleep(0)

        return items[:1]

    batcher: Batcher[int, int] = Batcher(send, lambda _: 1)
    alone, first, *others = await asyncio.wait_for(
        asyncio.gather(*(batcher.submit(number) for number in range(4)), return_exceptions=True), 5
    )

    assert (alone, first) == (0, 1)
    assert [type(error) for error in others] == [ValueError, ValueError]


def test_a_batcher_that_was_cut_off_with_its_event_loop_works_in_the_next(round_trips: RoundTrips) -> None:
    batcher: Batcher[int, str] = Batcher(round_trips.send, lambda _: 1)

    async def cut_off() -> None:
        submit(batcher, 1, 2)
        await round_trips.begun(1)

    async def again() -> str:
        (task,) = submit(batcher, 3)
        await round_trips.begun(2)
        round_trips.finish()

        return await task

    asyncio.run(cut_off())
    assert asyncio.run(again()) == "answer to 3"
