"""The figures of the heartbeat, which belong together, its rhythm, and errors in each of its parts."""

from __future__ import annotations

import asyncio
import logging
import re
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest

from aioq.store.scripts import server_scripts
from aioq.values.beat import Beat
from aioq.values.errors import ServerError, ServerUnreachable
from aioq.worker import heartbeat
from aioq.worker.heartbeat import (
    BEATS_PER_DESCRIPTION,
    CLOCK_SLACK_S,
    INTERVAL_S,
    LEASE_MS,
    REPEAT_PAUSE_S,
    Heartbeat,
    ServerClock,
)
from tests.tools import eventually

#: How long nobody must have beaten for everyone to get a grace.
SILENCE_S = LEASE_MS / 1000 * float(re.findall(r"SILENCE = ([.0-9]+)", server_scripts()["beat"].text)[0])

COMMAND = ("HSET", "aioq:worker:w1", "state", "idle")


def test_one_beat_may_be_missed() -> None:
    assert 2 * INTERVAL_S < LEASE_MS / 1000


def test_an_outage_too_short_for_a_grace_leaves_every_worker_the_time_to_beat() -> None:
    """The worst case: a worker was about to beat when the server went, and has just failed when it is back."""
    assert INTERVAL_S + SILENCE_S + REPEAT_PAUSE_S + 0.05 <= LEASE_MS / 1000


def test_a_worker_that_is_slow_to_beat_is_no_outage() -> None:
    assert INTERVAL_S + 0.5 < SILENCE_S


def test_the_jobs_of_a_killed_worker_come_back_in_time() -> None:
    """Within 4 s for most, and 6 s at the most; a tenth is left for who notices, and more on a busy machine."""
    assert LEASE_MS / 1000 - INTERVAL_S / 2 <= 3.9
    assert LEASE_MS / 1000 <= 5.5


def test_the_description_does_not_run_out_between_two() -> None:
    assert 1.5 * BEATS_PER_DESCRIPTION * INTERVAL_S < 45


