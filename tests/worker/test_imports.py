"""Modules of jobs are imported beside the event loop, or before the first claim."""

from __future__ import annotations

import asyncio
import logging
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from aioq import Job, Queue, Worker
from aioq.values.errors import InvalidInput, WorkerError
from aioq.worker import imports
from aioq.worker.imports import Imports
from aioq.worker.lines import Style, TextLines
from tests import jobs
from tests.conftest import Server
from tests.tools import RunningWorker, eventually
from tests.worker import gates

Start = Callable[..., RunningWorker]
Write = Callable[..., str]

ENTER = "from tests.worker import gates\ngates.enter(__name__)\n"
JOBS = "async def job(x=1):\n    return x\ndef plain():\n    return 2\n"


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str) -> Iterator[Write]:
    """Writes a module that can be imported, and gives its name. `closed`: its import waits for a gate."""
    monkeypatch.syspath_prepend(tmp_path)
    names = []

    def make(source: str = ENTER + JOBS, *, name: str = "", closed: bool = False) -> str:
        names.append(name or f"module_{key}_{len(names)}")
        (tmp_path / f"{names[-1]}.py").write_text(source)

        if closed:
            gates.OPEN[names[-1]] = threading.Event()

        return names[-1]

    yield make

    for name in names:
        gates.OPEN.pop(name, threading.Event()).set()
        sys.modules.pop(name, None)


async def begun(name: str) -> None:
    await eventually(lambda: gates.times(name), describe=f"the import of {name}")


def told(caplog: pytest.LogCaptureFixture, text: str) -> list[str]:
    return [record.getMessage() for record in caplog.records if text in record.getMessage()]


# Beside the event loop


async def test_other_jobs_go_on_beside_an_import(queue: Queue, start_worker: Start, write: Write) -> None:
    name = write(closed=True)
    await start_worker()
    waits = await queue.enqueue(f"{name}.job", 3)
    await begun(name)

    assert await (await queue.enqueue(jobs.add, 1, 1)).result(timeout=5) == 2
    gates.OPEN[name].set()
    assert await waits.result(timeout=5) == 3


async def test_jobs_that_come_together_import_their_module_once(
    queue: Queue, start_worker: Start, write: Write
) -> None:
    name = write(closed=True)
    await start_worker()
    waiting = [await queue.enqueue(f"{name}.{func}") for func in ("job", "plain", "job", "plain")]
    await begun(name)
    gates.OPEN[name].set()

    assert [await job.result(timeout=5) for job in waiting] == [1, 2, 1, 2]
    assert gates.times(name) == 1


async def test_modules_that_import_each_other_are_not_met_half_made(
    queue: Queue, start_worker: Start, write: Write, key: str
) -> None:
    one, two = f"one_{key}", f"two_{key}"
    gates.OPEN[two] = threading.Event()
    # Beside another import, the second module would be in the middle of its own when the first one needs it.
    write(f"{ENTER}gates.OPEN['{two}'].wait(0.4)\nfrom {two} import late\n{JOBS}", name=one)
    write(f"from tests.worker import gates\ngates.OPEN['{two}'].set()\nimport {one}\nlate = 1\n{JOBS}", name=two)
    await start_worker()
    waiting = [await queue.enqueue(f"{name}.job") for name in (one, two)]

    assert [await job.result(timeout=5) for job in waiting] == [1, 1]


async def test_what_is_known_is_looked_for_once(
    queue: Queue, start_worker: Start, write: Write, monkeypatch: pytest.MonkeyPatch
) -> None:
    found: list[str] = []
    find = Imports.find

    async def counted(self: Imports, name: str) -> object:
        found.append(name)
        return await find(self, name)

    monkeypatch.setattr(Imports, "find", counted)
    name = write()
    await start_worker()

    for _ in range(3):
        assert await (await queue.enqueue(f"{name}.job")).result(timeout=5) == 1

    assert found == [f"{name}.job"]


