"""Jobs with executor="process": where they run, what ends them, and that nothing of them reaches the worker."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from aioq import InvalidInput, Job, JobFailed, Queue, Retry, Worker, task
from aioq.errors import InvalidFunction, JobStopped
from tests import jobs
from tests.client import kinds
from tests.security.plant import trap_call
from tests.tools import eventually
from tests.worker import apart
from tests.worker import misbehaviour as bad
from tests.worker.apart import notes

pytestmark = pytest.mark.timeout(60)


def is_gone(pid: object) -> bool:
    """Whether there is no such process, or only its exit code is left of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


async def start(queue: Queue, func: Any, *args: Any, **options: Any) -> Job[Any]:
    return await queue.using(executor="process", **options).enqueue(func, *args)


async def error_of(job: Job[Any]) -> str:
    with pytest.raises(JobFailed) as raised:
        await job.result(20)
    return raised.value.exc_info


# The option


async def test_it_is_given_like_other_options_and_stored_only_if_it_is_given(queue: Queue, raw) -> None:
    made = [
        await queue.using(executor="process").enqueue(apart.pid),
        await queue.enqueue(apart.pid, executor="process"),
        await queue.enqueue_call(apart.pid, executor="process"),
        await queue.enqueue_job(Job.create(apart.pid, executor="process")),
        *await queue.enqueue_many([Queue.prepare_data(apart.pid, executor="process")]),
        await queue.enqueue(apart.apart, 1),
        await queue.enqueue("tests.worker.apart.pid", executor="process"),
    ]
    opts = [raw.hget(f"aioq:{{default}}:job:{job.id}", "opts") for job in made]
    assert opts == ['{"executor":"process"}'] * len(made)

    job = await queue.enqueue(apart.pid)
    assert raw.hget(f"aioq:{{default}}:job:{job.id}", "opts") is None
    assert job.record.executor is None

    # It goes before the default of a worker.
    for job in (
        await queue.enqueue(apart.pid, executor="thread"),
        await queue.enqueue(apart.apart, 1, executor="thread"),
    ):
        assert raw.hget(f"aioq:{{default}}:job:{job.id}", "opts") == '{"executor":"thread"}'


@pytest.mark.parametrize("value", ["fork", "", 1, True, ["process"]])
async def test_another_value_is_refused(queue: Queue, value: Any) -> None:
    with pytest.raises(InvalidInput, match=r"executor=.*: expected one of 'thread', 'process'"):
        await queue.enqueue(apart.pid, executor=value)
    with pytest.raises(InvalidInput, match="executor="):
        task(executor=value)(apart.pid)


@pytest.mark.parametrize("function", [jobs.sleep, bad.explode_in_generator, kinds.Account(5).deposit])
async def test_what_is_awaited_is_refused(queue: Queue, function: Any) -> None:
    with pytest.raises(
        InvalidFunction, match=r"is for plain functions, and .* is awaited\. Leave the option away"
    ):
        await queue.using(executor="process").enqueue(function, 1)
    assert await queue.is_empty()


async def test_what_is_awaited_fails_if_only_the_worker_can_know_it(queue: Queue, burst) -> None:
    job = await queue.enqueue("tests.jobs.add", 1, 2, executor="process")
    await burst()
    assert "InvalidFunction: tests.jobs.add is awaited" in await error_of(job)


@pytest.mark.parametrize("value", [0, -1, True, 1.5])
def test_a_number_of_processes_that_is_none_is_refused(value: Any) -> None:
    with pytest.raises(InvalidInput, match="job_processes="):
        Worker("default", job_processes=value)


# Where they run


async def test_a_process_is_started_once_and_used_again(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=3)
    found = [await (await start(queue, apart.pid)).result(20) for _ in range(5)]
    assert len(set(found)) == 1
    assert found[0] != os.getpid()
    assert (await (await queue.enqueue(apart.apart, 1)).result(20)) == (2, found[0])
    assert await (await queue.enqueue(apart.pid)).result(20) == os.getpid()


async def test_there_are_as_many_as_the_worker_may_have_and_waiting_is_no_running(
    queue: Queue, start_worker, tmp_path: Path
) -> None:
    await start_worker(job_processes=2)
    path = tmp_path / "notes"
    made = [await start(queue, apart.work, str(path), 0.4, job_timeout=1.5) for _ in range(10)]
    assert [await job.result(20) for job in made] == ["done"] * 10
    running = most = 0
    for _, what, _ in notes(path):
        running += 1 if what == "start" else -1
        most = max(most, running)
    assert most == 2
    assert len({pid for pid, *_ in notes(path)}) == 2


