"""The loop behind plain calls: under forks and signals, and at the end of a process."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from json import loads
from pathlib import Path
from typing import Any

import pytest

from aioq.sync import Queue
from aioq.sync.loop import Background
from tests.conftest import Server

Program = Callable[[str], Any]


@contextmanager
def waiting(
    name: str, server: Server, environment: dict[str, str], runner: str
) -> Iterator[subprocess.Popen[str]]:
    """A program that waits for the end of a job."""
    command = [sys.executable, "-m", "tests.sync.programs", name, server.tcp_url, runner]
    process = subprocess.Popen(command, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "waits\n"
        yield process
    finally:
        process.kill()
        process.communicate()


def test_children_get_a_loop_of_their_own_and_the_parents_goes_on(
    program: Program, start_worker: Callable[..., Any]
) -> None:
    start_worker()
    assert program("forks") == {"codes": [0] * 8, "kept": True, "ended": ["JobCanceled"]}


def test_a_child_may_end_as_a_program_does(program: Program, queue: Queue) -> None:
    assert program("fork_that_ends_as_a_program") == 7
    assert queue.count() == 1


def test_a_fork_in_a_signal_handler_does_not_hang(program: Program) -> None:
    assert program("fork_in_a_handler") == 3


def test_a_signal_handler_makes_calls_while_its_thread_waits(program: Program) -> None:
    assert program("call_in_a_handler") == "JobCanceled"


@pytest.mark.parametrize("runner", ["asyncio", "uvloop"], indirect=True)
def test_an_interrupt_ends_a_wait_at_once(server: Server, environment: dict[str, str], runner: str) -> None:
    with waiting("interrupted", server, environment, runner) as process:
        sent = time.time()
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=20)

    assert (process.returncode, errors) == (0, "")
    found = loads(output)
    assert found["at"] - sent < 1
    assert (found["over"], found["count"]) == (True, 0)


def test_a_program_ends_by_an_interrupt_and_shows_its_own_line(
    server: Server, environment: dict[str, str], runner: str
) -> None:
    with waiting("ends_by_an_interrupt", server, environment, runner) as process:
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=10)

    assert process.returncode == -signal.SIGINT
    assert errors.startswith("Traceback (most recent call last):")
    assert "    job.result()  # the line\n" in errors
    assert errors.endswith("KeyboardInterrupt\n")
    assert errors.count("Traceback") == 1


def test_a_waiting_program_sleeps(program: Program) -> None:
    ended, switches = program("sleeps")
    assert ended == "JobCanceled"
    assert switches <= 6, "the one that counts is among them"


def test_the_interpreter_ends_and_closes_what_is_open(program: Program, server: Server, queue: Queue) -> None:
    begun = time.monotonic()
    assert program("ends") == 0
    assert time.monotonic() - begun < 10
    assert queue.job_ids() == ["at-exit"]


def test_the_interpreter_ends_while_the_server_is_silent(
    own_server: Callable[..., Server], environment: dict[str, str], runner: str
) -> None:
    server = own_server()
    command = [sys.executable, "-m", "tests.sync.programs", "ends_without_server", server.tcp_url, runner]
    begun = time.monotonic()
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, '"default"\n', "")
    assert time.monotonic() - begun < 10


def test_a_module_that_waits_while_it_is_imported_reads_values_of_its_own(
    server: Server, environment: dict[str, str], tmp_path: Path, start_worker: Callable[..., Any], monkeypatch
) -> None:
    (tmp_path / "shop.py").write_text(
        "import sys\n\n\n"
        "class Price:\n    cents = 5\n\n\n"
        "def price():\n    return Price()\n\n\n"
        "if 'program' in sys.argv:\n"
        "    from aioq.sync import Queue\n"
        "    queue = Queue()\n"
        "    print(queue.enqueue(price).result(timeout=10).cents)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    start_worker()
    done = subprocess.run(
        [sys.executable, "-c", "import shop", "program"],
        env=environment | {"AIOQ_REDIS_URL": server.url, "PYTHONPATH": f"{tmp_path}:{environment['PYTHONPATH']}"},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    sys.modules.pop("shop", None)
    assert (done.stdout, done.stderr) == ("5\n", "")


def test_a_loop_that_has_ended_is_started_again() -> None:
    background = Background()
    first = background.loop()
    assert background.loop() is first
    background.close()
    assert first.is_closed()
    second = background.loop()
    assert second is not first
    second.call_soon_threadsafe(second.stop)  # whatever else might end it
    background._thread.join(5)  # type: ignore[union-attr]
    assert background.loop() is not second
    background.close()
    background.close()


def printed(code: str, environment: dict[str, str]) -> str:
    command = [sys.executable, "-c", code]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout


def test_aioq_alone_loads_nothing_of_it(environment: dict[str, str]) -> None:
    code = "import sys, aioq; print([name for name in sys.modules if name.startswith('aioq.sync')])"
    assert printed(code, environment) == "[]\n"


def test_no_thread_is_started_before_a_call(environment: dict[str, str]) -> None:
    code = "import threading; from aioq.sync import Queue; Queue(); print(threading.active_count())"
    assert printed(code, environment) == "1\n"


@pytest.mark.parametrize("workers", ["sync", pytest.param("gthread", marks=pytest.mark.chaos)])
def test_gunicorn_forks_workers_of_an_application_that_was_preloaded(
    workers: str, server: Server, environment: dict[str, str], tmp_path: Path, start_worker: Callable[..., Any]
) -> None:
    import httpx

    from tests.conftest import free_port
    from tests.tools import eventually_sync

    (tmp_path / "app.py").write_text(
        "import os\n"
        "from aioq.sync import Queue\n"
        "from tests import jobs\n\n"
        "queue = Queue()\n"
        "queue.count()  # the master has a loop and a connection before it forks\n\n\n"
        "def app(environ, start_response):\n"
        "    value = queue.enqueue(jobs.add, os.getpid(), 1).result(timeout=10)\n"
        "    start_response('200 OK', [('Content-Type', 'text/plain')])\n"
        "    return [f'{os.getpid()} {value}'.encode()]\n"
    )
    start_worker()
    port, log = free_port(), tmp_path / "log"
    command = [
        *(sys.executable, "-m", "gunicorn", "app:app", "--preload", "--workers", "2", "--threads", "4"),
        *("--worker-class", workers, "--bind", f"127.0.0.1:{port}", "--graceful-timeout", "5"),
    ]  # fmt: skip

    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=tmp_path,
            env=environment | {"AIOQ_REDIS_URL": server.tcp_url, "PYTHONWARNINGS": "error::ResourceWarning"},
            stdout=output,
            stderr=subprocess.STDOUT,
        )

        try:
            eventually_sync(lambda: process.poll() is not None or "Booting worker" in log.read_text(), timeout=20)
            pids: set[str] = set()

            def asked() -> bool:
                pid, value = httpx.get(f"http://127.0.0.1:{port}", timeout=20).text.split()
                assert int(value) == int(pid) + 1
                pids.add(pid)
                return len(pids) == 2

            eventually_sync(asked, timeout=30)
        finally:
            process.terminate()
            assert process.wait(20) == 0

    assert str(process.pid) not in pids
    assert "Traceback" not in log.read_text()
    assert "Warning" not in log.read_text()
