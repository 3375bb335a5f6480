"""What the log of a worker says of its jobs, in records of the logger `aioq.worker`."""

from __future__ import annotations

import json
import logging
import re
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq import Queue, Retry, get_current_job
from aioq.logs import JobLogFilter
from aioq.values.errors import RemoteError
from aioq.values.summary import summary
from aioq.worker import telling, tracebacks
from aioq.worker.lines import JsonLines, Style, TextLines
from aioq.worker.telling import FAILURES_AT_ONCE, LINES_PER_S
from aioq.worker.threads import RunEnded
from tests import jobs
from tests.tools import RunningWorker, eventually


class Flaky(Exception):
    """What a job of these tests raises."""


async def fail() -> None:
    raise Flaky("no answer\nand more of it")


def fail_plainly() -> None:
    raise Flaky("no answer\nand more of it")


async def say() -> None:
    logging.getLogger("shop").warning("in a coroutine")


def say_plainly() -> None:
    logging.getLogger("shop").warning("in a thread")


class Heard(logging.Handler):
    """Keeps records, as a handler of an application gets them."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)

    def of_jobs(self, level: int = logging.DEBUG) -> list[logging.LogRecord]:
        """The records about jobs, from a level on."""
        return [each for each in self.records if each.levelno >= level and getattr(each, "job_id", None)]

    def said(self, text: str) -> list[str]:
        return [each.getMessage() for each in self.records if text in each.getMessage()]


@pytest.fixture
def heard() -> Iterator[Heard]:
    handler, logger = Heard(), logging.getLogger("aioq.worker")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler
    logger.setLevel(before)
    logger.removeHandler(handler)


async def burst(url: str, max_jobs: int | None = None, **options: object) -> str:
    """A worker that runs all jobs, or so many; its name."""
    run = {"burst": True} if max_jobs is None else {"max_jobs": max_jobs}

    async with RunningWorker(["default"], run=run, connection=url, **options) as running:
        await running.task

    return running.worker.name


async def test_a_final_failure_is_one_record_with_the_job_and_its_exception(
    queue: Queue, server, heard: Heard
) -> None:
    job = await queue.enqueue(fail)
    worker = await burst(server.url)
    (record,) = heard.of_jobs()
    assert record.levelno == logging.ERROR
    assert (record.job_id, record.queue, record.func) == (job.id, "default", f"{__name__}.fail")
    assert (record.attempt, record.worker, record.outcome) == (1, worker, "failed")
    assert 0 <= record.duration < 5
    message = record.getMessage()
    assert message.startswith(f"{__name__}.fail failed after ")
    assert message.endswith(f" s (queue default, job {job.id}): {__name__}.Flaky: no answer")
    kind, error, frames = record.exc_info
    assert (kind, str(error)) == (Flaky, "no answer\nand more of it")
    assert [frame.name for frame in traceback.extract_tb(frames)] == ["fail"]


@pytest.mark.parametrize("function", [fail, fail_plainly])
async def test_a_failure_that_is_retried_is_a_warning(queue: Queue, server, heard: Heard, function) -> None:
    await queue.enqueue(function, retry=Retry(2, interval=[0.05, 0.1]))
    await burst(server.url, max_jobs=3)
    first, second, last = heard.of_jobs()
    assert [each.levelname for each in (first, second, last)] == ["WARNING", "WARNING", "ERROR"]
    assert ", attempt 1 of 3, again in 0.05 s (queue " in first.getMessage()
    assert ", attempt 2 of 3, again in 0.1 s (queue " in second.getMessage()
    assert ", attempt 3 of 3 (queue " in last.getMessage()
    assert [each.attempt for each in (first, second, last)] == [1, 2, 3]
    assert all(each.exc_info[0] is Flaky for each in (first, second, last))


async def test_a_failure_that_its_retry_is_not_for_says_so(queue: Queue, server, heard: Heard) -> None:
    await queue.enqueue(fail, retry=Retry(2, on=LookupError))
    await burst(server.url)
    (record,) = heard.of_jobs()
    assert "attempt 1 of 3, not retried: its Retry is for other errors" in record.getMessage()


async def test_the_exception_of_a_process_is_built_again_from_its_text(queue: Queue, server, heard: Heard) -> None:
    await queue.enqueue(fail_plainly, executor="process")
    await burst(server.url)
    (record,) = heard.of_jobs()
    assert record.getMessage().endswith(f": {__name__}.Flaky: no answer")
    kind, error, _ = record.exc_info
    assert (kind.__module__, kind.__qualname__, str(error)) == (__name__, "Flaky", "no answer")
    assert 'raise Flaky("no answer' in str(error.__cause__)


@pytest.mark.parametrize("name", ["ValueError", "shop.Error", "a\0b.C", "\ud800.X", ""])
def test_any_name_makes_an_exception(name: str) -> None:
    text = f"Traceback (most recent call last):\n  File x\n{name}: no\nmore"
    error = RemoteError(text, [name], name, "no")
    again = tracebacks.rebuilt(error)
    assert str(again).endswith("no")
    assert "File x" in str(again.__cause__)
    assert tracebacks.error_line(error).isprintable()


def test_a_summary_is_the_class_and_the_first_line() -> None:
    assert summary(ValueError("no such\ndocument")) == ("ValueError", "no such")
    assert summary(Flaky()) == (f"{__name__}.Flaky", "")
    assert summary(ValueError("x" * 10_000))[1] == "x" * 499 + "…"

    class UnprintableError(Exception):
        def __str__(self) -> str:
            raise SystemExit

    assert summary(UnprintableError())[1] == "<exception str() failed>"


async def test_what_never_began_and_what_took_too_long_are_failures(queue: Queue, server, heard: Heard) -> None:
    await queue.enqueue("no.such.function")
    await queue.enqueue(jobs.sleep, 30, job_timeout=0.1)
    await burst(server.url)
    missing, late = heard.of_jobs()
    assert "'no.such.function' can be imported" in missing.getMessage()
    assert "JobTimeout: the run took longer than its timeout of 0.1 seconds" in late.getMessage()
    assert late.duration >= 0.09


async def test_at_the_usual_level_jobs_that_finish_are_not_told(queue: Queue, server, heard: Heard) -> None:
    await queue.enqueue(jobs.noop)
    await burst(server.url)
    assert heard.of_jobs() == []


@pytest.mark.parametrize("is_asked", [True, False])
async def test_begin_and_end_are_told_if_asked_and_at_debug(
    queue: Queue, server, heard: Heard, is_asked: bool
) -> None:
    job = await queue.enqueue(jobs.noop)

    if not is_asked:
        logging.getLogger("aioq.worker").setLevel(logging.DEBUG)

    await burst(server.url, log_jobs=is_asked)
    begun, ended = heard.of_jobs()
    assert {begun.levelname, ended.levelname} == {"INFO" if is_asked else "DEBUG"}
    assert begun.getMessage() == f"tests.jobs.noop begins (queue default, job {job.id})"
    assert ended.getMessage().startswith("tests.jobs.noop finished in ")
    assert ended.getMessage().endswith(f" s (queue default, job {job.id})")
    assert ended.outcome == "finished"


async def test_many_jobs_are_summed_up(queue: Queue, server, heard: Heard) -> None:
    await queue.enqueue_many([Queue.prepare_data(jobs.noop) for _ in range(1500)])
    await burst(server.url, log_jobs=True)
    told = len(heard.said("finished in "))
    assert len(heard.of_jobs()) <= LINES_PER_S
    (words,) = heard.said(" jobs in ")
    assert words.startswith(f"finished {1500 - told:,} jobs in ")


async def test_after_many_jobs_single_ones_are_told_again(queue: Queue, server, heard: Heard, monkeypatch) -> None:
    monkeypatch.setattr(telling, "LEVEL_CHECK_S", 0.05)
    monkeypatch.setattr(telling, "LINES_PER_S", 4)  # also a slow machine runs more of these jobs in that time
    await queue.enqueue_many([Queue.prepare_data(jobs.noop) for _ in range(200)])

    async with RunningWorker(["default"], connection=server.url, log_jobs=True):
        await eventually(lambda: heard.said(" jobs in "))
        job = await queue.enqueue(jobs.noop)
        await eventually(lambda: [each for each in heard.said(" finished in ") if job.id in each])


@pytest.mark.parametrize("level", [logging.INFO, logging.DEBUG])
async def test_a_storm_of_failures_is_bounded_and_says_how_many_were_left_out(
    queue: Queue, server, heard: Heard, level: int
) -> None:
    logging.getLogger("aioq.worker").setLevel(level)
    await queue.enqueue_many([Queue.prepare_data(fail) for _ in range(400)])
    await burst(server.url)
    told = len(heard.of_jobs(logging.ERROR))

    if level == logging.DEBUG:
        assert (told, heard.said("left out")) == (400, [])
    else:
        assert FAILURES_AT_ONCE <= told < 200
        left_out = 400 - told
        (words,) = heard.said("left out")
        assert words.startswith(f"{left_out} more failures of jobs in ")
        assert words.endswith(f" were left out here, {left_out} of them final")


async def test_a_level_that_changes_holds_within_a_second(queue: Queue, server, heard: Heard) -> None:
    async with RunningWorker(["default"], connection=server.url):
        logging.getLogger("aioq.worker").setLevel(logging.DEBUG)

        async def is_told() -> bool:
            await (await queue.enqueue(jobs.noop)).result(timeout=5)
            return bool(heard.said("finished in "))

        await eventually(is_told, timeout=5)


async def test_a_stop_says_what_it_waits_for_and_what_went_back(queue: Queue, server, heard: Heard) -> None:
    job = await queue.enqueue(jobs.sleep, 30)

    async with RunningWorker(["default"], connection=server.url, shutdown_timeout=0.1) as running:
        await eventually(lambda: running.worker._service.slots.running)
        running.worker.request_stop()
        await running.task

    (stops,) = heard.said(" stops")
    assert stops == f"worker {running.worker.name} stops: it waits for 1 running job, for 0.1 s at the most"
    (back,) = heard.said(" to its queue")
    assert back == f"worker {running.worker.name}: 1 job goes back to its queue: tests.jobs.sleep (job {job.id})"


async def test_the_first_line_names_version_server_queues_and_what_is_allowed(
    queue: Queue, server, heard: Heard
) -> None:
    url = f"redis://default:hunter2@127.0.0.1:{server.port}/0"  # the default user has no password: all are right
    await burst(url, concurrency=1, allow="tests.*", name="shop")
    first = heard.records[0].getMessage()
    assert first.startswith("aioq")
    assert f" serves default at redis://default:***@127.0.0.1:{server.port}/0, " in first
    assert first.endswith(", 1 job at once; it may run tests.*")


async def test_a_filter_that_raises_takes_no_job_along(queue: Queue, server, heard: Heard) -> None:
    def refuse(record: logging.LogRecord) -> bool:
        if hasattr(record, "job_id"):
            raise SystemExit("no")

        return True

    logging.getLogger("aioq.worker").addFilter(refuse)

    try:
        jobs_ = [await queue.enqueue(fail), await queue.enqueue(jobs.noop)]
        await burst(server.url, log_jobs=True)
        assert [await job.get_status() for job in jobs_] == ["failed", "finished"]
    finally:
        logging.getLogger("aioq.worker").removeFilter(refuse)


# The application's own configuration


def test_a_configuration_that_does_not_name_aioq_does_not_silence_it(environment: dict[str, str]) -> None:
    program = (
        "import logging.config, aioq.worker.worker; from aioq.worker.lines import keep_enabled; keep_enabled();"
        " logging.getLogger('other'); logging.config.dictConfig({'version': 1});"
        " logging.getLogger('aioq.worker').error('still here'); logging.getLogger('other').error('not here')"
    )  # in a process of its own: it disables the loggers of all others
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stderr == "still here\n"


# The filter


@pytest.mark.parametrize("function", [say, say_plainly])
async def test_records_of_a_job_carry_the_job(queue: Queue, server, function) -> None:
    handler = Heard()
    handler.addFilter(JobLogFilter())
    logging.getLogger().addHandler(handler)

    try:
        job = await queue.enqueue(function)
        worker = await burst(server.url)
    finally:
        logging.getLogger().removeHandler(handler)

    (record,) = [each for each in handler.records if each.name == "shop"]
    assert (record.job_id, record.queue, record.attempt) == (job.id, "default", 1)
    assert (record.func, record.worker) == (f"{__name__}.{function.__name__}", worker)


def test_outside_of_a_job_the_attributes_stand_for_nothing() -> None:
    record = logging.makeLogRecord({"queue": "its own"})
    assert get_current_job() is None
    assert JobLogFilter(None).filter(record)
    assert (record.job_id, record.queue, record.worker) == (None, "its own", None)
    JobLogFilter().filter(other := logging.makeLogRecord({}))
    assert logging.Formatter("%(job_id)s %(func)s %(attempt)s").format(other) == "- - -"


# How lines are shown


SHOWN = TextLines(Style(format="%(levelname)s %(message)s"))


def shown(heard: Heard, level: int = logging.INFO) -> list[str]:
    """What `aioq worker` prints of jobs."""
    return [SHOWN.format(record) for record in heard.of_jobs(level)]


async def takes_none() -> None:
    """It takes no arguments."""


def drops_a_call() -> None:
    job = get_current_job()
    assert job is not None
    job.cancel()


async def asks_again() -> Retry | str:
    return "done" if get_current_job().attempt > 1 else Retry(2)


async def asks_for_ever() -> Retry:
    return Retry(1, interval=0.05)


@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_a_plain_job_begins_once(queue: Queue, server, heard: Heard, executor: str) -> None:
    await queue.enqueue(jobs.add_sync, 1, 2, executor=executor)
    await queue.enqueue(jobs.add_sync, 1, 2)  # as the worker's default has it
    await burst(server.url, log_jobs=True, executor=executor)
    assert len(heard.said(" begins (")) == 2
    assert len(heard.said(" finished in ")) == 2


async def test_a_function_that_asks_to_run_again_has_not_failed(queue: Queue, server, heard: Heard) -> None:
    job = await queue.enqueue(asks_again)
    other = await queue.enqueue(asks_for_ever)
    await burst(server.url, max_jobs=4)
    (first,) = [record for record in heard.of_jobs() if record.job_id == job.id]
    assert (first.levelname, first.exc_info, first.outcome) == ("INFO", None, "retried")
    assert re.fullmatch(
        rf"{__name__}\.asks_again asked after [\d.]+ s, attempt 1 of 3, to run again at once"
        rf" \(queue default, job {job.id}\)",
        first.getMessage(),
    )
    again, last = [line for line in shown(heard) if other.id in line]
    assert ", attempt 1 of 2, to run again in 0.05 s (" in again
    assert last.startswith(f"ERROR {__name__}.asks_for_ever failed after ")
    assert last.endswith(
        f", attempt 2 of 2 (queue default, job {other.id}): aioq.errors.RetryRequested: the function returned"
        " a Retry in attempt 2 of 2, and no attempt is left"
    )


@pytest.mark.parametrize(
    ("function", "args", "words"),
    [
        (
            f"{__name__}.takes_none",
            (1, 2),
            "TypeError: takes_none() takes 0 positional arguments but 2 were given",
        ),
        (f"{__name__}.drops_a_call", (), "aioq.errors.NotAwaited: called in a plain function and never awaited"),
        (
            f"{__name__}.no_such_function",
            (),
            "aioq.errors.DeserializationError: tests.worker.test_telling has no function",
        ),
    ],
)
@pytest.mark.parametrize("executor", ["thread", "process"])
async def test_an_error_without_a_frame_of_the_user_is_one_line(
    queue: Queue, server, heard: Heard, function: str, args: tuple[int, ...], words: str, executor: str
) -> None:
    await queue.enqueue(function, *args)
    await burst(server.url, executor=executor)
    (line,) = shown(heard)
    assert words in line
    assert "\n" not in line
    assert heard.of_jobs()[0].exc_info is not None  # for Sentry and its like


async def test_a_broken_import_shows_the_frames_of_the_user_alone(
    queue: Queue, server, heard: Heard, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / f"broken_{key}.py").write_text("import no_such_module_at_all\n")
    (tmp_path / f"wrong_{key}.py").write_text("def f(:\n    pass\n")
    broken = await queue.enqueue(f"broken_{key}.f")
    await burst(server.url)
    wrong = await queue.enqueue(f"wrong_{key}.f")
    await burst(server.url)
    first, second = shown(heard)
    assert re.findall(r'File "(.*)", line (\d+)', first) == [(str(tmp_path / f"broken_{key}.py"), "1")]
    assert re.findall(r'File "(.*)", line (\d+)', second) == [(str(tmp_path / f"wrong_{key}.py"), "1")]
    told = [line.partition("aioq.errors.Des")[2] for line in first.splitlines()]
    assert told[0] == told[-1] != ""

    for job in (broken, wrong):
        await job.refresh()
        assert (job.exc_info.count('File "'), "importlib" in job.exc_info) == (1, False)
        assert "aioq.values" not in job.exc_info


async def test_what_ended_a_run_is_told(queue: Queue, server, heard: Heard) -> None:
    async with RunningWorker(["default"], connection=server.url, log_jobs=True):
        running = [await queue.enqueue(jobs.sleep, 30) for _ in range(3)]
        await eventually(lambda: len(heard.said(" begins ")) == 3)
        await running[0].cancel()
        await running[1].stop()
        await running[2].delete()
        await eventually(lambda: len([each for each in heard.of_jobs() if hasattr(each, "outcome")]) == 3)

    words = {each.job_id: each.getMessage() for each in heard.of_jobs() if hasattr(each, "outcome")}

    for job, end in zip(running, ("was canceled", "was stopped", "was deleted"), strict=True):
        assert re.match(rf"tests\.jobs\.sleep {end} after [\d.]+ s \(queue default, job {job.id}\)", words[job.id])


async def test_the_last_line_counts_runs(queue: Queue, server, heard: Heard) -> None:
    await queue.enqueue(fail, retry=1)
    await queue.enqueue(asks_again)
    worker = await burst(server.url, max_jobs=4)
    assert (
        heard.records[-1].getMessage()
        == f"worker {worker} has ended: 4 runs of jobs: 1 finished, 2 failed, 1 asked to run again"
    )


def test_levels_have_colours_where_they_are_wanted() -> None:
    record = logging.makeLogRecord(
        {"name": "aioq.worker", "levelno": 40, "levelname": "ERROR", "msg": "ERROR \x1b"}
    )
    coloured = TextLines(Style(format="%(levelname)s %(message)s", colours=True))
    assert coloured.format(record) == "\x1b[31mERROR\x1b[0m ERROR \\x1b"
    assert SHOWN.format(record) == "ERROR ERROR \\x1b"


@pytest.mark.chaos
def test_a_stop_is_heard_also_where_nobody_has_configured_logging(environment: dict[str, str], server) -> None:
    program = (
        "import asyncio\nfrom aioq import Queue, Worker\n"
        "async def main():\n"
        f"    async with Queue('default', {server.url!r}) as queue:\n"
        "        job = await queue.enqueue('tests.jobs.sleep', 30)\n"
        "        worker = Worker(queue, shutdown_timeout=0.1)\n"
        "        task = asyncio.create_task(worker.run())\n"
        "        while not (worker._service and worker._service.slots.running): await asyncio.sleep(0.01)\n"
        "        worker.request_stop()\n"
        "        await task\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=20
    )
    assert re.search(r"^worker .* stops: it waits for 1 running job, for 0.1 s at the most$", done.stderr, re.M)


def test_an_error_without_a_text_is_told_by_its_type() -> None:
    class Silent(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no text")

        @property
        def __notes__(self) -> list[str]:
            raise RuntimeError("no notes")

    assert "Silent" in tracebacks.error_text(Silent())
    assert tracebacks.error_text(RunEnded()) == "RunEnded"


def test_a_line_of_json_is_written_whatever_an_application_adds() -> None:
    class Silent:
        def __str__(self) -> str:
            raise RuntimeError("no text")

    loop: dict[str, Any] = {}
    loop["loop"] = loop
    record = logging.LogRecord("shop", logging.INFO, __file__, 1, "sold %d", (3,), None, sinfo="Stack:\n  here")
    record.order, record.what, record.rate = loop, Silent(), float("nan")
    found = json.loads(JsonLines(Style()).format(record))
    assert (found["message"], found["what"], found["rate"]) == ("sold 3", "<Silent>", "nan")
    assert found["stack"] == "Stack:\n  here"