async def test_nothing_is_left_when_the_worker_has_ended(queue: Queue, burst, tmp_path: Path) -> None:
    made = [await start(queue, apart.work, str(tmp_path / "notes"), 0.05) for _ in range(4)]
    await burst(job_processes=2)
    assert [await job.result(5) for job in made] == ["done"] * 4
    assert all(is_gone(pid) for pid, *_ in notes(tmp_path / "notes"))


async def test_methods_and_functions_of_others_run(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    assert await (await start(queue, kinds.Account(5).withdraw, 2)).result(20) == 3
    assert await (await start(queue, os.path.join, "a", "b")).result(20) == "a/b"
    plain = Queue("default", queue.connection, serializer="json")
    assert await (await start(plain, jobs.add_sync, 1, 2)).result(20) == 3


async def test_the_current_job_is_known(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    job = await start(queue, apart.facts, meta={"order": 7})
    assert await job.result(20) == {
        "id": job.id,
        "origin": "default",
        "func": True,
        "args": (),
        "kwargs": {},
        "fence": 1,
        "attempt": 1,
        "meta": {"order": 7},
        "status": "started",
        "main": True,
    }
    other = await start(queue, apart.current)
    assert await other.result(20) == other.id


async def test_standard_input_is_empty(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    assert await (await start(queue, apart.read_input)).result(20) == ""


# What ends them


@pytest.mark.parametrize(
    "function", [pytest.param(apart.hang, marks=pytest.mark.chaos), apart.hang_in_c, apart.hang_with_a_program]
)
async def test_a_timeout_kills_the_process_and_all_that_it_has_started(
    queue: Queue, start_worker, tmp_path: Path, function: Any
) -> None:
    await start_worker(job_processes=1)
    path = tmp_path / "notes"
    before = await (await start(queue, apart.pid)).result(20)
    job = await start(queue, function, str(path), job_timeout=0.5)
    began = time.monotonic()
    assert "JobTimeout: the run took longer than its timeout of 0.5 seconds" in await error_of(job)
    assert time.monotonic() - began < 3
    assert notes(path)[0][0] == str(before)
    await eventually(lambda: all(map(is_gone, notes(path)[0])))
    assert await (await start(queue, apart.pid)).result(20) != before


@pytest.mark.parametrize(
    "verb", ["stop", *(pytest.param(verb, marks=pytest.mark.chaos) for verb in ("cancel", "delete"))]
)
async def test_whoever_ends_the_run_kills_the_process(
    queue: Queue, start_worker, tmp_path: Path, verb: str
) -> None:
    await start_worker(job_processes=1)
    path = tmp_path / "notes"
    job = await start(queue, apart.hang_in_c, str(path))
    await eventually(lambda: notes(path))
    await getattr(job, verb)()
    await eventually(lambda: is_gone(notes(path)[0][0]))
    assert await (await start(queue, apart.pid)).result(20)
    if verb == "stop":
        with pytest.raises(JobStopped):
            await job.result(5)


async def test_a_job_that_waits_for_a_process_can_be_canceled(queue: Queue, start_worker, tmp_path: Path) -> None:
    await start_worker(job_processes=1)
    first = await start(queue, apart.hang, str(tmp_path / "first"))
    await eventually(lambda: notes(tmp_path / "first"))
    second = await start(queue, apart.hang, str(tmp_path / "second"))
    await eventually(second.get_status)
    await second.cancel()
    await first.stop()
    assert await (await start(queue, apart.pid)).result(20)
    assert not (tmp_path / "second").exists()


async def test_a_job_whose_process_starts_just_then_can_be_stopped(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)

    for _ in range(3):
        job = await start(queue, apart.pid)
        await eventually(lambda job=job: has_begun(job))
        await job.stop()

    assert await (await start(queue, apart.pid)).result(20)


async def test_a_shutdown_gives_the_job_back_and_kills_the_process(
    queue: Queue, start_worker, tmp_path: Path
) -> None:
    worker = await start_worker(job_processes=1, shutdown_timeout=0.2)
    running = await start(queue, apart.hang, str(tmp_path / "notes"))
    await eventually(lambda: notes(tmp_path / "notes"))
    waiting = await start(queue, apart.hang, str(tmp_path / "never"))
    await eventually(lambda: has_begun(waiting))
    worker.worker.request_stop()
    await worker.task
    assert is_gone(notes(tmp_path / "notes")[0][0])
    for job in (running, waiting):
        await job.refresh()
    assert (running.is_queued, running.attempt, running.deliveries) == (True, 0, 1)
    assert (waiting.is_queued, waiting.attempt, waiting.deliveries) == (True, 0, 0)
    assert not (tmp_path / "never").exists()
    await queue.empty()


async def has_begun(job: Job[Any]) -> bool:
    return await job.get_status() == "started"


DEATHS = {
    "exit": "has ended with the exit code 3",
    "zero": "has ended with the exit code 0",
    "crash": "was killed by SIGSEGV, signal 11,",
    "kill": "was killed by SIGKILL, signal 9, (if nobody has sent it, the machine was out of memory)",
    "close": "was killed by SIGKILL",
    "garbage": "was killed: in what it has sent to its worker, ",
}


@pytest.mark.parametrize(
    "how",
    [pytest.param(how, marks=[pytest.mark.chaos] * (how in ("zero", "kill", "close", "exit"))) for how in DEATHS],
)
async def test_a_process_that_dies_is_a_failure_of_its_job_alone(
    queue: Queue, start_worker, tmp_path: Path, how: str
) -> None:
    await start_worker(job_processes=2)
    other = await start(queue, apart.work, str(tmp_path / "other"), 1)
    await eventually(lambda: notes(tmp_path / "other"))
    job = await start(queue, apart.die, str(tmp_path / "notes"), how, retry=1)
    text = await error_of(job)
    assert f"aioq.errors.JobProcessError: the process of the job {DEATHS[how]}" in text
    assert text.rstrip().endswith("before the job did")
    assert await other.result(20) == "done"
    assert len({pid for (pid,) in notes(tmp_path / "notes")}) == 2  # it was tried again, in another process
    await eventually(lambda: all(is_gone(pid) for (pid,) in notes(tmp_path / "notes")))
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(5) == 3


async def test_a_process_that_died_while_it_was_idle_is_replaced(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    first = await (await start(queue, apart.pid)).result(20)
    os.kill(first, signal.SIGKILL)
    await eventually(lambda: is_gone(first))
    assert await (await start(queue, apart.pid)).result(20) != first


async def test_no_process_can_be_started(queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch) -> None:
    await start_worker(job_processes=1)
    with monkeypatch.context() as patch:
        patch.setattr("sys.executable", "/nowhere/python")
        text = await error_of(await start(queue, apart.pid))
        assert "JobProcessError: no process could be started for the job: [Errno 2]" in text
        patch.setattr("sys.executable", "/bin/false")
        text = await error_of(await start(queue, apart.pid))
        assert "the process for the job has ended with the exit code 1 before it was ready" in text
    assert await (await start(queue, apart.pid)).result(20)


async def test_paths_that_are_no_texts_are_passed_over_as_python_does(
    queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "path", [*sys.path, Path("lib"), b"lib", None, 5, "\udcff", Path("/nowhere")])
    await start_worker(job_processes=1)
    assert isinstance(await (await start(queue, apart.pid)).result(20), int)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("executable", "/nowhere/python"),
        ("executable", None),
        ("executable", "a\0b"),
        ("path", ["x" * 300_000]),  # more than the system takes as an argument
    ],
)
async def test_a_process_that_cannot_be_started_leaves_no_descriptor_open(
    queue: Queue, start_worker, monkeypatch: pytest.MonkeyPatch, name: str, value: Any
) -> None:
    await start_worker(job_processes=1)

    with monkeypatch.context() as patch:
        patch.setattr(sys, name, value)
        counts = []

        for _ in range(4):
            text = await error_of(await start(queue, "operator.add", 1, 2))
            assert "JobProcessError: no process could be started for the job" in text
            counts.append(len(list(Path("/proc/self/fd").iterdir())))

    assert counts[-1] <= counts[1]
    assert await (await start(queue, "operator.add", 1, 2)).result(20) == 3


async def test_a_fork_that_outlives_the_worker_keeps_no_process_alive(
    queue: Queue, server: Any, environment: dict[str, str], tmp_path: Path
) -> None:
    """Its copy of the pipe by which the process knows that its worker lives must not count."""
    worker = subprocess.Popen([sys.executable, "-m", "aioq", "worker", "--url", server.url], env=environment)

    try:
        apart_pid = await (await start(queue, apart.pid)).result(20)
        fork_pid = await (await queue.enqueue(apart.leave_a_fork_alone, 20)).result(20)
        worker.kill()
        worker.wait()
        await eventually(lambda: is_gone(apart_pid))
        assert not is_gone(fork_pid)
        os.kill(fork_pid, signal.SIGKILL)
    finally:
        worker.kill()
        worker.wait()


async def test_a_fork_of_a_job_obeys_signals(queue: Queue, start_worker, tmp_path: Path) -> None:
    await start_worker(job_processes=1)
    job = await start(queue, apart.leave_a_fork_behind, str(tmp_path / "notes"))
    assert await job.result(20) == "ended by 15"


# What they raise and return


async def test_whatever_it_raises_is_its_own_failure(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    before = await (await start(queue, apart.pid)).result(20)

    for kind, expected in bad.EXPLOSIONS.items():
        text = await error_of(await start(queue, bad.explode_in_thread, kind))
        assert expected in text, kind
        assert len(text) < 40_000, kind
        assert await (await start(queue, apart.pid)).result(20) == before, kind


async def test_the_traceback_shows_the_frames_of_the_job_alone(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    text = await error_of(await start(queue, jobs.div_by_zero, 1))
    assert text.startswith("Traceback (most recent call last):\n")
    assert "return x / 0" in text
    assert "aioq/worker" not in text
    assert text.endswith("ZeroDivisionError: division by zero\n")


@pytest.mark.parametrize(
    ("retry", "runs"), [(Retry(2, on=ArithmeticError), 3), (Retry(2, not_on=ArithmeticError), 1)]
)
async def test_a_retry_is_told_what_kind_of_error_it_was(
    queue: Queue, start_worker, retry: Retry, runs: int
) -> None:
    await start_worker(job_processes=1)
    job = await start(queue, jobs.div_by_zero, 1, retry=retry)
    await error_of(job)
    assert len(await job.results()) == runs


async def test_what_cannot_be_serialised_is_a_failure(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    before = await (await start(queue, apart.pid)).result(20)
    text = await error_of(await start(queue, bad.return_what_explodes, "exit"))
    assert "SerializationError: the result of tests.worker.misbehaviour.return_what_explodes cannot be" in text
    assert await (await start(queue, apart.pid)).result(20) == before


async def test_arguments_and_results_of_many_megabytes_pass(server, start_worker) -> None:
    await start_worker(job_processes=1)
    async with Queue("default", server.url, max_payload=40_000_000) as queue:
        assert len(await (await start(queue, apart.big, 30_000_000)).result(20)) == 30_000_000
        assert await (await start(queue, apart.measure, b"x" * 30_000_000)).result(20) == 30_000_000


# Meta


@pytest.mark.parametrize("secret", [pytest.param(None, marks=pytest.mark.chaos), "a secret of this very test"])
async def test_meta_is_read_and_saved(server, start_worker, secret: str | None) -> None:
    await start_worker(job_processes=1, secret=secret)
    async with Queue("default", server.url, secret=secret) as queue:
        job = await start(queue, apart.save, [1, 2], meta={"old": 1, "kept": 2})
        assert await job.result(20) == {"old": 1, "kept": 2}
        assert await job.get_meta() == {"kept": 2, "saved": [1, 2]}


async def test_what_needs_the_server_says_what_to_do_instead(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    text = await error_of(await start(queue, apart.refresh))
    assert "InvalidJobOperation: job " in text
    assert "runs in a process of its own, which has no connection to the server: `job.save_meta_sync()`" in text
    assert "apart.py" in text  # the line that has asked


@pytest.mark.parametrize("function", [apart.save_by_await, apart.save_without_await])
async def test_meta_is_saved_with_and_without_await(queue: Queue, start_worker, function: Any) -> None:
    await start_worker(job_processes=1)
    job = await start(queue, function)
    await job.result(20)
    assert await job.get_meta() == {"saved": 1}


async def test_meta_errors_are_those_of_a_thread(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=1)
    assert "PayloadTooLarge: the changed meta values" in await error_of(
        await start(queue, apart.save_much, 2_000_000)
    )


async def test_a_thread_of_a_run_that_is_over_saves_nothing(queue: Queue, start_worker, tmp_path: Path) -> None:
    await start_worker(job_processes=1)
    path = tmp_path / "notes"
    job = await start(queue, apart.save_when_it_is_over, str(path))
    await job.result(20)
    Path(f"{path}.go").touch()
    await eventually(lambda: notes(path))
    assert "this run has ended; its meta was not saved" in path.read_text()
    assert await (await start(queue, apart.pid)).result(20)
    assert await job.get_meta() == {}


# Who may run what


async def test_what_is_not_allowed_is_not_run(queue: Queue, burst, raw, tmp_path: Path) -> None:
    job = await start(queue, apart.pid, retry=3)
    raw.hset(f"aioq:{{default}}:job:{job.id}", "data", trap_call(tmp_path / "marker"))
    allowed = await start(queue, jobs.add_sync, 1, 2)
    way_out = await queue.enqueue("tests.jobs.time.sleep", 0, executor="process")
    await burst(allow="tests.jobs.*")
    assert "FunctionNotAllowed: tests.worker.apart.pid is not covered by --allow" in await error_of(job)
    assert "FunctionNotAllowed: tests.jobs.time.sleep is time.sleep" in await error_of(way_out)
    assert await allowed.result(5) == 3
    assert not (tmp_path / "marker").exists()
    assert len(await job.results()) == 1


async def test_nothing_unsigned_is_read_anywhere(server, burst, raw, tmp_path: Path) -> None:
    secret = "a secret of this very test"
    async with Queue("default", server.url, secret=secret) as queue:
        planted = await start(queue, apart.pid)
        raw.hset(f"aioq:{{default}}:job:{planted.id}", "data", trap_call(tmp_path / "call"))
        meta = await start(queue, apart.save, 1, meta={"kept": 2})
        raw.hset(f"aioq:{{default}}:job:{meta.id}", "meta.trap", trap_call(tmp_path / "meta"))
        await burst(secret=secret)
        assert "BadSignature" in await error_of(planted)
        assert (await meta.result(5))["kept"] == 2
        assert (await meta.get_meta())["saved"] == 1
        # It is kept as it was found.
        kept = await queue.connection.call(("HGET", f"aioq:{{default}}:job:{meta.id}", "meta.trap"))
        assert kept == trap_call(tmp_path / "meta")
    assert not (tmp_path / "call").exists()
    assert not (tmp_path / "meta").exists()


@pytest.mark.chaos
async def test_many_of_both_kinds_run_side_by_side(queue: Queue, start_worker) -> None:
    await start_worker(job_processes=2)
    options = ("process", "thread")
    made = await queue.enqueue_many(
        Queue.prepare_data(jobs.add_sync, (number, 1), executor=options[number % 2]) for number in range(1000)
    )
    assert await asyncio.gather(*(job.result(30) for job in made)) == list(range(1, 1001))


# How long a process is used


async def test_a_process_ends_after_a_number_of_jobs(queue: Queue) -> None:
    made = [await start(queue, apart.pid) for _ in range(7)]
    await Worker(queue, job_processes=1, job_process_max_jobs=3).run(burst=True)
    ran = [await job.result(5) for job in made]
    assert [ran.count(pid) for pid in dict.fromkeys(ran)] == [3, 3, 1]
    assert all(map(is_gone, ran))


async def test_a_process_that_has_grown_ends_after_its_job(queue: Queue) -> None:
    made = [
        await start(queue, apart.pid),
        await start(queue, apart.keep, 300),
        await start(queue, apart.pid),
        await start(queue, apart.pid),
    ]
    await Worker(queue, concurrency=1, job_processes=1, job_process_max_memory="250MB").run(burst=True)
    first, grown, third, last = [await job.result(5) for job in made]
    assert first == grown != third == last
    assert is_gone(first)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"job_process_max_jobs": 0}, "job_process_max_jobs=0: expected a whole number of at least 1"),
        ({"job_process_max_memory": "5x"}, "job_process_max_memory='5x': expected a size"),
    ],
)
def test_limits_that_are_none(options: dict[str, Any], error: str) -> None:
    with pytest.raises(InvalidInput, match=error):
        Worker(**options)
