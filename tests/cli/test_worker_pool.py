"""`aioq worker --processes` and `aioq worker-pool`, as processes: signals, the log, exit codes."""

from __future__ import annotations

import json
import os
import re
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.cli.tools import Cli, Running
from tests.pool import jobs
from tests.pool.jobs import notes
from tests.tools import eventually_sync

pytestmark = pytest.mark.timeout(90)

Start = Callable[..., Running]


def served(pool: Running) -> dict[int, int]:
    """The process ids of the processes that have served last, by their numbers."""
    return {int(number): int(pid) for number, pid in re.findall(r"process (\d+) serves: pid (\d+)", pool.stderr)}


def serve(pool: Running, processes: int = 2) -> dict[int, int]:
    eventually_sync(
        lambda: len(served(pool)) == processes or pool.process.poll() is not None,
        timeout=30,
        describe=f"a pool: {pool.stderr}",
    )
    assert len(served(pool)) == processes, pool.stderr
    return served(pool)


def is_alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


# The command line


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ("worker --processes 0", "'0': expected a whole number from 1 to 9999, or auto"),
        ("worker -p many", "'many': expected a whole number from 1 to 9999, or auto"),
        ("worker-pool -n 0", "'0': expected a whole number from 1 to 9999, or auto"),
        ("worker --max-memory 500MB", "it needs --processes: a pool replaces its processes"),
        ("worker -p 2 --max-memory lots", 'expected a size greater than 0, such as "500MB"'),
        ("worker --job-process-max-jobs 0", "expected a whole number of at least 1"),
    ],
)
def test_what_cannot_be_used_is_a_usage_error(cli: Cli, words: str, error: str) -> None:
    done = cli.call(*words.split())
    assert (done.exit_code, done.stdout) == (2, "")
    assert error in " ".join(done.stderr.replace("│", " ").split())


@pytest.mark.chaos
def test_a_pool_without_a_server_ends_with_one_error(cli: Cli, tmp_path: Path) -> None:
    done = cli.process("worker", "--processes", "2", "-u", f"unix://{tmp_path}/none.sock")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if "Error: " in line] == done.stderr.splitlines()[:1]


@pytest.mark.chaos
def test_a_pool_whose_processes_cannot_begin_ends_with_their_exit_code(cli: Cli) -> None:
    done = cli.process("worker", "--processes", "2", "--import", "nowhere_at_all")
    assert done.returncode == 1
    assert [line for line in done.stderr.splitlines() if line.startswith("Error: ")] == [
        done.stderr.splitlines()[-1]
    ]
    assert done.stderr.splitlines()[-1].startswith("Error: there is no module nowhere_at_all to import")

    done = cli.process("worker", "--processes", "1", "--max-memory", "1MB")
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("Error: max_memory=1000000: expected more than the")


@pytest.mark.parametrize(
    "words", [("worker", "--processes", "2"), pytest.param(("worker-pool", "-n", "2"), marks=pytest.mark.chaos)]
)
def test_a_burst_runs_all_jobs_and_ends(cli: Cli, words: tuple[str, ...]) -> None:
    cli.enqueue("a", "b", queue="mail")
    cli.enqueue("c")
    done = cli.process(*words, "mail", "default", "-b", "-v")
    assert (done.returncode, done.stdout) == (0, ""), done.stderr
    assert [cli.status("a", "mail"), cli.status("b", "mail"), cli.status("c")] == ["finished"] * 3
    lines = done.stderr.splitlines()
    assert all(re.fullmatch(r"\d\d:\d\d:\d\d [A-Z]+ .+", line) for line in lines), lines
    assert "a pool of 2 processes serves mail, default" in lines[0]
    assert re.search(r"^\S+ INFO \[1\] .*: worker \S+ serves mail, default at unix:", done.stderr, re.MULTILINE)
    assert re.search(r"^\S+ INFO \[2\] worker \S+ has ended: ", done.stderr, re.MULTILINE)


def test_rqs_options_are_taken(cli: Cli) -> None:
    words = "worker-pool high default --burst --num-workers 1 --logging-level WARNING --log-format %(message)s"
    done = cli.process(*words.split(), "--date-format", "%H", "-S", "json", "-w", "rq.Worker")
    assert (done.returncode, done.stdout) == (0, "")
    assert [line.split(" has no effect")[0] for line in done.stderr.splitlines()] == ["--worker-class"]


@pytest.mark.chaos  # it takes long
def test_lines_of_json_have_the_number_of_the_process(cli: Cli) -> None:
    done = cli.process("worker", "-p", "1", "-b", "--log-json")
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    assert {line.get("child") for line in lines} == {None, 1}
    assert {line["logger"] for line in lines if "child" not in line} <= {"aioq.pool", "aioq.cli"}


@pytest.mark.chaos
def test_a_format_may_name_the_process(cli: Cli) -> None:
    done = cli.process("worker", "-p", "1", "-b", "--log-format", "%(child)s %(name)s")
    assert {tuple(line.split()) for line in done.stderr.splitlines()} == {("-", "aioq.pool"), ("1", "aioq.worker")}


# Signals


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.chaos)])
def test_a_signal_lets_running_jobs_end(cli: Cli, start: Start, tmp_path: Path, number: int) -> None:
    pid_file, go = tmp_path / "pool.pid", tmp_path / "go"
    pool = start("worker", "--processes", "2", "--pid", str(pid_file))
    processes = serve(pool)
    assert pid_file.read_text() == f"{pool.process.pid}\n"
    cli.enqueue("runs", func=jobs.wait_for, args=(str(go),))
    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")

    # A service manager sends the signal to all processes of a service.
    for pid in (*processes.values(), pool.process.pid):
        os.kill(pid, number)

    pool.says("the pool stops")
    go.touch()
    assert pool.ends(30) == 0
    assert cli.status("runs") == "finished"
    assert cli.job("runs").deliveries == 0
    assert not pid_file.exists()
    assert not any(map(is_alive, processes.values()))


