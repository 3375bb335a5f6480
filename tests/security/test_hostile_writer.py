"""Whoever can write to the server may write anything: no worker, command or client ends in an unexpected way."""

from __future__ import annotations

import asyncio
import inspect
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from aioq import AioqError, Job, JobStatus, Queue, Worker
from aioq.doctor import examine
from aioq.store import Directory
from tests import jobs
from tests.cli.tools import Cli
from tests.security.plant import trap, trap_call
from tests.security.vandal import Vandal
from tests.tools import eventually

SEEDS = range(int(os.environ.get("AIOQ_SEEDS", "1")))
SECRET = "correct horse battery"
REQUEUED = ("failed", "canceled", "stopped", "expired")


async def look_at_everything(queue: Queue, ids: list[str]) -> None:
    """What a client can read: each answers, or raises an error of aioq."""
    with suppress(AioqError):
        await Queue.all(queue.connection)

    with suppress(AioqError):
        await Directory(queue.connection).workers()

    for state in JobStatus:
        with suppress(AioqError):
            for job in await queue._registry(state).jobs():
                await look_at(job)

        with suppress(AioqError):
            await queue._registry(state).count()

    for job_id in ids:
        with suppress(AioqError):
            job = await queue.fetch_job(job_id)

            if job is not None:
                await look_at(job)


async def look_at(job: Job[Any]) -> None:
    for name, kind in inspect.getmembers(Job):
        if isinstance(kind, property):
            with suppress(AioqError):
                getattr(job, name)

    repr(job)

    for read in (job.results, job.latest_result, job.get_status, job.get_meta):
        with suppress(AioqError):
            await read()

    with suppress(AioqError, TimeoutError):
        await job.result(0.001)


def run_commands(cli: Cli, queue: str, ids: list[str], **environment: str) -> None:
    """What a user can ask for: each exits with 0 or 1, and never with a traceback."""
    own = {"AIOQ_REDIS_URL": cli.url} | environment
    words = [("info",), ("info", "--json"), ("info", "--raw", "--by-queue")]
    words += [("ls", "--queue", queue, "--status", str(state), "--json") for state in JobStatus]
    words += [("ls", "--queue", queue), ("ls", "--queue", queue, "--desc")]
    words += [("job", "show", each, "--queue", queue, "--json") for each in ids]
    words += [("job", "show", each, "--queue", queue) for each in ids[:4]]
    words += [("job", verb, *ids[:3], "--queue", queue) for verb in ("cancel", "stop")]
    words += [("requeue", "--queue", queue, "--all", "--from", state) for state in REQUEUED]
    words += [("requeue", "--queue", queue, *ids), ("job", "delete", *ids[:5], "--queue", queue), ("empty", queue)]

    for each in words:
        result = cli.call(*each, environment=own)  # it fails the test if anything but an exit comes out
        assert result.exit_code in (0, 1), (each, result.output)
        assert "Traceback" not in result.stderr, (each, result.stderr)


async def serves(queue: Queue) -> None:
    """A healthy job of the queue is run, by whichever worker is there."""
    job = await queue.enqueue(jobs.add, 20, 22)
    assert await job.result(10) == 42


@pytest.mark.chaos
@pytest.mark.parametrize("seed", SEEDS)
async def test_damaged_jobs_hold_nothing_else_up(
    server, bare, populate, start_worker, cli: Cli, seed: int
) -> None:
    vandal = Vandal(bare, seed)

    async with Queue("victim", server.url) as victim, Queue("other", server.url) as other:
        ids = await populate(victim)
        vandal.every_field()
        running = await start_worker("victim", "other", concurrency=5)
        await serves(victim)
        await serves(other)
        await populate_more(victim)
        vandal.every_field(0.5)
        await serves(victim)
        await serves(other)
        await look_at_everything(victim, ids)
        await asyncio.to_thread(run_commands, cli, "victim", ids)
        await serves(victim)
        assert not running.task.done()
        running.worker.request_stop()
        await asyncio.wait_for(running.task, 15)
        async with asyncio.timeout(20):
            await Worker(["victim", "other"], server.url).run(burst=True)


async def populate_more(queue: Queue) -> None:
    for _ in range(5):
        with suppress(AioqError):
            await queue.enqueue(jobs.sleep, 0.02, retry=2, ttl=60)


@pytest.mark.parametrize("seed", SEEDS)
async def test_keys_of_other_types_stop_one_queue_only(
    server, bare, populate, start_worker, cli: Cli, seed: int
) -> None:
    vandal = Vandal(bare, seed)

    async with Queue("victim", server.url) as victim, Queue("other", server.url) as other:
        ids = await populate(victim)
        running = await start_worker("victim", "other", concurrency=5)
        await serves(other)
        await populate_more(victim)
        vandal.every_type(spare=lambda key: b"{victim}" not in key)
        await serves(other)
        await look_at_everything(victim, ids)
        await asyncio.to_thread(run_commands, cli, "victim", ids)
        await serves(other)
        assert not running.task.done()

        for key in bare.scan_iter("aioq:{victim}:*"):
            bare.delete(key)

        await serves(victim)  # when what is in the way has gone, the worker goes on by itself
        running.worker.request_stop()
        await asyncio.wait_for(running.task, 20)


