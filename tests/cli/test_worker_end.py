"""The end of `aioq worker`: its process ends when the worker has ended, and runs have had time to clean up."""

from __future__ import annotations

import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from aioq import Queue
from tests.cli import ending_jobs as ending
from tests.cli.tools import Cli, Running
from tests.conftest import Server
from tests.tools import eventually_sync

Start = Callable[..., Running]

#: What a stop may take beside its timeout and the grace, in seconds. It takes two; a busy machine needs more.
MOST = 8.0

QUICK = ("--shutdown-timeout", "0.2", "--cancel-grace", "0.2")


def enqueue(cli: Cli, functions: Sequence[Any], path: Path, **options: Any) -> None:
    calls = [
        Queue.prepare_data(each, (str(path),), job_id=getattr(each, "__name__", str(each)), **options)
        for each in functions
    ]
    cli.do(lambda queue: queue.enqueue_many(calls))


def lines(path: Path, word: str) -> int:
    return path.read_text().split().count(word) if path.exists() else 0


def stopped(worker: Running, number: int = signal.SIGTERM, timeout: float = 30) -> float:
    """Send a signal, and return after how many seconds the process has ended."""
    begun = time.monotonic()
    worker.signal(number)
    worker.ends(timeout)
    return time.monotonic() - begun


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.chaos)])
def test_threads_do_not_hold_the_process(cli: Cli, start: Start, tmp_path: Path, number: int) -> None:
    path = tmp_path / "notes"
    worker = start("worker", *QUICK)
    enqueue(cli, ending.THREADS, path)
    eventually_sync(lambda: lines(path, "begun") == len(ending.THREADS), describe="all begun")
    took = stopped(worker, number)
    assert took < 0.2 + 0.2 + MOST
    assert worker.process.returncode == 0
    # What is registered for the end of the process has run, once, and what was printed is there.
    assert lines(path, "atexit") == len(ending.THREADS)
    assert "an unfinished line" in worker.stdout
    # The log names the jobs of the worker's threads, and all threads that the process does not wait for.
    for each in (ending.sleep_in_c, ending.wait_for_a_lock, ending.wait_for_a_program):
        assert re.search(
            rf"{each.__name__} \(job {each.__name__}\) is given up after .*: its thread \(.*\) is still blocked",
            worker.stderr,
        )
        assert cli.status(each.__name__) == "queued"
    assert re.search(
        "the process ends now, although these threads are still blocked: .*left by a job", worker.stderr
    )


def test_neither_do_tasks(cli: Cli, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    worker = start("worker", *QUICK)
    enqueue(cli, ending.TASKS, path)
    eventually_sync(lambda: lines(path, "begun") == len(ending.TASKS), describe="all begun")
    eventually_sync(lambda: cli.status("leave_a_task") == "finished", describe="the end of a job")
    took = stopped(worker)
    assert took < 0.2 + 0.2 + MOST
    assert worker.process.returncode == 0
    assert lines(path, "atexit") == len(ending.TASKS)
    assert cli.status("never_cancelled") == "queued"
    assert cli.job("never_cancelled").attempt == 0
    assert "a task that a job has left behind ignores that it was cancelled: <Task" in worker.stderr
    assert "Traceback" not in worker.stderr


@pytest.mark.parametrize("function", [ending.leave_a_process, ending.leave_a_handler])
def test_neither_does_the_end_of_the_interpreter(cli: Cli, start: Start, tmp_path: Path, function: Any) -> None:
    path = tmp_path / "notes"
    worker = start("worker", *QUICK)
    enqueue(cli, [function], path)
    eventually_sync(lambda: cli.status(function.__name__) == "finished", describe="the end of the job")
    assert stopped(worker) < 0.2 + 0.2 + MOST
    assert worker.process.returncode == 0


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (ending.sleep_in_c, ("--burst",)),
        (ending.never_cancelled, ("--max-jobs", "1")),
        pytest.param(ending.never_cancelled, ("--max-idle-time", "0.2"), marks=pytest.mark.chaos),
        pytest.param(ending.sleep_in_c, ("--max-jobs", "1"), marks=pytest.mark.chaos),
        pytest.param(ending.sleep_in_c, ("--max-idle-time", "0.2"), marks=pytest.mark.chaos),
        pytest.param(ending.never_cancelled, ("--burst",), marks=pytest.mark.chaos),
    ],
)
def test_however_the_worker_ends_its_process_ends(
    cli: Cli, tmp_path: Path, words: tuple[str, ...], function: Any
) -> None:
    path = tmp_path / "notes"
    enqueue(cli, [function], path, job_timeout=0.2)
    begun = time.monotonic()
    done = cli.process("worker", *words, *QUICK)
    assert time.monotonic() - begun < 10
    assert done.returncode == 0, done.stderr
    assert lines(path, "atexit") == 1
    assert cli.status(function.__name__) == "failed"
    assert "JobTimeout" in cli.job(function.__name__).exc_info


