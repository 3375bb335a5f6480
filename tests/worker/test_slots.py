"""Slots: runs begin in order, never too many at once, end at their own moments, and are reported once.

No server and no user's function is needed: what Slots calls is made up here, and so is the queue.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from types import SimpleNamespace
from typing import Any

import pytest

from aioq.values.claim import Claim
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, Retried
from aioq.values.record import JobRecord
from aioq.worker import slots
from aioq.worker.failure import outcome_of_error
from aioq.worker.run import Cause, Run, StartClock
from aioq.worker.slots import Slots
from tests.tools import eventually

QUEUE: Any = SimpleNamespace(queue="default")
DONE = Finished(b"", 500_000)

variable: ContextVar[str] = ContextVar("variable", default="unset")

Body = Callable[[Run], Awaitable[None]]


class Bench:
    """Slots, made-up calls, and what was reported: each run's id, its outcome, and after how many seconds."""

    def __init__(self, concurrency: int = 2, **options: Any) -> None:
        self.begun: list[str] = []
        self.gate = asyncio.Event()
        self.out: list[tuple[str, Outcome | None]] = []
        self.took: dict[str, float] = {}
        self.slots = Slots(concurrency, self._call, self._report, **options)
        self._bodies: dict[str, Body] = {}
        self._began = time.monotonic()

    def take(self, *names: str, body: Body | None = None, timeout_ms: int | None = None) -> list[Run]:
        """Take runs. The body of a run waits for a gate, unless another one is given."""
        opts = {} if timeout_ms is None else {b"opts": b'{"timeout":%d}' % timeout_ms}
        self._bodies |= dict.fromkeys(names, body or self._wait)
        return [
            self.slots.take(QUEUE, Claim(JobRecord(name, {b"func": b"some.function", **opts}), 1))
            for name in names
        ]

    def open(self) -> None:
        """Let the runs end that wait for a gate; also those that come later."""
        self.gate.set()

    async def _wait(self, _: Run) -> None:
        await self.gate.wait()

    async def _call(self, run: Run, start_clock: StartClock) -> Outcome | None:
        start_clock(run)
        run.found = run.begun = True
        self.begun.append(run.id)
        try:
            await self._bodies[run.id](run)
        except BaseException as error:
            return outcome_of_error(run, error)
        return DONE

    def _report(self, run: Run, outcome: Outcome | None) -> None:
        self.out.append((run.id, outcome))
        self.took[run.id] = time.monotonic() - self._began