@pytest.mark.parametrize("seed", SEEDS)
async def test_a_burst_ends_whatever_is_in_the_way(server, bare, populate, seed: int) -> None:
    vandal = Vandal(bare, seed)

    async with Queue("victim", server.url) as victim, Queue("other", server.url) as other:
        await populate(victim)
        job = await other.enqueue(jobs.add, 20, 22)
        vandal.every_type(spare=lambda key: b"{victim}" not in key)

        async with asyncio.timeout(20):
            with suppress(AioqError):  # at the start, a worker refuses a queue that it cannot join
                await Worker(["victim", "other"], server.url).run(burst=True)

            await Worker("other", server.url).run(burst=True)

        assert await job.result(5) == 42


@pytest.mark.parametrize(
    "place", ["main", "front", "leases", "sessions", "scheduled", "expiring", "wake", "finished"]
)
async def test_each_key_of_another_type_alone(server, bare, start_worker, place: str) -> None:
    async with Queue("victim", server.url) as victim, Queue("other", server.url) as other:
        running = await start_worker("victim", "other")
        await serves(victim)
        key = victim.store.keys[place]
        bare.delete(key)
        bare.set(key, "in the way")

        with suppress(AioqError):
            await victim.enqueue(jobs.add, 1, 2)

        await serves(other)
        await serves(other)
        assert not running.task.done()
        bare.delete(key)
        await serves(victim)


# With a secret, nothing that somebody else has written is ever unpickled.


async def plant_everywhere(bare, server, populate, marker: Path, queue: Queue, **options: object) -> list[str]:
    ids = await populate(queue, **options)
    vandal = Vandal(bare, 0)
    vandal.plant(trap_call(marker))

    for channel in bare.pubsub_channels("aioq:*"):
        bare.publish(channel, b"%s finished %d\n%s" % (ids[0].encode(), len(trap(marker)), trap(marker)))

    return ids


async def read_all(queue: Queue, cli: Cli, ids: list[str], start_worker, secret: str = "") -> None:
    await look_at_everything(queue, ids)
    await start_worker("default", **({"secret": secret} if secret else {}))
    jobs_of = [job for job in await queue.fetch_many(ids) if job is not None]
    await eventually(lambda: all_ended(queue, [job.id for job in jobs_of if job.is_queued]))
    await look_at_everything(queue, ids)
    await asyncio.to_thread(run_commands, cli, "default", ids, **({"AIOQ_SECRET": secret} if secret else {}))
    await look_at_everything(queue, ids)


async def all_ended(queue: Queue, ids: list[str]) -> bool:
    return all(job is None or job.status.is_final for job in await queue.fetch_many(ids))


async def test_with_a_secret_no_planted_code_is_run(server, bare, populate, start_worker, cli, tmp_path) -> None:
    marker = tmp_path / "marker"

    async with Queue("default", server.url, secret=SECRET) as queue:
        ids = await plant_everywhere(bare, server, populate, marker, queue, secret=SECRET)
        await read_all(queue, cli, ids, start_worker, SECRET)
        await serves(queue)

    assert not marker.exists()


async def test_without_one_it_is(server, bare, populate, start_worker, cli, tmp_path) -> None:
    """The traps are good ones, so the test above can fail."""
    marker = tmp_path / "marker"

    async with Queue("default", server.url) as queue:
        ids = await plant_everywhere(bare, server, populate, marker, queue)
        await read_all(queue, cli, ids, start_worker)

    assert marker.exists()


async def test_a_random_server_with_a_secret(server, bare, populate, start_worker, cli, tmp_path) -> None:
    marker = tmp_path / "marker"

    async with Queue("default", server.url, secret=SECRET) as queue:
        ids = await plant_everywhere(bare, server, populate, marker, queue, secret=SECRET)
        Vandal(bare, 7).every_field(0.5)
        await start_worker("default", secret=SECRET)
        await serves(queue)
        await look_at_everything(queue, ids)
        await asyncio.to_thread(run_commands, cli, "default", ids, AIOQ_SECRET=SECRET)

    assert not marker.exists()


@pytest.mark.parametrize("seed", SEEDS)
async def test_the_doctor_repairs_what_the_scripts_live_with(server, bare, populate, seed: int) -> None:
    vandal = Vandal(bare, seed)

    async with Queue("victim", server.url) as victim:
        await populate(victim)

        for _ in range(2):
            vandal.every_field(0.7)
            await examine(victim)
            await Worker("victim", server.url).run(burst=True)

        await examine(victim, repair=True)
        # What is left is not aioq's, or was wrong because of something that was repaired after it.
        await examine(victim, repair=True)
        left = [each for each in await examine(victim) if each.kind != "unknown-key"]
        assert left == []
        await Worker("victim", server.url).run(burst=True)
        assert [each for each in await examine(victim) if each.kind != "unknown-key"] == []
