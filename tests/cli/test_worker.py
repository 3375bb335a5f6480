"""`aioq worker`, as a process."""

from __future__ import annotations

import gc
import json
import re
import signal
import sys
from collections.abc import Callable
from inspect import signature
from pathlib import Path

import pytest

from aioq import Worker
from aioq.cli.worker import worker
from aioq.values.durations import to_ms
from tests import jobs
from tests.cli import jobs as wild
from tests.cli.tools import Cli, Running
from tests.conftest import Server, port_of_nobody
from tests.tools import eventually_sync

Start = Callable[..., Running]


def test_burst_runs_all_jobs_and_ends(cli: Cli) -> None:
    cli.enqueue("a", "b", queue="mail")
    cli.enqueue("c")
    done = cli.process("worker", "mail", "-b")
    assert (done.returncode, done.stdout) == (0, "")
    assert (cli.status("a", "mail"), cli.status("b", "mail"), cli.status("c")) == (
        "finished",
        "finished",
        "queued",
    )
    lines = done.stderr.splitlines()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d [A-Z]+ .+", line) for line in lines), lines
    assert "has ended: 2 runs of jobs: 2 finished" in lines[-1]


def test_what_is_loaded_at_the_start_is_frozen_for_the_garbage_collector(cli: Cli) -> None:
    cli.enqueue("a", func=gc.get_freeze_count)
    cli.process("worker", "-b")
    assert json.loads(cli.call("job", "show", "a", "--json").stdout)["result"] > 10_000


def test_verbose_and_quiet_together_are_a_usage_error(cli: Cli) -> None:
    result = cli.call("worker", "-v", "-q")
    assert result.exit_code == 2
    assert "cannot be combined with --verbose" in result.stderr


@pytest.mark.parametrize("number", [pytest.param(signal.SIGTERM, marks=pytest.mark.chaos), signal.SIGINT])
def test_a_signal_lets_running_jobs_end(cli: Cli, start: Start, tmp_path: Path, number: int) -> None:
    pid_file, may_end = tmp_path / "worker.pid", tmp_path / "may-end"
    cli.enqueue("runs", func=jobs.wait_for_file, args=(str(may_end),))
    worker = start("worker", "--pid", str(pid_file))
    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")
    assert pid_file.read_text() == f"{worker.process.pid}\n"
    worker.signal(number)
    worker.says("stops: it waits for 1 running job, for")
    cli.enqueue("later")
    may_end.touch()
    assert worker.ends() == 0
    assert (cli.status("runs"), cli.status("later")) == ("finished", "queued")
    assert not pid_file.exists()
    assert "\nNo worker serves queue default: 1 job waits.\n" in cli.call("info").stdout


def test_a_second_signal_hands_running_jobs_back(cli: Cli, start: Start) -> None:
    cli.enqueue("runs", func=jobs.sleep, args=(60,))
    worker = start("worker", "-q")
    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")
    worker.signal(signal.SIGTERM)
    worker.signal(signal.SIGINT)
    assert worker.ends() == 0
    assert (cli.status("runs"), cli.job("runs").attempt) == ("queued", 0)


def test_the_shutdown_timeout_does_so_too(cli: Cli, start: Start) -> None:
    cli.enqueue("runs", func=jobs.sleep, args=(60,))
    worker = start("worker", "--shutdown-timeout", "0.1")
    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")
    worker.signal(signal.SIGTERM)
    assert worker.ends() == 0
    assert cli.status("runs") == "queued"


@pytest.mark.parametrize("uvloop", [True, pytest.param(False, marks=pytest.mark.chaos)])
def test_it_outlives_what_jobs_let_loose_on_the_loop(cli: Cli, start: Start, uvloop: bool) -> None:
    hide = "" if uvloop else "sys.modules['uvloop'] = None; "
    program = f"import sys; {hide}from aioq.cli.main import main; main()"
    worker = start("worker", command=(sys.executable, "-c", program))
    cli.enqueue("tasks", func=wild.unwatched_tasks)
    cli.enqueue("callback", func=wild.late_callback)
    cli.enqueue("awaited", func=wild.awaited_task)
    cli.enqueue("loop", func=wild.loop_name)

    async def results(queue) -> list[str]:
        return [await job.result(10) for job in await queue.fetch_many(["tasks", "callback", "loop"])]

    tasks, callback, loop = cli.do(results)
    assert (tasks, callback) == ("SystemExit, KeyboardInterrupt", "done")
    assert loop.startswith("uvloop") is uvloop
    eventually_sync(lambda: cli.status("awaited") == "failed", describe="a failure")
    assert "SystemExit: 3" in cli.job("awaited").exc_info
    assert re.search(r"ERROR a task of a job raised SystemExit\(\d\); the worker goes on", worker.stderr)
    # Signals still have their meaning.
    worker.signal(signal.SIGINT)
    assert worker.ends() == 0


