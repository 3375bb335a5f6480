"""Single accidents: damage on disk, other clocks, jobs that do what they must not."""

from __future__ import annotations

import asyncio
import re
import resource
import signal
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from aioq import JobFailed, Queue, Retry
from aioq.store.duty import read_beat
from aioq.store.net.listener import Listener
from aioq.values.errors import ServerError
from tests import jobs as simple
from tests.client.test_queue import is_brief
from tests.conftest import Server
from tests.system import jobs
from tests.system.jobs import notes
from tests.system.processes import WorkerProcess
from tests.system.proxy import Proxy
from tests.system.test_lost_servers import DURABLE
from tests.tools import RunningWorker, assert_all_sound, eventually

from . import accidents
from .clock import build_clock

pytestmark = pytest.mark.timeout(90)


@pytest.fixture(scope="session")
def clock(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library that gives a process another clock."""
    library = build_clock(tmp_path_factory.mktemp("clock"))

    if library is None:
        pytest.skip("this machine has no C compiler; apt-get install gcc")

    return library


async def drained_but_scheduled(queue: Queue) -> bool:
    counts = await queue.store.reads.count()
    return counts.queued == counts["started"] == 0


async def drained(queue: Queue) -> bool:
    counts = await queue.store.reads.count()
    return counts.queued == counts["started"] == counts["scheduled"] == 0


# The server's data


@pytest.mark.parametrize("cut", [40, *(pytest.param(cut, marks=pytest.mark.chaos) for cut in (1, 700))])
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


async def test_a_job_whose_entry_is_gone_runs_after_a_repair(
    queue: Queue, raw, spawn, environment: dict[str, str]
) -> None:
    made = [await queue.enqueue(simple.add, number, 1) for number in range(6)]
    entries = [entry for entry, _ in raw.xrange("aioq:{default}:lane:main")]
    raw.xdel("aioq:{default}:lane:main", *entries[::2])
    await spawn()
    assert [await job.result(timeout=10) for job in made[1::2]] == [2, 4, 6]
    assert [await job.get_status() for job in made[::2]] == ["queued"] * 3

    for is_damaged in (True, False):
        command = [sys.executable, "-m", "aioq", "doctor", "--repair", "--url", queue.connection.url]
        doctor = await asyncio.create_subprocess_exec(*command, env=environment, stdout=subprocess.PIPE)
        told, _ = await doctor.communicate()
        assert (doctor.returncode, "job-without-index" in told.decode()) == (0, is_damaged)

    assert [await job.result(timeout=10) for job in made[::2]] == [1, 3, 5]


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


# Crowds


@pytest.mark.chaos
async def test_a_thousand_connections_that_are_lost_at_once_come_back_one_by_one(own_server, monkeypatch) -> None:
    """Five hundred clients wait for a result, with two connections each; then the server is away."""
    clients, server = 500, own_server(*DURABLE)
    pauses: defaultdict[object, list[float]] = defaultdict(list)
    sleep = asyncio.sleep

    def noted(seconds: float) -> Awaitable[None]:
        if sys._getframe(1).f_code is Listener._resubscribe.__code__:
            pauses[asyncio.current_task()].append(seconds)
        return sleep(seconds)

    async with AsyncExitStack() as stack:
        queues = [await stack.enter_async_context(Queue("default", server.url)) for _ in range(clients)]
        waits = [
            asyncio.create_task((await queue.enqueue(simple.add, number, 1)).result(timeout=80))
            for number, queue in enumerate(queues)
        ]

        with server.client() as client:
            await eventually(lambda: client.info("clients")["pubsub_clients"] == clients)
            assert client.info("clients")["connected_clients"] > 2 * clients

        monkeypatch.setattr(asyncio, "sleep", noted)
        server.stop(kill=True)
        await eventually(lambda: len(pauses) == clients and all(len(each) >= 3 for each in pauses.values()))
        await asyncio.to_thread(server.start)

        async with RunningWorker(["default"], connection=server.url):
            assert await asyncio.gather(*waits) == [number + 1 for number in range(clients)]

    # They have lost it together, and are not to come back together: each pause has all lengths from a half of it
    # to one and a half.
    for nth, usual in enumerate((0.05, 0.1, 0.2)):
        shares = Counter(int(10 * each[nth] / usual) for each in pauses.values())
        assert shares.keys() == set(range(5, 15))
        assert max(shares.values()) < clients / 4


async def test_good_jobs_beside_a_storm_of_retries_are_not_starved(queue: Queue, start_worker, key: str) -> None:
    """Retries go behind what waits: a good job waits for one lap of the bad ones, not for all their attempts."""
    bad = [Queue.prepare_data(accidents.fail, (key,), retry=Retry(10)) for _ in range(100)]
    await queue.enqueue_many(bad)
    await queue.enqueue_many([Queue.prepare_data(accidents.succeed, (key,)) for _ in range(100)])
    await start_worker(concurrency=10)
    await eventually(lambda: accidents.done[key].count("good") == 100)
    lap = accidents.done[key][: _rindex(accidents.done[key], "good")].count("bad")
    assert 100 <= lap <= 200
    await eventually(lambda: accidents.done[key].count("bad") == 11 * 100, timeout=30)
    await eventually(lambda: drained(queue))
    assert await queue.failed_job_registry.count() == 100


def _rindex(values: list[str], value: str) -> int:
    return len(values) - 1 - values[::-1].index(value)


async def test_a_storm_of_delayed_retries_waits_in_the_schedule(queue: Queue, start_worker, key: str) -> None:
    retry = Retry(10, interval=60, jitter=0.5)
    await start_worker(concurrency=10)
    made = await queue.enqueue_many([Queue.prepare_data(accidents.fail, (key,), retry=retry) for _ in range(300)])
    good = [await queue.enqueue(accidents.succeed, key) for _ in range(50)]
    await asyncio.gather(*(job.result(timeout=10) for job in good))
    await eventually(lambda: drained_but_scheduled(queue))
    assert await queue.scheduled_job_registry.count() == 300
    assert len(accidents.done[key]) == 350
    due = sorted([(await queue.fetch_job(job.id)).scheduled_at for job in made])
    assert (due[-1] - due[0]).total_seconds() > 20  # they do not come back all at once


@pytest.mark.chaos
@pytest.mark.timeout(180)
async def test_ten_thousand_workers_that_come_and_go_leave_nothing(queue: Queue, raw) -> None:
    store, lease = queue.store, 60_000

    async def come_and_go(number: int) -> None:
        name = f"w{number}"
        await store.duty.join(name, lease)
        assert (
            store.duty.read_claims(await queue.connection.call(store.duty.claim_command(name, 1)), name).verdict
            == "ok"
        )
        await queue.connection.call(store.duty.beat_command(name, lease))
        assert await store.duty.leave(name)

    for first in range(0, 10_000, 50):
        await asyncio.gather(*(come_and_go(number) for number in range(first, first + 50)))

    assert set(raw.scan_iter()) <= {"aioq:queues", "aioq:{default}:wake", "aioq:{default}:format"}

    # Killed ones never leave; some of them hold a job. A living one hears of them, at most a hundred at a time.
    await queue.enqueue_many([Queue.prepare_data(simple.noop) for _ in range(100)])
    await store.duty.join("survivor", 10 * lease)

    for number in range(1_000):
        name = f"killed{number}"
        await store.duty.join(name, lease)

        if number % 10 == 0:
            await queue.connection.call(store.duty.claim_command(name, 1))

    raw.zadd(store.keys.leases, {f"killed{number}": 1 for number in range(1_000)})  # they ended long ago

    async def all_reclaimed() -> bool:
        beat = read_beat(await queue.connection.call(store.duty.beat_command("survivor", 10 * lease)))

        for name in beat.lost:
            await store.duty.reclaim(name)

        return not beat.lost

    await eventually(all_reclaimed, timeout=60)
    assert raw.zrange(store.keys.leases, 0, -1) == ["survivor"]
    assert raw.hkeys(store.keys.sessions) == ["survivor"]
    consumers = [
        each["name"]
        for lane in (store.keys.main, store.keys.front)
        for each in raw.xinfo_consumers(lane, "workers")
    ]
    assert set(consumers) <= {"survivor"}
    assert (await store.reads.count()).queued == 100
    await queue.empty()
    assert await store.duty.leave("survivor")
    assert {key for key in raw.scan_iter() if not is_brief(key)} <= {
        "aioq:queues",
        "aioq:{default}:wake",
        "aioq:{default}:format",
    }


# Clocks


@pytest.mark.parametrize("seconds", [3600, pytest.param(-3600, marks=pytest.mark.chaos)])
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


@pytest.mark.chaos
@pytest.mark.parametrize("seconds", [3600, -3600])
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
async def test_a_job_that_crashes_the_interpreter_fails_at_the_fourth_worker(
    queue: Queue, spawn, tmp_path: Path
) -> None:
    path = tmp_path / "notes"
    victims = [await spawn(name=f"victim{number}") for number in range(4)]
    job = await queue.enqueue(accidents.touch_no_address, str(path))

    assert [await victim.ended() for victim in victims] == [-signal.SIGSEGV] * 4
    # All four lost it, and nobody is left to say so: the next worker does.
    await spawn()

    with pytest.raises(JobFailed, match="AbandonedJobError: the workers that ran this job were lost 4 times"):
        await job.result(timeout=30)

    await job.refresh()
    assert (job.deliveries, job.attempt, len(notes(path, "start"))) == (4, 0, 4)
    assert [each.type for each in await job.results()] == ["failed", *["abandoned"] * 3]
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


@pytest.mark.chaos
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

    # A job takes all that are left and all that become free, so no connection can be opened until it ends.
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
