"""Single accidents: damage on disk, other clocks, jobs that do what they must not."""

from __future__ import annotations

import asyncio
import re
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from aioq import JobFailed, Queue
from aioq.values.errors import ServerError
from tests import jobs as simple
from tests.conftest import Server
from tests.system import jobs
from tests.system.jobs import notes
from tests.system.processes import WorkerProcess
from tests.system.proxy import Proxy
from tests.system.test_lost_servers import DURABLE
from tests.tools import RunningWorker, assert_all_sound, eventually

from . import accidents

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="session")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that gives a process another clock."""
    if shutil.which("cc") is None:
        pytest.skip("this machine has no C compiler; apt-get install gcc")

    library = tmp_path_factory.mktemp("clock") / "clock.so"
    source = Path(__file__).parent / "clock.c"
    subprocess.run(["cc", "-shared", "-fPIC", "-O2", "-o", library, source, "-ldl"], check=True)
    return library


async def drained(queue: Queue) -> bool:
    counts = await queue.store.count()
    return counts.queued == counts.started == counts.scheduled == 0


# The server's data


@pytest.mark.parametrize("cut", [1, 40, 700])
async def test_an_append_only_file_that_was_cut_off_loses_its_last_calls_whole(own_server, cut: int) -> None:
    """A script is one entry of the file, so there is no half of it; what is left is sound, and runs."""
    server: Server = own_server(*DURABLE)

    async with Queue("default", server.url) as queue:
        for number in range(50):
            await queue.enqueue(simple.add, number, 1)

        server.stop(kill=True)
        (file,) = (server.folder / "appendonlydir").glob("*.incr.aof")

        with file.open("r+b") as tail:
            tail.truncate(file.stat().st_size - cut)

        server.start()
        left = await queue.count()
        assert 40 <= left < 50
        await assert_all_sound(server.url)

        async with RunningWorker(["default"], connection=server.url):
            await eventually(lambda: drained(queue))

        assert await queue.finished_job_registry.count() == left


@pytest.mark.parametrize("loss", ["FLUSHALL", "the groups"])
async def test_a_worker_goes_on_when_the_server_has_lost_its_keys(
    queue: Queue, raw, start_worker, loss: str
) -> None:
    await start_worker()
    assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=10) == 2

    if loss == "FLUSHALL":
        raw.flushall()
    else:
        for lane in raw.scan_iter(match="*:lane:*"):
            raw.xgroup_destroy(lane, "workers")

    for number in range(20):
        assert await (await queue.enqueue(simple.add, number, 1)).result(timeout=20) == number + 1


async def test_a_server_that_cannot_save_refuses_and_later_all_goes_on(own_server) -> None:
    """MISCONF, as with a disk that is full: enqueue raises, and outcomes are kept until the server takes them."""
    server: Server = own_server("--stop-writes-on-bgsave-error", "yes")

    async with Queue("default", server.url) as queue, RunningWorker(["default"], connection=server.url):
        running = await queue.enqueue(jobs.work, str(server.folder / "notes"), 0.3)
        await eventually(lambda: notes(server.folder / "notes", "start"))
        (server.folder / "dump.rdb").mkdir()  # what it saves cannot be put there

        with server.client() as client:
            client.config_set("save", "1 1")
            client.bgsave()
            await eventually(lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err")

            with pytest.raises(ServerError, match="MISCONF"):
                await queue.enqueue(simple.noop)

            await eventually(lambda: notes(server.folder / "notes", "end"))
            assert (await queue.fetch_job(running.id)).is_started
            client.config_set("stop-writes-on-bgsave-error", "no")

        assert await running.result(timeout=20) == "attempt 1"
        assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=20) == 2


# Clocks


@pytest.mark.parametrize("seconds", [3600, -3600])
async def test_the_clock_of_a_worker_changes_nothing(
    queue: Queue, spawn, environment, clock, tmp_path, seconds
) -> None:
    (tmp_path / "ahead").write_text(str(seconds))
    environment |= {"LD_PRELOAD": str(clock), "CHAOS_CLOCK": str(tmp_path / "ahead")}
    path = tmp_path / "notes"
    wrong = await spawn()
    first = await queue.enqueue_in(0.5, jobs.work, str(path), 0.1)
    assert await first.result(timeout=10) == "attempt 1"
    ((_, pid, noted),) = notes(path, "start")
    assert int(pid) == wrong.process.pid
    assert abs(float(noted) - first.created_at.timestamp() - seconds) < 30  # its clock is another one
    await first.refresh()
    assert first.started_at >= first.scheduled_at
    assert (first.ended_at - first.started_at).total_seconds() < 5


@pytest.mark.parametrize("seconds", [3600, pytest.param(-3600, marks=pytest.mark.chaos)])
async def test_a_server_whose_clock_jumps_declares_nobody_dead(
    own_server: Callable[..., Server], spawn, monkeypatch, clock: Path, tmp_path: Path, seconds: int
) -> None:
    (tmp_path / "ahead").write_text("0")
    monkeypatch.setenv("LD_PRELOAD", str(clock))
    monkeypatch.setenv("CHAOS_CLOCK", str(tmp_path / "ahead"))
    server = own_server()
    monkeypatch.delenv("LD_PRELOAD")

    for _ in range(2):
        await spawn(url=server.url, concurrency=4)

    async with Queue("default", server.url) as queue:
        running = [await queue.enqueue(jobs.work, str(tmp_path / "notes"), 4) for _ in range(4)]
        await eventually(lambda: len(notes(tmp_path / "notes", "start")) == 4)
        (tmp_path / "ahead").write_text(str(seconds))
        assert set(await asyncio.gather(*(job.result(timeout=30) for job in running))) == {"attempt 1"}
        assert len(notes(tmp_path / "notes", "start")) == 4
        assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=10) == 2


# Jobs


async def test_a_job_may_fork_and_run_a_loop_of_its_own(queue: Queue, spawn) -> None:
    worker = await spawn()
    forked = [await queue.enqueue(accidents.fork) for _ in range(5)]
    loops = [await queue.enqueue(accidents.loop_of_its_own, 1) for _ in range(5)]
    assert await asyncio.gather(*(job.result(timeout=20) for job in forked)) == [7] * 5
    assert await asyncio.gather(*(job.result(timeout=20) for job in loops)) == [2] * 5
    assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=10) == 2
    assert worker.process.poll() is None


@pytest.mark.chaos
async def test_a_job_that_crashes_the_interpreter_fails_at_the_third_worker(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    victims = [await spawn(name=f"victim{number}") for number in range(3)]
    job = await queue.enqueue(accidents.touch_no_address, str(path))

    assert [await victim.ended() for victim in victims] == [-signal.SIGSEGV] * 3
    # All three lost it, and nobody is left to say so: the next worker does.
    await spawn()

    with pytest.raises(JobFailed, match="AbandonedJobError: the workers that ran this job were lost 3 times"):
        await job.result(timeout=30)

    await job.refresh()
    assert (job.deliveries, job.attempt, len(notes(path, "start"))) == (3, 0, 3)
    assert [each.type for each in await job.results()] == ["failed", "abandoned", "abandoned"]
    assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=10) == 2


async def test_a_job_that_finds_no_memory_has_failed_and_its_worker_goes_on(queue: Queue, spawn) -> None:
    worker = await spawn(concurrency=2)
    warm = [await queue.enqueue(each, 1, 1) for each in (simple.add, simple.add_sync) for _ in range(4)]
    assert set(await asyncio.gather(*(job.result(timeout=10) for job in warm))) == {2}
    # From here on it may have 200 MB more of addresses, as with `prlimit --as`.
    used = re.search(r"VmSize:\s+(\d+) kB", Path(f"/proc/{worker.process.pid}/status").read_text())
    limit = int(used[1]) * 1024 + 200_000_000
    resource.prlimit(worker.process.pid, resource.RLIMIT_AS, (limit, limit))

    for function, size in (
        (accidents.take_memory, 1_000_000_000),
        (accidents.take_memory_bit_by_bit, 1_000_000_000),
        (accidents.return_much, 120_000_000),
    ):
        job = await queue.enqueue(function, size)

        with pytest.raises(JobFailed, match="MemoryError"):
            await job.result(timeout=20)

        assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=10) == 2
        assert await (await queue.enqueue(simple.add_sync, 1, 1)).result(timeout=10) == 2

    assert worker.process.poll() is None


async def test_a_deploy_that_changes_the_arguments_of_a_function_fails_its_jobs_and_keeps_them(
    queue: Queue, spawn, environment: dict[str, str], tmp_path: Path
) -> None:
    """The next deploy takes the old arguments again; then a requeue brings the jobs to their end."""
    environment["PYTHONPATH"] += f":{tmp_path}"
    environment["PYTHONDONTWRITEBYTECODE"] = "1"  # two versions in one second look the same
    deployed = tmp_path / "deployed.py"
    job = await queue.enqueue("deployed.greet", "Ada", polite=True)

    deployed.write_text("async def greet(name, *, language):\n    return language + name\n")
    worker = await spawn()

    with pytest.raises(JobFailed, match=r"TypeError: greet\(\) got an unexpected keyword argument 'polite'"):
        await job.result(timeout=10)

    worker.signal(signal.SIGTERM)
    assert await worker.ended() == 0
    await job.refresh()
    assert (job.args, job.kwargs, job.is_failed) == (("Ada",), {"polite": True}, True)

    deployed.write_text(
        "async def greet(name, *, polite=False, language='en'):\n    return name, polite, language\n"
    )
    await spawn()
    assert await queue.requeue([job.id]) == {job.id: "ok"}
    assert await job.result(timeout=10) == ("Ada", True, "en")


# Processes


def descriptors(worker: WorkerProcess) -> list[int]:
    return sorted(int(each.name) for each in Path(f"/proc/{worker.process.pid}/fd").iterdir())


async def test_connections_that_are_killed_again_and_again_leave_no_descriptor(
    queue: Queue, raw, spawn, tmp_path: Path
) -> None:
    """The worker may have a few descriptors more than it needs, so a leak would end it."""
    worker = await spawn(concurrency=4)
    await asyncio.gather(*[(await queue.enqueue(simple.add_sync, 1, 1)).result(timeout=10) for _ in range(8)])
    before = descriptors(worker)
    few = before[-1] + 20
    resource.prlimit(worker.process.pid, resource.RLIMIT_NOFILE, (few, few))

    for number in range(25):
        raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
        raw.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
        assert await (await queue.enqueue(simple.add, number, 1)).result(timeout=20) == number + 1

    await eventually(lambda: len(descriptors(worker)) <= len(before), describe=f"{len(before)} descriptors")

    # A job takes all that are left, and the connections are gone meanwhile: none can be opened until it ends.
    job = await queue.enqueue(accidents.take_descriptors, str(tmp_path / "notes"), 2)
    await eventually(lambda: notes(tmp_path / "notes", "full"))
    raw.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")
    raw.execute_command("CLIENT", "KILL", "TYPE", "pubsub")
    assert await job.result(timeout=20) >= 15
    assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=20) == 2
    assert worker.process.poll() is None
    await eventually(lambda: len(descriptors(worker)) <= len(before), describe=f"{len(before)} descriptors")


async def test_a_worker_whose_log_cannot_be_written_works(queue: Queue, environment) -> None:
    with Path("/dev/full").open("wb") as full:
        worker = subprocess.Popen(
            [sys.executable, "-m", "aioq", "worker", "--url", queue.connection.url, "--verbose"],
            env=environment, stdout=full, stderr=full,
        )  # fmt: skip

        try:
            failed = await queue.enqueue(simple.div_by_zero, 1)
            assert await (await queue.enqueue(simple.add, 1, 1)).result(timeout=20) == 2
            await eventually(lambda: queue.failed_job_registry.contains(failed))
            worker.send_signal(signal.SIGTERM)
            await eventually(lambda: worker.poll() is not None)
        finally:
            worker.kill()
            worker.wait()


@pytest.mark.chaos
async def test_a_worker_that_is_killed_before_it_could_record_a_run(queue: Queue, server, spawn, tmp_path) -> None:
    """The effect is there, the record is not: the job runs again, with a higher fence."""
    path = tmp_path / "notes"

    async with Proxy(server.socket) as proxy:
        victim = await spawn(url=proxy.url)
        job = await queue.enqueue(jobs.work, str(path), 1)
        await eventually(lambda: notes(path, "start"))
        proxy.hold("up")
        await eventually(lambda: notes(path, "end"))
        victim.signal(signal.SIGKILL)
        await victim.ended()
        proxy.reset()
        await spawn()
        assert await job.result(timeout=30) == "attempt 1"

    await job.refresh()
    assert (job.fence, len(notes(path, "start"))) == (2, 2)
