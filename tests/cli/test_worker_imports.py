"""`aioq worker --import` and `--reload`, as processes."""

from __future__ import annotations

import os
import pty
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aioq import Queue
from tests.cli.tools import Cli, Running
from tests.tools import eventually_sync

Start = Callable[..., Running]

JOB = "async def job():\n    return {}\n"
SLOW = """
import asyncio, pathlib
async def job():
    pathlib.Path("begun").touch()
    await asyncio.sleep(2)
    return "whole"
"""


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    """A folder for an application."""
    place = tmp_path / "shop"
    place.mkdir()
    return place


def result(cli: Cli, job_id: str) -> object:
    async def wait(queue: Queue) -> object:
        job = await queue.fetch_job(job_id)
        assert job is not None
        return await job.result(timeout=15)

    return cli.do(wait)


# Imports


def test_modules_are_imported_on_the_main_thread_and_their_loop(cli: Cli, shop: Path) -> None:
    (shop / "one.py").write_text(
        "import asyncio, signal\nsignal.signal(signal.SIGUSR1, signal.SIG_DFL)\nasyncio.get_running_loop()\n"
        "print('imported', flush=True)\n" + JOB.format(1)
    )
    (shop / "two.py").write_text(JOB.format(2))
    cli.enqueue("a", func="one.job")
    done = cli.process("worker", "-v", "--burst", "--import", "one", "--import", "two", cwd=shop)

    assert (done.returncode, done.stdout) == (0, "imported\n"), done.stderr
    assert done.stderr.index("imported two in") < done.stderr.index("serves default")
    assert cli.status("a") == "finished"


def test_a_module_that_there_is_not_is_one_error_with_the_paths(cli: Cli, shop: Path) -> None:
    cli.enqueue("a")
    done = cli.process("worker", "--burst", "--import", "gone.tasks", "-P", "src", cwd=shop)

    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: there is no module gone to import: it was looked for in {shop}/src, ")
    assert f" {shop}, " in done.stderr
    assert done.stderr.count("\n") == 1
    assert cli.status("a") == "queued"


def test_a_module_that_ends_the_process_does_not(cli: Cli, shop: Path) -> None:
    (shop / "ends.py").write_text("import sys\nsys.exit(0)\n")
    done = cli.process("worker", "--burst", "--import", "ends", cwd=shop)

    assert done.returncode == 1
    assert done.stderr == f"Error: importing ends failed: SystemExit: 0 ({shop}/ends.py, line 2)\n"


def test_what_is_no_name_of_a_module_is_a_wrong_command_line(cli: Cli) -> None:
    done = cli.call("worker", "--import", "shop/tasks.py")
    assert (done.exit_code, "is not the name of a module" in done.stderr) == (2, True)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_an_import_before_the_first_claim(start: Start, shop: Path, number: int, code: int) -> None:
    (shop / "hangs.py").write_text("import time\nprint('imports', flush=True)\ntime.sleep(60)\n")
    worker = start("worker", "--import", "hangs", "--pid", "worker.pid", cwd=shop)
    worker.says("imports")
    worker.signal(number)

    assert worker.ends() == code
    assert "Traceback" not in worker.stderr
    assert not (shop / "worker.pid").exists()


@pytest.mark.parametrize(
    ("job", "error"),
    [
        (
            "def url(name): ...\n@task\nasync def job(db=Depends(url)): ...\n",
            "shop.job > db > url > name: it has neither a Depends nor a default",
        ),
        (
            "def url(): ...\n@task(executor='process')\ndef job(db=Depends(url)): ...\n",
            "shop.job: a function with dependencies cannot run in a process of its own",
        ),
    ],
)
def test_a_task_whose_dependencies_cannot_be_provided_is_one_error(
    cli: Cli, shop: Path, job: str, error: str
) -> None:
    (shop / "shop.py").write_text(f"from aioq import Depends, task\n{job}")
    cli.enqueue("a")
    done = cli.process("worker", "--burst", "--import", "shop", cwd=shop)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: {error}")
    assert cli.status("a") == "queued"