@pytest.mark.chaos  # it takes long
def test_a_second_signal_hands_running_jobs_back(cli: Cli, start: Start, tmp_path: Path) -> None:
    pool = start("worker", "--processes", "2")
    serve(pool)
    cli.enqueue("runs", func=jobs.wait_for, args=(str(tmp_path / "go"),))
    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")
    pool.signal(signal.SIGTERM)
    pool.says("the pool stops")
    pool.signal(signal.SIGTERM)
    assert pool.ends(30) == 0
    assert (cli.status("runs"), cli.job("runs").attempt) == ("queued", 0)


@pytest.mark.chaos  # it takes long
def test_ctrl_c_on_a_terminal_stops_the_pool_once(cli: Cli) -> None:
    cli.enqueue("runs", func=jobs.nap, args=(1,))
    code, text = cli.on_terminal("worker", "--processes", "1", until=b"begins", colours=False)
    assert code == 0, text
    assert cli.status("runs") == "finished"


@pytest.mark.chaos
def test_sighup_replaces_all_processes(cli: Cli, start: Start, tmp_path: Path) -> None:
    (tmp_path / "changing.py").write_text("VERSION = 'old'\n")
    pool = start("worker", "--processes", "2", "--import", "changing", "-P", str(tmp_path))
    before = serve(pool)
    (tmp_path / "changing.py").write_text("VERSION = 'the new one'\n")
    pool.signal(signal.SIGHUP)
    pool.says("the pool has replaced its processes", timeout=30)
    assert not set(before.values()) & set(served(pool).values())
    assert not any(map(is_alive, before.values()))
    cli.enqueue("which", func=jobs.version)
    eventually_sync(lambda: cli.status("which") == "finished", describe="an end")
    assert cli.do(lambda queue: queue.fetch_job("which")).origin == "default"
    assert cli.do(result_of("which")) == "the new one"
    pool.signal(signal.SIGTERM)
    assert pool.ends(30) == 0


def result_of(job_id: str) -> Callable[..., object]:
    async def get(queue):
        return await (await queue.fetch_job(job_id)).return_value()

    return get


# Deaths


@pytest.mark.chaos
def test_a_killed_process_is_replaced(cli: Cli, start: Start, tmp_path: Path) -> None:
    path = tmp_path / "notes"
    pool = start("worker", "--processes", "2")
    before = serve(pool)
    cli.enqueue("runs", func=jobs.hang_once, args=(str(path),))
    eventually_sync(lambda: notes(path), describe="a start")
    victim = int(notes(path)[0][0])
    os.kill(victim, signal.SIGKILL)
    eventually_sync(lambda: cli.status("runs") == "finished", describe="an end")
    number = next(number for number, pid in before.items() if pid == victim)
    eventually_sync(lambda: served(pool)[number] != victim, timeout=30, describe="a new process")
    pool.signal(signal.SIGTERM)
    assert pool.ends(30) == 0


@pytest.mark.chaos
def test_processes_stop_in_order_when_their_pool_is_killed(cli: Cli, start: Start, tmp_path: Path) -> None:
    go = tmp_path / "go"
    pool = start("worker", "--processes", "2")
    processes = serve(pool)
    cli.enqueue("runs", func=jobs.wait_for, args=(str(go),))
    eventually_sync(lambda: cli.status("runs") == "started", describe="a start")
    pool.signal(signal.SIGKILL)
    pool.ends()
    told = "the pool of this process has ended; the process stops"
    eventually_sync(lambda: told in pool.stderr, describe="that a process says so, after the pool has ended")
    eventually_sync(lambda: sum(map(is_alive, processes.values())) == 1, describe="the end of an idle process")
    go.touch()
    eventually_sync(lambda: not any(map(is_alive, processes.values())), describe="the end of all processes")
    assert cli.status("runs") == "finished"


@pytest.mark.chaos
def test_a_pool_is_reloaded_as_a_whole(cli: Cli, start: Start, folder: Path) -> None:
    (folder / "changing.py").write_text("VERSION = 'old'\n")
    pool = start("worker", "--reload", "--processes", "1", "--import", "changing", cwd=folder)
    before = serve(pool, 1)
    (folder / "changing.py").write_text("VERSION = 'the new one'\n")
    pool.says("changing.py changed: the worker starts again", timeout=30)
    eventually_sync(lambda: served(pool) != before, timeout=30, describe="a new process")
    cli.enqueue("which", func=jobs.version)
    eventually_sync(lambda: cli.status("which") == "finished", describe="an end")
    pool.signal(signal.SIGTERM)
    assert pool.ends(30) == 0


@pytest.mark.chaos
def test_the_processes_are_fresh_interpreters_that_find_the_modules_of_the_pool(cli: Cli, folder: Path) -> None:
    (folder / "own_jobs.py").write_text("def run():\n    return 'found'\n")
    (folder / "program.py").write_text(
        "import asyncio\nfrom aioq import Queue, WorkerPool\n\n"
        "async def main():\n"
        "    async with Queue() as queue:\n"
        "        job = await queue.enqueue('own_jobs.run')\n"
        "        await WorkerPool(processes=1).run(burst=True)\n"
        "        print(await job.result())\n\n"
        "if __name__ == '__main__':\n    asyncio.run(main())\n"
    )
    done = cli.process(program=(sys.executable, str(folder / "program.py")), cwd="/")
    assert (done.returncode, done.stdout) == (0, "found\n"), done.stderr
