"""Caller: one call of a user's function, from the claim to the outcome. No server is needed."""

from __future__ import annotations

import asyncio
import json
import math
import os
from types import SimpleNamespace
from typing import Any

import pytest

from aioq import get_current_job
from aioq.values.allowlist import Allowlist
from aioq.values.claim import Claim
from aioq.values.failure import Failure, unpack_failure
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, Retried
from aioq.values.record import JobRecord
from aioq.values.signature import Signer
from aioq.worker import call
from aioq.worker.call import Caller
from aioq.worker.run import Cause, Run
from aioq.worker.settings import ProcessLimits
from tests.tools import eventually
from tests.worker import called

QUEUE: Any = SimpleNamespace(queue="default")
HERE = called.__name__


class Bench:
    """A caller, and when it started the clocks of its runs."""

    def __init__(self, **options: Any) -> None:
        self.caller = Caller(5, 500_000, **options)
        self.started: list[str] = []

    async def run(self, function: str, *args: Any, **opts: Any) -> Outcome | None:
        return await self.carry_out(run_of(function, *args, **opts))

    async def value(self, function: str, *args: Any, **opts: Any) -> Any:
        outcome = await self.run(function, *args, **opts)
        assert isinstance(outcome, Finished), outcome
        return json.loads(outcome.result[1:])

    async def failure(self, function: str, *args: Any, **opts: Any) -> Failure:
        outcome = await self.run(function, *args, **opts)
        assert isinstance(outcome, Failed), outcome
        return unpack_failure(outcome.error)

    async def carry_out(self, run: Run) -> Outcome | None:
        return await self.caller.carry_out(run, self._start_clock)

    def _start_clock(self, run: Run) -> None:
        self.started.append(run.id)
        run.started_at = asyncio.get_running_loop().time()
        run.deadline = run.started_at + 60


def run_of(function: str, *args: Any, **opts: Any) -> Run:
    fields = {
        b"func": (function if "." in function else f"{HERE}.{function}").encode(),
        b"data": b"j" + json.dumps([None, args, {}]).encode(),
    }

    if opts:
        fields[b"opts"] = json.dumps(opts).encode()

    return Run(QUEUE, Claim(JobRecord("a", fields), 1))


@pytest.fixture
async def bench():
    bench = Bench(job_processes=ProcessLimits(1))
    yield bench
    await bench.caller.close()


# The kinds of functions


@pytest.mark.parametrize(
    ("function", "args", "result"),
    [
        ("double", [21], 42),
        ("items", [3], [0, 1, 2]),
        ("coroutine_of", [21], 42),
        ("doubles", [21], 42),
        ("doubled", [], 42),
        ("counted", [], [0, 1, 2]),
    ],
)
async def test_each_kind_of_function_is_called_as_it_is_to_be_called(
    bench: Bench, function: str, args: list[Any], result: Any
) -> None:
    assert await bench.value(function, *args) == result


async def test_a_plain_function_runs_on_a_thread(bench: Bench) -> None:
    run = run_of("thread_name")
    outcome = await bench.carry_out(run)
    assert isinstance(outcome, Finished)
    assert b"AnyIO worker thread" in outcome.result
    assert run.thread_call is not None
    assert run.thread_call.seconds is not None


async def test_a_plain_function_that_asks_for_it_runs_in_a_process_that_is_used_again(bench: Bench) -> None:
    first = await bench.value("process_id", executor="process")
    assert first != os.getpid()
    assert await bench.value("process_id", executor="process") == first


async def test_a_default_process_is_for_plain_functions_alone() -> None:
    bench = Bench(default="process")
    assert await bench.value("process_id") != os.getpid()
    assert await bench.value("process_id", executor="thread") == os.getpid()
    assert await bench.value("double", 21) == 42
    await bench.caller.close()


async def test_an_awaited_function_that_asks_for_a_process_fails_before_it_is_called(bench: Bench) -> None:
    run = run_of("double", 21, executor="process")
    outcome = await bench.carry_out(run)
    assert isinstance(outcome, Failed)
    assert 'executor="process" is for plain functions' in outcome.error
    assert not run.begun


async def test_the_time_of_a_run_that_waits_for_a_process_stands_still(bench: Bench) -> None:
    first, second = (run_of("asleep_in_process", 0.3, executor="process") for _ in range(2))
    tasks = [asyncio.create_task(bench.carry_out(run)) for run in (first, second)]
    await eventually(lambda: second.waits_for_process)
    assert (second.deadline, second.begun) == (math.inf, False)
    await asyncio.gather(*tasks)
    assert (second.waits_for_process, second.begun) == (False, True)
    assert second.started_at >= first.started_at + 0.3
    assert len(bench.started) == 4  # each clock was started at first, and again with the process