def test_a_job_that_cancels_the_worker_ends_it_with_an_error(cli: Cli, start: Start) -> None:
    cli.enqueue("a", func=wild.cancel_everything)
    worker = start("worker", "-q")
    assert worker.ends() == 1
    assert worker.stderr == "Error: a job has cancelled the worker\n"


def test_limits(cli: Cli, start: Start) -> None:
    cli.enqueue("a", "b", "c")
    limited = start("worker", "--max-jobs", "2", "-q")
    idle = start("worker", "other", "--max-idle-time", "200ms", "--logging_level", "info")
    assert (limited.ends(), limited.stderr) == (0, "")
    assert [cli.status(each) for each in "abc"].count("finished") == 2
    assert idle.ends() == 0
    assert "has ended: it ran no job" in idle.stderr


def test_name_results_ttl_and_concurrency(cli: Cli, start: Start, server: Server) -> None:
    cli.enqueue("a")
    worker = start("worker", "default", "low", "-n", "web-1", "-c", "3", "--results-ttl", "7s")
    worker.says("serves default, low")

    def info() -> list[dict[str, object]]:
        return json.loads(cli.call("info", "--json").stdout)["workers"]

    (facts,) = eventually_sync(info, describe="a worker")
    assert facts["name"].startswith("web-1.")
    assert (facts["concurrency"], facts["queues"], facts["pid"]) == (3, ["default", "low"], worker.process.pid)
    eventually_sync(lambda: cli.status("a") == "finished", describe="the job's end")

    with server.client() as client:
        assert 6_000 < client.pttl("aioq:{default}:job:a") <= 7_000