# Reload


def test_reload_starts_the_worker_again_when_a_source_file_changes(cli: Cli, start: Start, shop: Path) -> None:
    (shop / "live.py").write_text(JOB.format("'old'"))
    worker = start("worker", "--reload", "--import", "live", cwd=shop)
    worker.says("serves default")
    cli.enqueue("before", func="live.job")
    assert result(cli, "before") == "old"

    (shop / "notes.txt").write_text("no source file")
    (shop / "live.py").write_text(JOB.format("'new one'"))
    worker.says("live.py changed: the worker starts again")
    cli.enqueue("after", func="live.job")
    assert result(cli, "after") == "new one"

    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert worker.stderr.count("serves default") == 2


def test_reload_without_its_package_says_what_to_install(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.cli.reload.find_spec", lambda name: None)
    done = cli.call("worker", "--reload")
    assert (done.exit_code, done.stderr) == (
        1,
        "Error: --reload needs the package watchfiles: pip install watchfiles\n",
    )


@pytest.mark.chaos
def test_a_running_job_has_the_usual_time_at_a_reload(cli: Cli, start: Start, shop: Path) -> None:
    (shop / "live.py").write_text(SLOW)
    worker = start("worker", "--reload", cwd=shop)
    worker.says("serves default")
    cli.enqueue("runs", func="live.job")
    eventually_sync((shop / "begun").exists, describe="a start")
    (shop / "live.py").write_text(JOB.format("'new one'"))

    assert result(cli, "runs") == "whole"
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0


@pytest.mark.chaos
def test_a_worker_that_cannot_start_is_started_again_after_the_next_change(
    cli: Cli, start: Start, shop: Path
) -> None:
    (shop / "live.py").write_text("def f(:\n")
    worker = start("worker", "--reload", "--import", "live", cwd=shop)
    worker.says("The worker has ended with exit code 1; it starts again when a file changes")
    (shop / "live.py").write_text(JOB.format("'mended'"))
    worker.says("serves default")
    cli.enqueue("a", func="live.job")
    assert result(cli, "a") == "mended"

    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0


@pytest.mark.chaos
def test_a_worker_whose_supervisor_was_killed_ends_in_order(cli: Cli, start: Start, shop: Path) -> None:
    (shop / "live.py").write_text(SLOW)
    worker = start("worker", "--reload", cwd=shop)
    worker.says("serves default")
    cli.enqueue("runs", func="live.job")
    eventually_sync((shop / "begun").exists, describe="a start")
    worker.signal(signal.SIGKILL)

    worker.ends()
    eventually_sync(lambda: "stops: it waits for 1 running job" in worker.stderr, describe="a stop")
    assert result(cli, "runs") == "whole"
    eventually_sync(lambda: "has ended: 1 run of jobs: 1 finished" in worker.stderr, describe="the worker's end")


@pytest.mark.chaos
def test_a_wrong_command_line_ends_the_supervisor(start: Start, shop: Path) -> None:
    worker = start("worker", "--reload", "--results-ttl", "5x", cwd=shop)
    assert worker.ends() == 2


@pytest.mark.chaos
def test_ctrl_c_on_a_terminal_is_one_signal_for_the_worker(cli: Cli, start: Start, shop: Path) -> None:
    (shop / "live.py").write_text(SLOW)
    own, its = pty.openpty()
    # A session of its own, with that terminal: its Ctrl-C goes to the supervisor and to the worker.
    program = (
        "import fcntl, os, sys, termios; os.setsid(); fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
        " os.execv(sys.executable, [sys.executable, '-m', 'aioq', *sys.argv[1:]])"
    )
    worker = start("worker", "--reload", cwd=shop, command=(sys.executable, "-c", program), stdin=its)
    worker.says("serves default")
    cli.enqueue("runs", func="live.job")
    eventually_sync((shop / "begun").exists, describe="a start")
    os.write(own, b"\x03")

    assert worker.ends() == 0
    assert result(cli, "runs") == "whole"
    os.close(own)
    os.close(its)