def test_a_second_signal_hurries_and_further_ones_change_nothing(cli: Cli, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    worker = start("worker", "--cancel-grace", "0.2")  # and the usual 25 s
    enqueue(cli, [ending.sleep_in_c, ending.never_cancelled], path)
    eventually_sync(lambda: lines(path, "begun") == 2, describe="both begun")
    begun = time.monotonic()

    while worker.process.poll() is None and time.monotonic() - begun < 20:
        worker.signal(signal.SIGTERM)
        time.sleep(0.1)

    assert worker.ends(0) == 0
    assert time.monotonic() - begun < 0.2 + MOST
    assert lines(path, "atexit") == 2
    assert {cli.status("sleep_in_c"), cli.status("never_cancelled")} == {"queued"}


def test_an_error_at_the_start_ends_the_process_with_its_code(cli: Cli) -> None:
    done = cli.process("worker", "--url", "redis://127.0.0.1:1/0")
    assert done.returncode == 1
    assert done.stderr.startswith("Error: ")


# Clean-up


def cleaned(path: Path) -> set[str]:
    return {line.removesuffix(" cleaned") for line in path.read_text().splitlines() if line.endswith(" cleaned")}


def test_clean_up_has_its_time_at_every_end(cli: Cli, start: Start, tmp_path: Path) -> None:
    """1.2 s: runs used to be cancelled again each second."""
    path = tmp_path / "notes"
    worker = start("worker", "--shutdown-timeout", "1")
    tags = [
        f"{each.__name__}-{how}" for each in ending.CLEAN_UPS for how in ("stop", "cancel", "timeout", "shutdown")
    ]
    calls = [
        Queue.prepare_data(
            getattr(ending, tag.split("-")[0]),
            (str(path), tag, 1.2),
            job_id=tag,
            **({"job_timeout": 0.5} if tag.endswith("-timeout") else {}),
        )
        for tag in tags
    ]
    cli.do(lambda queue: queue.enqueue_many(calls))
    eventually_sync(lambda: path.exists() and path.read_text().count("begun") == len(tags), describe="all begun")

    async def end(queue: Queue) -> None:
        for tag in tags:
            if tag.endswith(("-stop", "-cancel")):
                job = await queue.fetch_job(tag)
                await getattr(job, tag.rpartition("-")[2])()

    cli.do(end)
    assert stopped(worker) < 1 + 1.2 + MOST
    assert cleaned(path) == set(tags)
    assert all(path.read_text().count(f"{tag} cleaned") == 1 for tag in tags)


def test_a_run_that_was_cancelled_in_the_shutdown_may_clean_up_until_its_timeout(
    cli: Cli, start: Start, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    worker = start("worker", "--shutdown-timeout", "20", "--cancel-grace", "0.1")
    cli.enqueue("a", func=ending.clean_up, args=(str(path), "a", 1))
    eventually_sync(lambda: path.exists() and "a begun" in path.read_text(), describe="a start")
    worker.signal(signal.SIGTERM)
    worker.says("stops: it waits for 1 running job, for")

    async def stop(queue: Queue) -> None:
        await (await queue.fetch_job("a")).stop()

    cli.do(stop)
    assert worker.ends() == 0
    assert cleaned(path) == {"a"}
    assert cli.status("a") == "stopped"


def test_a_second_signal_leaves_it_the_grace_alone(cli: Cli, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    worker = start("worker", "--shutdown-timeout", "20", "--cancel-grace", "0.3")
    cli.enqueue("a", func=ending.clean_up, args=(str(path), "a", 15))
    eventually_sync(lambda: path.exists() and "a begun" in path.read_text(), describe="a start")
    worker.signal(signal.SIGTERM)
    worker.says("stops: it waits for 1 running job, for")

    async def stop(queue: Queue) -> None:
        await (await queue.fetch_job("a")).stop()

    cli.do(stop)
    assert stopped(worker) < 0.3 + MOST
    assert cleaned(path) == set()
    assert " (job a) was stopped and has not ended within its 0.3 s for clean-up, at " in worker.stderr


# Standard streams


@pytest.mark.parametrize(
    "closed",
    [
        "<&- >&- 2>&-",
        ">/dev/full 2>&1",
        *(pytest.param(each, marks=pytest.mark.chaos) for each in (">&-", "2>&-", "<&-", ">/dev/full")),
        pytest.param("2>&1 | true", marks=pytest.mark.chaos),
    ],
)
def test_it_needs_no_standard_streams(cli: Cli, tmp_path: Path, server: Server, closed: str) -> None:
    cli.enqueue("thread", func=ending.write, args=("said",))
    cli.do(lambda queue: queue.enqueue(ending.write, "said", executor="process", job_id="process"))
    command = f'set -o pipefail; "{sys.executable}" -m aioq worker --burst {closed}'
    done = subprocess.run(
        ["bash", "-c", command], env=cli.environment, capture_output=True, timeout=30, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (cli.status("thread"), cli.status("process")) == ("finished", "finished")


def test_nothing_that_is_printed_goes_to_a_socket(cli: Cli, tmp_path: Path) -> None:
    """A socket that took the number of a closed stream would carry what jobs print to the server."""
    for number in range(3):
        cli.do(
            lambda queue, number=number: queue.enqueue(
                ending.write_apart, "FLUSHALL\r\n", executor=("thread", "process")[number % 2]
            )
        )

    command = f'exec "{sys.executable}" -m aioq worker --burst <&- >&- 2>&-'
    assert subprocess.run(["sh", "-c", command], env=cli.environment, timeout=30, check=False).returncode == 0
    assert len(cli.do(lambda queue: queue.finished_job_registry.job_ids())) == 3


@pytest.mark.parametrize(
    "words",
    [
        ("info",),
        ("--version",),
        *(pytest.param(each, marks=pytest.mark.chaos) for each in (("info", "--json"), ("--help",))),
    ],
)
def test_a_full_disk_behind_stdout_is_one_line(cli: Cli, words: tuple[str, ...]) -> None:
    command = f'"{sys.executable}" -m aioq {" ".join(words)} >/dev/full'
    done = subprocess.run(
        ["sh", "-c", command], env=cli.environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert done.returncode == 1
    assert done.stderr == "Error: the output cannot be written: No space left on device\n"


# A folder that is gone


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("worker --burst", 0),
        pytest.param("worker --burst --path {here}", 0, marks=pytest.mark.chaos),
        ("worker --burst --path lib", 1),
        pytest.param("enqueue time.time", 0, marks=pytest.mark.chaos),
        pytest.param("info", 0, marks=pytest.mark.chaos),
        pytest.param("doctor", 0, marks=pytest.mark.chaos),
        pytest.param("job show x", 1, marks=pytest.mark.chaos),
        ("info --url embedded://data", 1),
        pytest.param("server data", 1, marks=pytest.mark.chaos),
    ],
)
def test_a_removed_folder_is_no_traceback(cli: Cli, tmp_path: Path, words: str, code: int) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    here = Path.cwd()
    command = f'cd "{gone}" && rmdir "{gone}" && exec "{sys.executable}" -m aioq {words.format(here=here)}'
    done = subprocess.run(
        ["sh", "-c", command], env=cli.environment, capture_output=True, text=True, timeout=30, check=False
    )
    assert "Traceback" not in done.stderr
    assert done.returncode == code, done.stderr
    if code:
        assert len([line for line in done.stderr.splitlines() if line.startswith("Error: ")]) == 1


AT_ONCE = """
import asyncio, os, signal
from aioq.worker.main import run_to_end

async def main(serves):
    stopped = asyncio.Event()
    os.kill(os.getpid(), signal.SIGTERM)
    serves(stopped.set)  # before the event loop comes to the signal
    await stopped.wait()
    print("stopped in order")

run_to_end(main)
"""


def test_a_signal_that_comes_just_before_the_worker_serves_stops_it(cli: Cli) -> None:
    done = cli.process(program=(sys.executable, "-c", AT_ONCE))
    assert (done.returncode, done.stdout) == (0, "stopped in order\n"), done.stderr
