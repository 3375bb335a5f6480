"""What `durability` promises, on servers that keep it, that are too slow for it, and that cannot do it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Callable

import pytest

from aioq import InvalidInput, Job, Queue, task
from aioq.errors import DuplicateJobError, NotDurable, ServerRefused, ServerUnreachable, ServerUnsuitable
from aioq.types import Durability
from tests import jobs
from tests.conftest import Server
from tests.system.proxy import Proxy
from tests.tools import eventually

ALWAYS = ("--appendonly", "yes", "--appendfsync", "always")
EVERYSEC = ("--appendonly", "yes", "--appendfsync", "everysec")

FSYNC = Durability("fsync")


@pytest.fixture
async def replicated(own_server: Callable[..., Server]):
    """A server and its replica, connected."""
    primary = own_server("--repl-diskless-sync-delay", "0")
    replica = own_server("--replicaof", "127.0.0.1", str(primary.port))

    with primary.client() as client:
        # A replica that has just connected may take a second until it acknowledges its first write.
        await eventually(lambda: client.set("x", 1) and client.wait(1, 100))
        client.delete("x")

    yield primary, replica

    if replica.process is not None:
        replica.process.send_signal(signal.SIGCONT)
        replica.stop(kill=True)


async def test_an_enqueue_says_what_it_has_reached(own_server) -> None:
    async with Queue("default", own_server(*ALWAYS).url) as queue:
        plain = await queue.enqueue(jobs.add, 1, 2)
        job = await queue.enqueue(jobs.add, 1, 2, durability="fsync")
        explicit = await queue.enqueue(jobs.add, 1, 2, durability="memory")
        assert plain.durability == explicit.durability == Durability("memory")
        assert job.durability == FSYNC

        # It is said by the handle, and stored nowhere. Stored is for how long the call may be sent again.
        fetched = await queue.fetch_job(job.id)
        assert fetched.durability is None
        known = (await queue.fetch_job(plain.id)).record.fields.keys()
        assert fetched.record.fields.keys() - {b"repeat_ms"} == known


async def test_every_way_to_enqueue_takes_it(own_server) -> None:
    decorated = task(durability="fsync")(jobs.add)

    async with (
        Queue("default", own_server(*ALWAYS).url) as queue,
        Queue("strict", queue.connection, default_durability="fsync") as strict,
    ):
        made = [
            await queue.using(durability="fsync").enqueue(jobs.add, 1, 2),
            await queue.enqueue(decorated, 1, 2),
            await queue.task(durability="fsync")(jobs.add).enqueue(1, 2),
            await queue.enqueue_call(jobs.add, (1, 2), durability="fsync"),
            await queue.enqueue_in(60, jobs.add, 1, 2, durability="fsync"),
            await queue.enqueue_job(Job.create(jobs.add, (1, 2), durability="fsync")),
            await strict.enqueue(jobs.add, 1, 2),
        ]
        assert [job.durability for job in made] == [FSYNC] * 7
        assert (await strict.enqueue(jobs.add, 1, 2, durability="memory")).durability == Durability("memory")

        levels = ["fsync", "memory", "fsync", "fsync", "memory"]
        many = await queue.enqueue_many([Queue.prepare_data(jobs.add, (1, 2), durability=each) for each in levels])
        assert [job.durability.level for job in many] == levels


async def test_an_id_in_use_is_refused_as_without_it(own_server) -> None:
    async with Queue("default", own_server(*ALWAYS).url) as queue:
        await queue.enqueue(jobs.add, 1, 2, job_id="one", durability="fsync")

        with pytest.raises(DuplicateJobError):
            await queue.enqueue(jobs.add, 1, 2, job_id="one", durability="fsync")

        calls = [Queue.prepare_data(jobs.add, (1, 2), job_id=each, durability="fsync") for each in ("one", "two")]

        with pytest.raises(DuplicateJobError, match="job one that"):
            await queue.enqueue_many(calls)

        assert await queue.count() == 2


async def test_gathered_enqueues_share_one_fsync_and_hold_up_nobody(own_server) -> None:
    """Under everysec an fsync comes once a second, and each of a hundred must not wait for one of its own."""
    async with Queue("default", own_server(*EVERYSEC).url) as queue:
        await queue.enqueue(jobs.add, 1, 2)
        begun = time.monotonic()
        durable = asyncio.gather(*(queue.enqueue(jobs.add, 1, 2, durability="fsync") for _ in range(100)))

        for _ in range(20):
            await queue.enqueue(jobs.add, 1, 2)

        assert not durable.done()
        assert time.monotonic() - begun < 1
        assert {job.durability for job in await durable} == {FSYNC}
        # WAITAOF alone would have answered at once, before any fsync; see Fsync in store/levels.py.
        assert 1 <= time.monotonic() - begun < 2.5
        assert await queue.count() == 121


@pytest.mark.parametrize(
    ("policy", "times"),
    [
        (ALWAYS, 5),
        (EVERYSEC, 1),
        *(pytest.param(*each, marks=pytest.mark.chaos) for each in ((ALWAYS, 20), (EVERYSEC, 3))),
    ],
    ids=["always", "everysec", "always, often", "everysec, often"],
)
async def test_a_job_on_the_disk_is_there_after_a_crash(own_server, policy: tuple[str, ...], times: int) -> None:
    server = own_server(*policy)

    async with Queue("default", server.url) as queue:
        for number in range(times):
            job = await queue.enqueue(jobs.add, number, 1, durability="fsync")
            server.stop(kill=True)
            server.start()
            assert (await queue.fetch_job(job.id)).args == (number, 1)

        assert await queue.count() == times


async def test_a_crash_during_the_wait_is_survived(own_server) -> None:
    """The server goes away after the write and before the fsync. The job is written again, and is there once."""
    server = own_server(*EVERYSEC)

    async with Queue("default", server.url) as queue:
        task = asyncio.create_task(queue.enqueue(jobs.add, 1, 2, durability="fsync"))
        await eventually(lambda: _has_job(server))
        server.stop(kill=True)
        server.start()
        assert (await task).durability == FSYNC
        assert await queue.count() == 1


def _has_job(server: Server) -> bool:
    with server.client() as client:
        return any(client.scan_iter("*:job:*"))


async def test_a_server_that_does_not_come_back_is_an_error(own_server) -> None:
    server = own_server(*EVERYSEC)

    async with Queue("default", server.url) as queue:
        task = asyncio.create_task(queue.enqueue(jobs.add, 1, 2, durability="fsync"))
        await eventually(lambda: _has_job(server))
        server.stop(kill=True)

        with pytest.raises(ServerUnreachable):
            await task


async def test_a_lost_reply_does_not_double_the_job(own_server) -> None:
    server = own_server(*ALWAYS)

    async with Proxy(server.socket) as proxy, Queue("default", proxy.url) as queue:
        await queue.count()
        proxy.cut_reply_of("enqueue")
        job = await queue.enqueue(jobs.add, 1, 2, durability="fsync")
        assert (job.durability, proxy.cuts) == (FSYNC, 1)
        assert await queue.job_ids() == [job.id]


async def test_scripts_that_the_server_forgot_are_loaded_again(own_server) -> None:
    server = own_server(*ALWAYS)

    async with Queue("default", server.url) as queue:
        for _ in range(2):
            await queue.enqueue(jobs.add, 1, 2, durability="fsync")
            with server.client() as client:
                client.script_flush()

        both = (queue.enqueue(jobs.add, 1, 2, durability="fsync") for _ in range(2))
        assert [job.durability for job in await asyncio.gather(*both)] == [FSYNC] * 2
        assert await queue.count() == 4


async def test_a_caller_that_gives_up_takes_nobody_along(own_server) -> None:
    async with Queue("default", own_server(*EVERYSEC).url) as queue:
        tasks = [asyncio.create_task(queue.enqueue(jobs.add, 1, 2, durability="fsync")) for _ in range(3)]
        await asyncio.sleep(0.2)
        tasks[0].cancel()
        assert [job.durability for job in await asyncio.gather(*tasks[1:])] == [FSYNC] * 2


async def test_a_job_is_on_a_replica_when_its_primary_dies(replicated) -> None:
    primary, replica = replicated

    async with Queue("default", primary.url) as queue:
        job = await queue.enqueue(jobs.add, 1, 2, durability="replicated")
        assert job.durability == Durability("replicated", 1)
        primary.stop(kill=True)

    with replica.client() as client:
        assert client.exists(f"aioq:{{default}}:job:{job.id}")


async def test_a_replica_that_hangs_is_told_and_holds_up_nobody_else(replicated) -> None:
    primary, replica = replicated

    async with Queue("default", primary.url, durability_timeout=0.6) as queue:
        await queue.enqueue(jobs.add, 1, 2, durability="replicated")
        replica.process.send_signal(signal.SIGSTOP)
        begun = time.monotonic()
        durable = asyncio.create_task(queue.enqueue(jobs.add, 1, 2, durability="replicated"))

        for _ in range(20):
            await queue.enqueue(jobs.add, 1, 2)

        assert not durable.done()

        with pytest.raises(NotDurable, match="is in the queue") as caught:
            await durable

        assert 0.6 <= time.monotonic() - begun < 3
        (job_id,) = caught.value.job_ids
        assert job_id in str(caught.value)
        assert (await queue.fetch_job(job_id)).is_queued

        replica.process.send_signal(signal.SIGCONT)
        later = await queue.enqueue(jobs.add, 1, 2, durability="replicated")
        assert later.durability == Durability("replicated", 1)
        assert await queue.count() == 23


async def test_of_many_the_ones_that_are_not_durable_are_named(replicated) -> None:
    primary, replica = replicated
    calls = [Queue.prepare_data(jobs.add, (1, 2), job_id="plain")]
    calls += [
        Queue.prepare_data(jobs.add, (1, 2), job_id=f"id-{number}", durability="replicated") for number in range(7)
    ]

    async with Queue("default", primary.url, durability_timeout=0.2) as queue:
        await queue.enqueue(jobs.add, 1, 2, job_id="id-0")
        replica.process.send_signal(signal.SIGSTOP)

        with pytest.raises(NotDurable, match="id-5 and 1 more") as caught:
            await queue.enqueue_many(calls)

        assert caught.value.job_ids == tuple(f"id-{number}" for number in range(1, 7))
        assert isinstance(caught.value.__cause__, DuplicateJobError)


async def test_a_setting_that_is_changed_during_the_wait_ends_it(own_server) -> None:
    server = own_server(*EVERYSEC)

    async with Queue("default", server.url, durability_timeout=1.5) as queue:
        task = asyncio.create_task(queue.enqueue(jobs.add, 1, 2, durability="fsync"))
        await eventually(lambda: _has_job(server))

        with server.client() as client:
            client.config_set("appendonly", "no")

        with pytest.raises(NotDurable):
            await task


@pytest.mark.parametrize(
    ("options", "level", "words"),
    [
        ((), "fsync", "append-only file is off.* Set appendonly to yes. Nothing was written"),
        (("--appendonly", "yes", "--appendfsync", "no"), "fsync", "Set appendfsync to everysec or always"),
        ((*ALWAYS, "--no-appendfsync-on-rewrite", "yes"), "fsync", "Set no-appendfsync-on-rewrite to no"),
        ((*ALWAYS, "--rename-command", "WAITAOF", ""), "fsync", "no WAITAOF.* Use Redis 7.2, Valkey 7.2 or later"),
        ((), "replicated", "has no replica"),
    ],
)
async def test_a_server_that_cannot_do_it_says_so_before_the_write(own_server, options, level, words) -> None:
    async with Queue("default", own_server(*options).url) as queue:
        both = (queue.enqueue(jobs.add, 1, 2, durability=level) for _ in range(2))

        for error in await asyncio.gather(*both, return_exceptions=True):
            assert isinstance(error, ServerUnsuitable)
            assert error.args[0].startswith("the server at unix://")
            with pytest.raises(ServerUnsuitable, match=words):
                raise error

        assert await queue.count() == 0
        assert (await queue.enqueue(jobs.add, 1, 2)).is_queued


async def test_a_user_who_may_not_wait_is_refused(own_server) -> None:
    server = own_server(*ALWAYS)

    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "limited", "on", "nopass", "~*", "&*", "+@all", "-waitaof")

    async with Queue("default", server.tcp_url.replace("redis://", "redis://limited:x@")) as queue:
        with pytest.raises(ServerRefused, match="waitaof"):
            await queue.enqueue(jobs.add, 1, 2, durability="fsync")

        assert await queue.count() == 0


async def test_a_server_that_hides_its_settings_is_taken_for_a_usual_one(own_server) -> None:
    server = own_server(*ALWAYS, "--rename-command", "CONFIG", "")

    async with Queue("default", server.url) as queue:
        begun = time.monotonic()
        assert (await queue.enqueue(jobs.add, 1, 2, durability="fsync")).durability == FSYNC
        assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("level", ["disk", "", 1, True, "FSYNC"])
async def test_an_unknown_level_is_refused(queue: Queue, level: object) -> None:
    with pytest.raises(InvalidInput, match='expected "memory", "fsync" or "replicated"'):
        await queue.enqueue(jobs.add, 1, 2, durability=level)

    assert await queue.count() == 0


def test_a_time_limit_that_cannot_be_is_refused() -> None:
    with pytest.raises(InvalidInput, match="durability_timeout"):
        Queue("default", "redis://localhost", durability_timeout=0)
