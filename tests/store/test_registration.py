"""A queue's place on the list of all queues: who waits for it, and for how long."""

from __future__ import annotations

import asyncio

import pytest

from aioq.store import registration
from aioq.store.registration import Registration
from aioq.values.errors import ServerError, ServerRefused, ServerUnreachable
from tests.tools import eventually


class Tries:
    """What registering comes to, one time after the other: an error, seconds that it takes, or None."""

    def __init__(self, *outcomes: ServerError | float | None) -> None:
        self.outcomes = list(outcomes)
        self.made = 0
        self.is_done = False

    async def __call__(self) -> None:
        self.made += 1
        outcome = self.outcomes.pop(0) if self.outcomes else None

        await asyncio.sleep(0 if isinstance(outcome, ServerError) else outcome or 0)

        if isinstance(outcome, ServerError):
            raise outcome

        self.is_done = True


async def took(registered: Registration) -> float:
    begun = asyncio.get_running_loop().time()
    await registered.ensure()

    return asyncio.get_running_loop().time() - begun


AWAY = ServerUnreachable("away")


async def test_the_first_jobs_wait_for_it() -> None:
    """So a suspension of all workers holds for them."""
    tries = Tries(0.1)
    registered = Registration(tries, may_be_late=True)
    assert min(await asyncio.gather(*(took(registered) for _ in range(10)))) > 0.09
    assert (tries.made, tries.is_done) == (1, True)


@pytest.mark.parametrize("first", [AWAY, 60.0], ids=["refused", "silent"])
async def test_while_the_list_is_away_nobody_waits_for_long(
    first: ServerError | float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(registration, "PATIENCE_S", 0.1)
    tries = Tries(first)
    registered = Registration(tries, may_be_late=True)
    assert await took(registered) < 1
    assert [await took(registered) < 0.05 for _ in range(20)] == [True] * 20
    assert (tries.made, tries.is_done) == (1, False)


async def test_it_is_made_up_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registration, "AGAIN_S", 0.05)
    tries = Tries(AWAY, AWAY, AWAY)
    registered = Registration(tries, may_be_late=True)

    async def is_done() -> bool:
        await registered.ensure()
        return tries.is_done

    await eventually(is_done)
    assert tries.made == 4


@pytest.mark.parametrize("may_be_late", [True, False])
async def test_what_the_server_refuses_is_an_error(may_be_late: bool) -> None:
    with pytest.raises(ServerRefused):
        await Registration(Tries(ServerRefused("no")), may_be_late=may_be_late).ensure()


async def test_where_the_list_is_on_the_queue_s_server_it_is_waited_for() -> None:
    tries = Tries(AWAY)
    registered = Registration(tries, may_be_late=False)

    with pytest.raises(ServerUnreachable):
        await registered.ensure()

    await registered.ensure()
    assert tries.is_done


async def test_all_who_wait_for_one_try_go_on_in_their_order() -> None:
    tries = Tries(0.01)
    registered = Registration(tries, may_be_late=False)
    order: list[int] = []

    async def wait(number: int) -> None:
        await registered.ensure()
        order.append(number)

    await asyncio.gather(*(wait(number) for number in range(100)))
    assert (order, tries.made) == (list(range(100)), 1)


async def test_all_who_wait_have_its_error_and_the_next_one_tries_again() -> None:
    tries = Tries(AWAY)
    registered = Registration(tries, may_be_late=False)
    errors = await asyncio.gather(*(registered.ensure() for _ in range(10)), return_exceptions=True)
    assert errors == [AWAY] * 10
    await registered.ensure()
    assert tries.made == 2


async def test_after_one_who_is_cancelled_the_next_one_tries() -> None:
    tries = Tries(0.05)
    registered = Registration(tries, may_be_late=False)
    first = asyncio.create_task(registered.ensure())
    second = asyncio.create_task(registered.ensure())
    await asyncio.sleep(0)
    first.cancel()
    await second
    assert (first.cancelled(), tries.made, tries.is_done) == (True, 2, True)