async def test_few_functions_are_kept(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(imports, "MOST_FUNCTIONS", 2)
    functions = Imports(lambda name: jobs.noop)

    for name in "abc":
        await functions.find(f"{write()}.{name}")

    assert [name[-1] for name in functions.known] == ["b", "c"]


async def test_a_module_that_is_imported_already_needs_no_thread_and_waits_for_no_other(
    queue: Queue, start_worker: Start, write: Write
) -> None:
    name, other = write(closed=True), write()
    __import__(other)
    await start_worker()
    waits = await queue.enqueue(f"{name}.job")
    await begun(name)

    assert await (await queue.enqueue(f"{other}.job", 4)).result(timeout=5) == 4
    gates.OPEN[name].set()
    await waits.result(timeout=5)


async def test_a_module_that_is_being_imported_elsewhere_does_not_hold_up_the_loop(
    queue: Queue, start_worker: Start, write: Write
) -> None:
    name = write(ENTER.replace("\n", f"\n{JOBS}", 1), closed=True)  # what it defines is there already
    await start_worker()
    thread = threading.Thread(target=__import__, args=(name,))
    thread.start()
    await begun(name)
    waits = await queue.enqueue(f"{name}.job")

    assert await (await queue.enqueue(jobs.add, 1, 1)).result(timeout=5) == 2
    gates.OPEN[name].set()
    assert await waits.result(timeout=5) == 1
    thread.join()


def test_a_script_that_runs_a_worker_while_it_is_imported(
    server: Server, environment: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "script.py").write_text(
        "import asyncio\nfrom aioq import Queue, Worker\nasync def job():\n    return 'done'\n"
        "async def main():\n"
        f"    async with Queue('default', {server.url!r}) as queue:\n"
        "        job = await queue.enqueue('script.job')\n"
        "        await Worker(queue).run(burst=True)\n"
        "        print(await job.result(timeout=1))\n"
        "asyncio.run(main())\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", "import script"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "done\n"), done.stderr


# What can go wrong


@pytest.mark.parametrize(
    ("line", "text"),
    [
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(7)", "SystemExit: 7"),
        ("raise KeyboardInterrupt", "KeyboardInterrupt"),
        ("import no_such_module_at_all", "No module named 'no_such_module_at_all'"),
    ],
)
async def test_an_import_that_raises_fails_its_jobs_and_is_tried_again(
    queue: Queue, start_worker: Start, write: Write, line: str, text: str
) -> None:
    name = write(f"{ENTER}{line}\n{JOBS}", closed=True)
    worker = await start_worker()
    together = [await queue.enqueue(f"{name}.job") for _ in range(3)]
    await begun(name)
    await eventually(lambda: worker.worker._service.slots.running == 3)
    gates.OPEN[name].set()

    for job in together:
        await has_failed_with(job, name, text)

    assert gates.times(name) == 1
    await has_failed_with(await queue.enqueue(f"{name}.job"), name, text)
    assert gates.times(name) == 2


async def has_failed_with(job: Job[Any], name: str, text: str) -> None:
    await eventually(lambda: has_failed(job))
    assert text in job.exc_info
    assert f"{name}.py" in job.exc_info
    assert "anyio" not in job.exc_info
    assert "aioq/worker" not in job.exc_info


async def has_failed(job: object) -> bool:
    await job.refresh()
    return job.is_failed


@pytest.mark.parametrize(
    "line",
    [
        "import signal; signal.signal(signal.SIGUSR1, signal.SIG_DFL)",
        "import signal; signal.set_wakeup_fd(signal.set_wakeup_fd(-1))",
        "import asyncio; asyncio.get_running_loop()",
        "import asyncio; asyncio.get_event_loop()",
        "import asyncio\ntry:\n    asyncio.get_running_loop()\nexcept RuntimeError:\n    1 / 0",
    ],
)
async def test_a_module_that_needs_the_main_thread_is_imported_on_it_and_that_is_told(
    queue: Queue, start_worker: Start, write: Write, caplog: pytest.LogCaptureFixture, line: str
) -> None:
    name = write(f"{ENTER}{line}\n{JOBS}")
    await start_worker()

    assert await (await queue.enqueue(f"{name}.job")).result(timeout=5) == 1
    assert gates.IMPORTED[-1] == (name, threading.main_thread().ident)
    (warning,) = told(caplog, "cannot be imported on a thread")
    assert f"`aioq worker --import {name}`" in warning


async def test_a_timeout_does_not_wait_for_an_import_which_goes_on_for_others(
    queue: Queue, start_worker: Start, write: Write
) -> None:
    name = write(closed=True)
    await start_worker()
    waits = await queue.enqueue(f"{name}.job", 5)
    late = [
        await queue.enqueue(f"{name}.job", job_timeout=0.2),
        await queue.enqueue(f"{name}.plain", job_timeout=0.2, executor="process"),
    ]
    await begun(name)

    for job in late:
        await eventually(lambda job=job: has_failed(job))
        assert "timeout of 0.2 seconds; its module was still being imported" in job.exc_info

    gates.OPEN[name].set()
    assert await waits.result(timeout=5) == 5
    assert gates.times(name) == 1


async def test_a_stop_does_not_wait_for_an_import(
    queue: Queue, server: Server, write: Write, caplog: pytest.LogCaptureFixture
) -> None:
    name = write(closed=True)

    async with RunningWorker(["default"], connection=server.url) as worker:
        job = await queue.enqueue(f"{name}.job")
        await begun(name)
        worker.worker.request_stop()
        worker.worker.request_stop()
        await asyncio.wait_for(worker.task, 5)

    await job.refresh()
    assert (job.is_queued, job.attempt, job.deliveries) == (True, 0, 0)
    assert told(caplog, f"importing the module of {name}.job goes on")


async def test_nothing_is_imported_that_is_not_allowed(queue: Queue, start_worker: Start, write: Write) -> None:
    name = write()
    await start_worker(allow="tests.*")
    job = await queue.enqueue(f"{name}.job")

    await eventually(lambda: has_failed(job))
    assert "is not covered by --allow" in job.exc_info
    assert (name in sys.modules, gates.times(name)) == (False, 0)


async def test_a_fork_of_an_import_ends_with_it(queue: Queue, start_worker: Start, write: Write) -> None:
    name = write("import os\nPID = os.fork()\ndef job():\n    return os.waitpid(PID, 0)[1]\n")
    await start_worker()

    assert await (await queue.enqueue(f"{name}.job")).result(timeout=10) == 0


# What is told


async def test_a_missing_module_is_told_once_with_where_it_was_looked_for(
    queue: Queue, start_worker: Start, write: Write, tmp_path: Path, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    write()
    package = f"package_{key}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "__init__.py").touch()
    await start_worker()
    names = [f"gone_{key}.tasks.f", f"gone_{key}.tasks.g", f"{package}.gone.f", f"{package}.gone.f"]

    for name in names:
        job = await queue.enqueue(name)
        await eventually(lambda job=job: has_failed(job))

    sys.modules.pop(package)
    failures = [record for record in caplog.records if record.levelno >= logging.WARNING]
    assert [record.func for record in failures] == names
    assert {record.levelname for record in failures} == {"ERROR"}
    lines = [TextLines(Style(format="%(message)s")).format(record).split("\n") for record in failures]
    assert f"no module of '{names[0]}' can be imported by this worker: start it in the folder of" in lines[0][0]
    assert lines[0][1:] == [f"gone_{key} was looked for in:", *(f"  {each or '.'}" for each in sys.path)]
    assert lines[2][1:] == [f"{package}.gone was looked for in:", f"  {tmp_path / package}"]
    assert (len(lines[1]), len(lines[3])) == (1, 1)


async def test_the_first_job_of_a_missing_module_is_an_error_also_if_it_runs_again(
    queue: Queue, start_worker: Start, key: str, caplog: pytest.LogCaptureFixture
) -> None:
    await start_worker()
    job = await queue.enqueue(f"gone_{key}.f", retry=1)
    await eventually(lambda: has_failed(job))
    first, last = (record for record in caplog.records if record.levelno >= logging.WARNING)
    assert (first.levelname, first.outcome, last.outcome) == ("ERROR", "retried", "failed")
    formatter = TextLines(Style(format="%(message)s"))
    assert f"\ngone_{key} was looked for in:\n" in formatter.format(first)
    assert "\n" not in formatter.format(last)


async def test_a_function_that_was_added_to_a_file_since_its_import_asks_for_a_restart(
    queue: Queue, start_worker: Start, write: Write, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    name = write()
    await start_worker()
    await (await queue.enqueue(f"{name}.job")).result(timeout=5)
    never = await queue.enqueue(f"{name}.added")
    await eventually(lambda: has_failed(never))
    file = tmp_path / f"{name}.py"
    file.write_text(f"{JOBS}def added():\n    return 3\n")
    os.utime(file, (time.time() + 2, time.time() + 2))
    added = await queue.enqueue(f"{name}.added")
    await eventually(lambda: has_failed(added))

    assert f"{name} has no function 'added': was it renamed or removed?" in never.error_message
    assert added.error_message == (
        f"{name} has no function 'added', and {name}.py has changed since this worker imported it: restart the"
        " worker, or use `aioq worker --reload`"
    )


async def test_the_time_of_an_import_is_that_of_its_thread_and_no_job_s(
    queue: Queue,
    start_worker: Start,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "aioq.worker")
    monkeypatch.setattr(imports, "SLOW_S", 0.2)
    name = write(f"{ENTER}import time\nasync def hog(): time.sleep(1)\n{JOBS}")
    slow = write(f"import time\ntime.sleep(0.6)\n{JOBS}")
    other = write()
    await start_worker(log_jobs=True)
    await (await queue.enqueue(f"{name}.job")).result(timeout=5)
    jobs_ = [await queue.enqueue(f"{each}") for each in (f"{other}.plain", f"{name}.hog", f"{slow}.job")]

    for job in jobs_:
        await job.result(timeout=5)

    took = {record.func: record.duration for record in caplog.records if getattr(record, "outcome", None)}
    assert [line.split()[1] for line in told(caplog, "importing")] == [slow]
    assert took[f"{other}.plain"] < 0.3
    assert took[f"{slow}.job"] < 0.3
    assert took[f"{name}.hog"] >= 0.9


async def test_a_slow_import_is_told_in_one_line(
    queue: Queue,
    start_worker: Start,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.INFO, "aioq.worker")
    monkeypatch.setattr(imports, "SLOW_S", 0.1)
    slow, quick = write(f"import time\ntime.sleep(0.15)\n{JOBS}"), write()
    await start_worker()

    for name in (slow, slow, quick):
        await (await queue.enqueue(f"{name}.job")).result(timeout=5)

    (line,) = told(caplog, "importing")
    assert line.startswith(f"importing {slow} took 0.")
    assert line.endswith(f" s; `aioq worker --import {slow}` does so before the first job")


async def test_an_import_that_does_not_end_is_told_with_its_line(
    queue: Queue,
    start_worker: Start,
    write: Write,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(imports, "LONG_S", 0.1)
    name = write(closed=True)
    await start_worker()
    await queue.enqueue(f"{name}.job", job_timeout=10)
    await eventually(lambda: told(caplog, "so far"))

    (line,) = told(caplog, "so far")
    assert f"importing the module of {name}.job has taken 0.1 s so far, at " in line
    assert "importlib" not in line
    gates.OPEN[name].set()


# Before the first claim


async def test_modules_are_imported_before_anything_is_claimed_on_the_thread_of_the_worker(
    queue: Queue, burst: Callable[..., object], write: Write
) -> None:
    one, two = write(f"{ENTER}import asyncio; asyncio.get_running_loop()\n{JOBS}"), write()
    await queue.enqueue(f"{one}.job")
    await burst(imports=[one, two])

    assert gates.IMPORTED[-2:] == [(one, threading.get_ident()), (two, threading.get_ident())]


@pytest.mark.parametrize(
    ("source", "text"),
    [
        (None, "there is no module {name} to import: it was looked for in {path}"),
        ("raise SystemExit('no')", "importing {name} failed: SystemExit: no ({path}/{name}.py, line 1)"),
        ("\n1 / 0", "importing {name} failed: ZeroDivisionError: division by zero ({path}/{name}.py, line 2)"),
        ("def f(:", "importing {name} failed: SyntaxError: invalid syntax ({path}/{name}.py, line 1)"),
        (
            "import no_such_module_at_all",
            "importing {name} failed: ModuleNotFoundError: No module named 'no_such_module_at_all' ({path}",
        ),
    ],
)
async def test_a_module_that_cannot_be_imported_is_an_error_before_anything_is_claimed(
    queue: Queue, server: Server, write: Write, tmp_path: Path, key: str, source: str | None, text: str
) -> None:
    other = write()
    name = f"gone_{key}" if source is None else write(source)
    job = await queue.enqueue(f"{other}.job")
    worker = Worker("default", server.url, imports=[other, name])

    with pytest.raises(WorkerError) as raised:
        await worker.run(burst=True)

    assert str(raised.value).startswith(text.format(name=name, path=tmp_path))
    await job.refresh()
    assert (job.is_queued, job.deliveries) == (True, 0)


@pytest.mark.parametrize("name", ["shop/tasks", "", "shop.", 5])
def test_what_is_no_name_of_a_module_is_refused(name: object) -> None:
    with pytest.raises(InvalidInput, match="is not the name of a module"):
        Worker(imports=[name])