def test_jobs_are_imported_from_paths_and_the_current_directory(cli: Cli, tmp_path: Path) -> None:
    for name in ("here", "there"):
        (tmp_path / name).mkdir()
        (tmp_path / name / f"from_{name}.py").write_text(
            "import logging\ndef job(): logging.info('a job says so')"
        )
        cli.enqueue(name, func=f"from_{name}.job")

    aioq = str(Path(sys.executable).with_name("aioq"))  # unlike `python -m`, it does not put the directory there
    command = f"cd here && {aioq} worker -b -P ../there"
    done = cli.process("-c", command, program=("sh",), cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (cli.status("here"), cli.status("there")) == ("finished", "finished")
    assert done.stderr.count("INFO a job says so") == 2


def test_suspended_workers_wait(cli: Cli, start: Start) -> None:
    cli.enqueue("a")
    cli.call("suspend")
    worker = start("worker")
    worker.says("WARNING all workers are suspended; this one waits for `aioq resume`")
    worker.says("serves default")
    cli.call("resume")
    eventually_sync(lambda: cli.status("a") == "finished", describe="the job's end")


def test_what_stops_it_at_the_start_is_one_line(cli: Cli, server: Server, tmp_path: Path) -> None:
    url = f"redis://127.0.0.1:{port_of_nobody()}"
    pid_file = tmp_path / "pid"

    for words, error in [
        (["-u", url, "--pid", str(pid_file)], f"no server at {url}"),
        (["--pid", "/no/such/folder/pid"], "--pid /no/such/folder/pid: No such file or directory"),
    ]:
        done = cli.process("worker", *words)
        assert (done.returncode, done.stdout) == (1, "")
        assert done.stderr.startswith(f"Error: {error}")
        assert done.stderr.count("\n") == 1

    for words, error in [(["--max-idle-time", "soon"], "--max-idle-time='soon'"), (["-n", "a b"], "name='a b'")]:
        called = cli.call("worker", *words)
        assert (called.exit_code, called.stdout) == (2, "")
        assert called.stderr.startswith(f"Error: {error}")
        assert called.stderr.count("\n") == 1

    assert not pid_file.exists()


def test_a_signal_before_it_serves_ends_it(cli: Cli, start: Start, own_server, tmp_path: Path) -> None:
    server = own_server()
    pid_file = tmp_path / "pid"
    server.process.send_signal(signal.SIGSTOP)
    worker = start("worker", "-u", server.tcp_url, "--pid", str(pid_file))
    eventually_sync(pid_file.exists)
    worker.signal(signal.SIGTERM)
    assert (worker.ends(), worker.stderr) == (143, "")
    assert not pid_file.exists()


def test_it_runs_only_what_it_may(cli: Cli) -> None:
    cli.enqueue("a", "b")
    cli.enqueue("c", func=jobs.add, args=(1, 2))
    done = cli.process("worker", "-b", "--allow", "tests.jobs.a*", "--allow", "tests.cli.*")
    assert done.returncode == 0, done.stderr
    assert [cli.status(each) for each in ("a", "b", "c")] == ["failed", "failed", "finished"]
    assert "--allow tests.jobs.a* tests.cli.*" in cli.job("a").exc_info
    assert "100 jobs at once; it may run tests.jobs.a* tests.cli.*\n" in done.stderr

    called = cli.call("worker", "-b", "--allow", "a b")
    assert (called.exit_code, called.stderr.count("\n")) == (2, 1)
    assert "allow: 'a b' is not a pattern" in called.stderr


@pytest.mark.parametrize("name", ["AIOQ_SECRET", "AIOQ_ALLOW"])
def test_a_protection_that_is_set_and_empty_is_refused(cli: Cli, name: str) -> None:
    done = cli.call("worker", "-b", environment={"AIOQ_REDIS_URL": cli.url, name: ""})
    assert done.exit_code == 2
    assert done.stderr == f"Error: {name} is set and empty: unset it, or give it a value\n"


def test_the_environment_s_secret_signs_and_is_not_shown(cli: Cli) -> None:
    secret = {"AIOQ_REDIS_URL": cli.url, "AIOQ_SECRET": "correct horse battery"}
    words = ("enqueue", "tests.jobs.add", ":1", ":2", "--job-id", "a")
    assert cli.call(*words, environment=secret).exit_code == 0
    cli.enqueue("b")
    worked = cli.process("worker", "-b", "-v", environment=secret)
    assert "100 jobs at once; jobs must be signed; it may run every function\n" in worked.stderr
    shown = cli.call("job", "show", "a", "--json", environment=secret)
    bare = cli.call("job", "show", "a", "--json")
    assert (json.loads(shown.stdout)["result"], json.loads(bare.stdout)["result"]) == (3, None)
    assert "no secret is set here" in bare.stdout
    assert "BadSignature: the call of job b is not signed" in cli.job("b").exc_info

    short = cli.call("info", environment=secret | {"AIOQ_SECRET": "too short"})
    assert (short.exit_code, short.stderr.count("\n")) == (2, 1)

    for done in (worked, shown, bare, short):
        assert "correct horse" not in done.stdout + done.stderr
        assert "too short" not in done.stdout + done.stderr


def test_where_plain_functions_run_by_default(cli: Cli) -> None:
    cli.do(lambda queue: queue.enqueue("os.getpid", job_id="x"))
    cli.do(lambda queue: queue.enqueue("os.getpid", job_id="y", executor="thread"))
    assert cli.process("worker", "--burst", "--executor", "process").returncode == 0
    worker = cli.job("y").worker_name
    assert worker is not None
    own = int(worker.split(".")[-2])
    assert cli.job("y").record.result() == own
    assert cli.job("x").record.result() != own
    assert cli.call("worker", "--executor", "fork").exit_code == 2


def test_the_defaults_are_those_of_a_worker_in_an_application() -> None:
    """They are spelled twice: the command does not load the worker before it is needed."""
    command, own = signature(worker).parameters, signature(Worker).parameters
    assert command["concurrency"].default == own["concurrency"].default

    for name, of_worker in (("results_ttl", "result_ttl"), ("shutdown_timeout",) * 2, ("cancel_grace",) * 2):
        assert to_ms(command[name].default, name) == to_ms(own[of_worker].default, of_worker)