@pytest.fixture(autouse=True)
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a slow machine no run is given back because a test takes its time."""
    monkeypatch.setattr(slots, "CLAIMED_AHEAD_WAIT_S", 60)


@pytest.fixture
def short_wait(patience: None, monkeypatch: pytest.MonkeyPatch) -> float:
    monkeypatch.setattr(slots, "CLAIMED_AHEAD_WAIT_S", 0.1)
    return 0.1


@pytest.fixture
async def bench():
    bench = Bench()
    yield bench
    bench.open()
    await eventually(lambda: not bench.slots.held)
    bench.slots.close()


async def at_once(_: Run) -> None:
    pass


async def asleep(_: Run) -> None:
    await asyncio.sleep(60)


def names(count: int) -> list[str]:
    return [f"run {number}" for number in range(count)]


# Who runs, and who waits


async def test_a_run_waits_for_a_slot_and_begins_in_its_turn(bench: Bench) -> None:
    bench.take("a", "b", "c", "d")
    await eventually(lambda: bench.begun == ["a", "b"])
    assert (bench.slots.running, len(bench.slots.held)) == (2, 4)

    bench.open()
    await eventually(lambda: len(bench.out) == 4)
    assert bench.begun == ["a", "b", "c", "d"]
    assert [outcome for _, outcome in bench.out] == [DONE] * 4
    assert (bench.slots.running, bench.slots.held, bench.slots.ended) == (0, {}, 4)


async def test_a_run_takes_nothing_over_from_the_one_whose_slot_it_takes(bench: Bench) -> None:
    seen: list[str] = []

    async def note(run: Run) -> None:
        seen.append(variable.get())
        variable.set(run.id)

    bench.take(*names(10), body=note)
    await eventually(lambda: len(bench.out) == 10)
    assert seen == ["unset"] * 10


async def test_a_long_row_of_runs_that_end_at_once_is_no_deep_stack(bench: Bench) -> None:
    bench.take(*names(600), body=at_once)
    await eventually(lambda: len(bench.out) == 600)
    assert all(outcome == DONE for _, outcome in bench.out)
    assert (bench.slots.running, bench.slots.held) == (0, {})


async def test_no_more_run_than_there_are_slots_while_others_end_at_once(bench: Bench) -> None:
    most = 0

    async def count(_: Run) -> None:
        nonlocal most
        most = max(most, bench.slots.running)

    bench.take("a", "b")
    bench.take(*names(100), body=count)
    await eventually(lambda: bench.begun)
    assert (bench.begun, bench.slots.running) == (["a", "b"], 2)

    bench.open()
    await eventually(lambda: len(bench.out) == 102)
    assert most <= 2
    assert bench.begun == ["a", "b", *names(100)]


async def test_it_counts_what_became_of_its_runs() -> None:
    bench = Bench(10)

    async def fail(_: Run) -> None:
        raise ValueError

    bench.take("a", "b", "c", body=at_once)
    bench.take("d", "e", body=fail)
    (lost,) = bench.take("f")
    await eventually(lambda: len(bench.begun) == 6)
    bench.slots.end(lost, Cause.LOST)
    await eventually(lambda: len(bench.out) == 6)
    assert (bench.slots.ended, bench.slots.successful, bench.slots.failed) == (6, 3, 2)


# Who is given back


async def test_a_waiting_run_that_was_revoked_never_begins(bench: Bench) -> None:
    _, _, third, _ = bench.take("a", "b", "c", "d")
    await eventually(lambda: bench.begun == ["a", "b"])
    bench.slots.end(third, Cause.LOST)
    bench.open()

    await eventually(lambda: len(bench.out) == 4)
    assert bench.begun == ["a", "b", "d"]
    assert bench.out[0] == ("c", None)
    assert bench.slots.ended == 3  # it never had a slot


async def test_waiting_runs_are_given_back_unbegun(bench: Bench) -> None:
    bench.take("a", "b", "c", "d")
    bench.slots.give_back()

    assert bench.out == [("c", Interrupted(begun=False)), ("d", Interrupted(begun=False))]
    bench.open()
    await eventually(lambda: len(bench.out) == 4)
    assert bench.begun == ["a", "b"]


async def test_runs_that_wait_for_a_process_are_given_back_and_others_are_left(bench: Bench) -> None:
    async def wait_for_process(run: Run) -> None:
        run.waits_for_process, run.begun = True, False
        await asleep(run)

    bench.take("a")
    bench.take("b", body=wait_for_process)
    await eventually(lambda: bench.begun == ["a", "b"])
    bench.slots.give_back()
    await eventually(lambda: bench.out == [("b", Interrupted(begun=False))])
    assert [run.id for run in bench.slots.held] == ["a"]


async def test_runs_that_wait_for_too_long_are_given_back_by_themselves(bench: Bench, short_wait: float) -> None:
    bench.take("a", "b", "c", "d")
    await eventually(lambda: [name for name, _ in bench.out] == ["c", "d"])
    assert bench.took["c"] >= short_wait - 0.01
    assert len(bench.slots.held) == 2


async def test_a_run_that_waits_after_others_have_begun_has_its_whole_time(
    bench: Bench, short_wait: float
) -> None:
    bench.take("a", "b", "c")
    await asyncio.sleep(0.6 * short_wait)
    bench.open()
    await eventually(lambda: len(bench.out) == 3)

    bench.gate.clear()
    bench.take("d", "e", "f")  # the timer that was set for "c" rings while "f" waits
    taken = time.monotonic() - bench._began
    await eventually(lambda: "f" in bench.took)
    assert bench.took["f"] - taken >= short_wait - 0.01


# Who is late


async def test_each_run_ends_at_its_own_moment_in_whatever_order_they_began() -> None:
    bench = Bench(100)

    for name, timeout_ms in (("late", 600), ("early", 100), ("middle", 300), ("early too", 100)):
        bench.take(name, body=asleep, timeout_ms=timeout_ms)

    bench.take("quick", body=at_once, timeout_ms=200)
    bench.take("endless", body=lambda _: asyncio.sleep(0.5), timeout_ms=-1)
    await eventually(lambda: len(bench.out) == 6)
    out = dict(bench.out)

    for name, timeout in (("late", 0.6), ("early", 0.1), ("middle", 0.3), ("early too", 0.1)):
        outcome = out[name]
        assert isinstance(outcome, Failed)
        assert f"timeout of {timeout:g} seconds" in outcome.error
        assert bench.took[name] >= timeout - 0.01

    assert bench.out[-1][0] == "late"
    assert out["quick"] == out["endless"] == DONE


async def test_a_run_that_comes_after_the_last_alarm_has_one_of_its_own(bench: Bench) -> None:
    for name in ("first", "second"):
        bench.take(name, body=asleep, timeout_ms=50)
        await eventually(lambda name=name: name in bench.took)
        assert isinstance(dict(bench.out)[name], Failed)


async def test_runs_that_end_in_time_leave_one_timer(monkeypatch: pytest.MonkeyPatch) -> None:
    bench, loop, set_for = Bench(100), asyncio.get_running_loop(), []
    call_at = loop.call_at
    monkeypatch.setattr(
        loop, "call_at", lambda when, *rest, **more: set_for.append(when) or call_at(when, *rest, **more)
    )
    bench.take(*names(50), body=at_once, timeout_ms=180_000)
    await eventually(lambda: len(bench.out) == 50)
    assert len([when for when in set_for if when - loop.time() > 170]) == 1
    bench.slots.close()


async def test_a_clock_that_starts_again_counts_from_then_on() -> None:
    """As it does for a run that has waited for a process."""
    bench = Bench()
    starts: list[float] = []

    async def call(run: Run, start_clock: StartClock) -> Outcome | None:
        start_clock(run)
        run.deadline = float("inf")
        await asyncio.sleep(0.2)
        start_clock(run)
        starts.append(time.monotonic())
        try:
            await asleep(run)
        except BaseException as error:
            return outcome_of_error(run, error)
        raise AssertionError

    slots = Slots(1, call, bench._report)
    slots.take(QUEUE, Claim(JobRecord("a", {b"func": b"some.function", b"opts": b'{"timeout":100}'}), 1))
    await eventually(lambda: bench.out)
    assert isinstance(bench.out[0][1], Failed)
    assert time.monotonic() - starts[0] >= 0.09
    assert not slots.held


# Who is ended


@pytest.mark.parametrize("cause", [cause for cause in Cause if cause.is_drop])
async def test_of_a_run_whose_claim_is_gone_nothing_is_recorded(bench: Bench, cause: Cause) -> None:
    (run,) = bench.take("a")
    await eventually(lambda: bench.begun)
    bench.slots.end(run, cause)
    await eventually(lambda: bench.out == [("a", None)])


async def test_a_run_that_is_ended_before_its_first_step_is_reported_once(bench: Bench) -> None:
    (run,) = bench.take("a")
    bench.slots.end(run, Cause.INTERRUPTED)
    bench.slots.end(run, Cause.LOST)
    assert bench.out == [("a", Interrupted(begun=False))]
    await asyncio.wait([run.task])
    assert (bench.begun, len(bench.out), bench.slots.running) == ([], 1, 0)


async def test_all_are_interrupted_and_those_that_clean_up_are_waited_for() -> None:
    bench, cleaned = Bench(2), []

    async def cleans_up(run: Run) -> None:
        try:
            await asleep(run)
        finally:
            await asyncio.sleep(0.05)
            cleaned.append(run.id)

    bench.take("a", "b", "c", body=cleans_up)
    await eventually(lambda: bench.begun == ["a", "b"])
    bench.slots.interrupt()
    assert bench.out == [("c", Interrupted(begun=False))]
    await bench.slots.cleaned_up()
    assert sorted(cleaned) == ["a", "b"]
    assert bench.out[1:] == [("a", Interrupted(begun=True)), ("b", Interrupted(begun=True))]


async def test_a_run_that_is_given_up_frees_its_slot_and_is_reported_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.ERROR, "aioq.worker")
    bench, end = Bench(1, cancel_grace=0.05), asyncio.Event()

    async def ignores(_: Run) -> None:
        while not end.is_set():
            try:
                await end.wait()
            except asyncio.CancelledError:
                continue

    (run,) = bench.take("stubborn", body=ignores)
    await eventually(lambda: bench.begun)
    bench.slots.end(run, Cause.LOST)
    await eventually(lambda: bench.out == [("stubborn", None)])
    assert (bench.slots.running, bench.slots.held) == (0, {})
    assert "is given up after" in caplog.text

    bench.take("next", body=at_once)
    await eventually(lambda: "next" in bench.took)
    end.set()
    await asyncio.wait([run.task])
    assert [name for name, _ in bench.out] == ["stubborn", "next"]


async def test_a_generator_exit_that_a_future_brings_is_a_failure_as_any_other(bench: Bench) -> None:
    """It closes the coroutines that wait for the future, so that none of them can hand an outcome on."""

    async def meets_it(_: Run) -> None:
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_soon(future.set_exception, GeneratorExit("on purpose"))
        await future

    bench.take("a", body=meets_it)
    await eventually(lambda: bench.out)
    assert isinstance(bench.out[0][1], Failed)
    assert "on purpose" in bench.out[0][1].error


async def test_a_run_that_failed_may_be_retried(bench: Bench) -> None:
    async def fail(_: Run) -> None:
        raise ValueError

    record = JobRecord("a", {b"func": b"some.function", b"attempts": b"1", b"opts": b'{"retry":{"max":3}}'})
    bench._bodies["a"] = fail
    bench.slots.take(QUEUE, Claim(record, 1))
    await eventually(lambda: bench.out)
    assert isinstance(bench.out[0][1], Retried)