class Renewals:
    """Stands for the calls to the server. What it is told to raise, it raises with one beat each."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.sent: list[float] = []
        self.described: list[float] = []
        self.closed = 0
        self.loops: list[asyncio.AbstractEventLoop] = []
        self.errors: list[BaseException] = []
        self.answer: Callable[[], list[Beat]] = list
        self._seconds = seconds

    async def renew(self, others: Any = ()) -> list[Beat]:
        if self.errors:
            raise self.errors.pop(0)

        self.sent.append(time.monotonic())
        self.loops.append(asyncio.get_running_loop())

        if others:
            self.described.append(time.monotonic())

        await asyncio.sleep(self._seconds)

        return self.answer()

    async def aclose(self) -> None:
        self.closed += 1


@asynccontextmanager
async def beating(leases: Any, describe: Any = list, heard: Any = lambda _: None) -> AsyncIterator[Heartbeat]:
    running = Heartbeat(leases, describe, heard)
    running.start()

    try:
        yield running
    finally:
        await asyncio.to_thread(running.stop)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.05)
    monkeypatch.setattr(heartbeat, "REPEAT_PAUSE_S", 0.01)


async def test_the_next_beat_follows_the_last_one_and_not_its_answer(monkeypatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.4)
    leases = Renewals(0.3)

    async with beating(leases):
        await eventually(lambda: len(leases.sent) > 3)

    pauses = [after - before for before, after in zip(leases.sent, leases.sent[1:], strict=False)]
    assert min(pauses) >= 0.4
    assert min(pauses) < 0.6  # with 0.3 for the answer it would be 0.7


async def test_a_beat_comes_right_after_the_next_lease_of_another_ends() -> None:
    leases = Renewals()
    leases.answer = lambda: [Beat(False, 60, [], 1)]

    async with beating(leases):
        await eventually(lambda: len(leases.sent) > 4, timeout=INTERVAL_S)


# Errors


@pytest.mark.parametrize(
    "error",
    [
        ServerUnreachable("away"),
        ServerError("refused"),
        ValueError("a reply that nobody foresaw"),
        UnicodeEncodeError("utf-8", "\ud800", 0, 1, "surrogates not allowed"),
        OSError(24, "too many open files"),
        MemoryError(),
        RecursionError(),
    ],
    ids=repr,
)
@pytest.mark.usefixtures("quick")
async def test_a_beat_that_fails_is_repeated_at_once(error: Exception, caplog: pytest.LogCaptureFixture) -> None:
    leases = Renewals()

    async with beating(leases, lambda: [COMMAND]) as running:
        await eventually(lambda: leases.sent)
        failed, leases.errors = time.monotonic(), [error] * 3
        await eventually(lambda: not leases.errors)
        before = len(leases.sent)
        await eventually(lambda: len(leases.sent) > before)
        assert running.health.may_claim

    assert leases.sent[before] - failed < 2
    told = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(told) == (not isinstance(error, ServerError))  # once, not thrice
    assert leases.closed == 3 * len(told)  # whatever was wrong with the connection


@pytest.mark.usefixtures("quick")
async def test_a_description_that_cannot_be_made_costs_no_lease(caplog: pytest.LogCaptureFixture) -> None:
    def describe() -> list[Any]:
        raise LookupError("no such package")

    leases = Renewals()

    async with beating(leases, describe):
        await eventually(lambda: len(leases.sent) > 20)

    pauses = [after - before for before, after in zip(leases.sent, leases.sent[1:], strict=False)]
    assert sorted(pauses)[len(pauses) // 2] < 0.15
    (record,) = caplog.records
    assert "the description of this worker" in record.getMessage()
    assert "no such package" in record.getMessage()
    assert leases.described == []


@pytest.mark.usefixtures("quick")
async def test_a_description_that_fails_the_beat_costs_no_lease() -> None:
    class Picky(Renewals):
        async def renew(self, others: Any = ()) -> list[Beat]:
            if others:
                raise TypeError("a value cannot be sent")

            return await super().renew()

    leases = Picky()

    async with beating(leases, lambda: [COMMAND]) as running:
        await eventually(lambda: len(leases.sent) > 10)
        assert running.health.may_claim


@pytest.mark.usefixtures("quick")
async def test_a_description_that_was_refused_once_travels_with_a_later_beat() -> None:
    leases = Renewals()
    leases.errors = [ServerUnreachable("away")]

    async with beating(leases, lambda: [COMMAND]):
        await eventually(lambda: leases.described)

    assert len(leases.sent) >= 2


@pytest.mark.usefixtures("quick")
async def test_who_hears_of_a_beat_may_fail() -> None:
    leases, problems = Renewals(), []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: problems.append(context["exception"]))

    def heard(_: object) -> None:
        raise ValueError("odd")

    async with beating(leases, heard=heard):
        await eventually(lambda: len(leases.sent) > 5 and problems)

    assert {type(each) for each in problems} == {ValueError}


@pytest.mark.parametrize("error", [SystemExit(), KeyboardInterrupt(), GeneratorExit()], ids=repr)
@pytest.mark.usefixtures("quick")
async def test_a_thread_that_has_ended_nevertheless_beats_again_on_a_new_loop(error: BaseException) -> None:
    leases = Renewals()

    async with beating(leases) as running:
        await eventually(lambda: leases.sent)
        leases.errors = [error]
        await eventually(lambda: not leases.errors)
        before = len(leases.sent)

        def again() -> bool:
            running.thread.check()

            return len(leases.sent) > before + 3

        await eventually(again)
        first, *_, last = leases.loops
        assert first is not last
        assert first.is_closed()


@pytest.mark.usefixtures("quick")
async def test_a_log_that_raises_ends_no_heartbeat() -> None:
    class Broken(logging.Filter):
        def filter(self, _: object) -> bool:
            if not self.is_on:
                return True

            self.is_on = False
            raise RuntimeError("no log")

        is_on = True

    leases, broken = Renewals(), Broken()
    leases.errors = [ValueError("odd")]
    heartbeat.log.addFilter(broken)

    try:
        async with beating(leases) as running:

            def again() -> bool:
                running.thread.check()

                return len(leases.sent) > 3

            await eventually(again)
    finally:
        heartbeat.log.removeFilter(broken)

    assert not broken.is_on


@pytest.mark.usefixtures("quick")
async def test_the_interpreter_s_turns_are_short_during_a_beat_only() -> None:
    """Also with two heartbeats at once, and beats that fail."""
    during: list[float] = []

    class Watching(Renewals):
        async def renew(self, others: Any = ()) -> list[Beat]:
            during.append(sys.getswitchinterval())
            await asyncio.sleep(0.03)
            self.errors += [ValueError("odd")] if len(during) % 3 == 0 else []

            return await super().renew(others)

    before = sys.getswitchinterval()

    async with beating(Watching()), beating(Watching()):
        await eventually(lambda: len(during) > 20)

    assert max(during) <= heartbeat.TURN_S < before
    assert sys.getswitchinterval() == pytest.approx(before, abs=1e-6)


@pytest.mark.usefixtures("quick")
async def test_the_application_s_own_turns_are_kept() -> None:
    before = sys.getswitchinterval()
    leases = Renewals()

    try:
        async with beating(leases):
            for seconds in (0.02, 0.0123457):
                sys.setswitchinterval(seconds)
                count = len(leases.sent)
                await eventually(lambda count=count: len(leases.sent) > count + 10)
                await eventually(lambda seconds=seconds: abs(sys.getswitchinterval() - seconds) < 2e-6, timeout=1)
    finally:
        sys.setswitchinterval(before)


# The server's clock


def after_beats(*moments: tuple[float, float]) -> list[bool]:
    """Whether leases are believed to have ended, at beats that were sent and carried out at these seconds."""
    clock = ServerClock()

    return [clock.is_steady(sent, int(1000 * (1_000_000 + at))) for sent, at in moments]


def test_a_worker_that_has_just_begun_waits_until_others_must_have_beaten() -> None:
    assert after_beats((0, 0), (1, 1), (INTERVAL_S + 0.01, INTERVAL_S + 0.01)) == [False, False, True]


@pytest.mark.parametrize("step", [1.5, 3, 4, 600, 86_400])
def test_a_step_forward_is_noticed_and_waited_for(step: float) -> None:
    beats = [(each, each) for each in (0, 1, 4)]
    after = [(each, each + step) for each in (5, 6, 7, 5 + INTERVAL_S + CLOCK_SLACK_S)]
    assert after_beats(*beats, *after) == [False, False, True, False, False, False, True]


@pytest.mark.parametrize("step", [3, 600])
def test_a_step_back_and_forward_again_is_noticed(step: float) -> None:
    moments = [(0, 0), (1, 1), (4, 4 - step), (6, 6 - step), (8, 8), (12, 12)]
    assert after_beats(*moments) == [False, False, True, True, False, True]


def test_beats_that_are_a_little_slow_are_no_steps() -> None:
    moments = [(3.0 * each, 3.0 * each + 0.9 * (each % 2)) for each in range(20)]
    assert all(after_beats(*moments)[1:])


async def test_nobody_is_declared_dead_right_after_a_step(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(heartbeat, "INTERVAL_S", 0.05)
    monkeypatch.setattr(heartbeat, "CLOCK_SLACK_S", 0.3)
    leases, heard, ahead = Renewals(), [], 0.0

    def answer() -> list[Beat]:
        return [Beat(False, -1, ["w2"], int(1000 * (time.monotonic() + ahead)))]

    leases.answer = answer

    async with beating(leases, heard=lambda found: heard.append((time.monotonic(), found[0].lost))):
        await eventually(lambda: heard and heard[-1][1] == ["w2"])
        ahead, stepped = 4.0, time.monotonic()
        await eventually(lambda: heard[-1][1] == [])
        await eventually(lambda: heard[-1][1] == ["w2"])
        assert heard[-1][0] - stepped >= 0.3