async def test_the_function_has_a_current_job_and_nobody_else(bench: Bench) -> None:
    assert await bench.value("job_id") == "a"
    assert get_current_job() is None


# What is found, verified and unpacked before the call


@pytest.mark.parametrize(
    ("function", "text"),
    [("no_such_function", "was it renamed or removed?"), ("no_such_module.function", "can be imported")],
)
async def test_code_that_is_missing_fails_and_may_be_retried(bench: Bench, function: str, text: str) -> None:
    assert text in (await bench.failure(function)).text
    assert isinstance(await bench.run(function, retry={"max": 1}), Retried)


async def test_a_function_that_is_not_allowed_is_not_called_and_not_retried() -> None:
    bench = Bench(allow=Allowlist([f"{HERE}.double"]))
    called.seen.clear()
    assert await bench.value("double", 21) == 42
    assert "FunctionNotAllowed" in (await bench.failure("note", 1, retry={"max": 3})).text
    assert not called.seen


async def test_a_record_without_its_signature_is_neither_called_nor_imported(bench: Bench) -> None:
    run = run_of("note", 1, retry={"max": 3})
    run.claim.record.signer = Signer([b"secret"], b"")
    called.seen.clear()
    outcome = await bench.carry_out(run)
    assert isinstance(outcome, Failed)
    assert "BadSignature" in outcome.error
    assert (called.seen, run.found, run.begun) == ([], False, False)


async def test_damaged_arguments_are_a_failure_that_is_not_retried(bench: Bench) -> None:
    run = run_of("note", retry={"max": 3})
    run.claim.record.fields[b"data"] = b"j{"
    outcome = await bench.carry_out(run)
    assert isinstance(outcome, Failed)
    assert (run.found, run.begun) == (True, False)


async def test_the_time_of_an_import_is_not_counted(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    find = bench.caller._imports.find

    async def slowly(name: str) -> Any:
        await asyncio.sleep(0.1)
        return await find(name)

    monkeypatch.setattr(bench.caller._imports, "find", slowly)
    run = run_of("double", 21)
    began = asyncio.get_running_loop().time()
    await bench.carry_out(run)
    assert run.started_at >= began + 0.09
    assert run.deadline < began + 60.05  # its timeout goes on meanwhile


# What comes of it


async def test_what_it_raises_is_its_failure(bench: Bench) -> None:
    failure = await bench.failure("fail")
    assert (failure.type, failure.message) == ("ValueError", "on purpose")
    assert "aioq/worker" not in failure.text
    assert "SystemExit: 7" in (await bench.failure("leave")).text
    assert isinstance(await bench.run("fail", retry={"max": 1}), Retried)


async def test_a_retry_that_it_returns_is_one(bench: Bench) -> None:
    outcome = await bench.run("asks_again")
    assert isinstance(outcome, Retried)
    assert outcome.delay_ms == 1000


@pytest.mark.parametrize("function", ["unserialisable", "many_bytes"])
async def test_a_function_that_has_returned_is_not_run_again_for_its_result(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, function: str
) -> None:
    monkeypatch.setattr(call, "MAX_RESULT_BYTES", 1000)
    failure = await bench.failure(function, 2000, retry={"max": 3})
    assert failure.type in ("aioq.errors.SerializationError", "aioq.errors.PayloadTooLarge")


async def test_a_result_is_kept_for_as_long_as_the_job_or_the_worker_says(bench: Bench) -> None:
    ttls = [(await bench.run("double", 1, **opts)).ttl_ms for opts in ({}, {"result_ttl": 5}, {"result_ttl": -1})]
    assert ttls == [500_000, 5, -1]


@pytest.mark.parametrize(
    ("cause", "expected"),
    [(Cause.TIMEOUT, Failed), (Cause.LOST, type(None)), (Cause.INTERRUPTED, Finished)],
)
async def test_a_run_that_swallows_its_end(bench: Bench, cause: Cause, expected: type) -> None:
    """Only one that the shutdown has interrupted has done its work."""
    run = run_of("swallows_the_cancel", timeout=100)
    task = asyncio.create_task(bench.carry_out(run))
    await eventually(lambda: run.begun)
    run.cause = cause
    task.cancel()
    outcome = await task
    assert isinstance(outcome, expected)
    assert not run.returned


async def test_a_run_that_is_interrupted_goes_back(bench: Bench) -> None:
    run = run_of("asyncio.sleep", 60)
    task = asyncio.create_task(bench.carry_out(run))
    await eventually(lambda: run.begun)
    run.cause = Cause.INTERRUPTED
    task.cancel()
    assert await task == Interrupted(begun=True)
