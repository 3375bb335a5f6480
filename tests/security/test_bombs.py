"""Somebody who knows how aioq stores values puts code into each of them: with a secret, no reader runs it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import redis

from aioq import AioqError, Job, JobStatus, Queue, Worker
from aioq.doctor import examine
from aioq.values.signature import LENGTH, SIGNED, Keyring, Signer
from tests import jobs
from tests.cli.tools import Cli
from tests.conftest import Server
from tests.security.plant import trap, trap_call
from tests.security.test_hostile_writer import SECRET, look_at, serves

#: What is serialised of a job; of these only opts is never a pickle.
FIELDS = ("data", "result", "meta.a", "meta.new", "opts")

Subject = tuple[bytes, bytes, bytes, bytes]


def forgeries(bomb: bytes, genuine: bytes, queue: Queue, subject: Subject) -> dict[str, bytes]:
    """The bomb in all the forms in which somebody without the secret can write it."""
    place = queue.store.keys.job

    return {
        "unsigned": bomb,
        "without a tag": bomb[1:],
        "with a made-up signature": SIGNED + bytes(LENGTH) + bomb,
        "with a cut-off signature": SIGNED + bomb,
        "signed with another secret": Keyring(["another secret entirely"]).signer(place).sign(subject, bomb),
        "signed with no key": Signer([b""], place).sign(subject, bomb),
        "behind a genuine signature": genuine[: 1 + LENGTH] + bomb,
        "behind a genuine value": genuine + bomb,
        "signed twice": SIGNED + bytes(LENGTH) + genuine[: 1 + LENGTH] + bomb,
    }


async def plant(queue: Queue, raw: redis.Redis, field: str, place: Path, *only: str) -> dict[str, list[Job[Any]]]:
    """For each forgery a finished, a failed and a queued job that have it in this field."""
    bombed: dict[str, list[Job[Any]]] = {}
    kinds = only or tuple(forgeries(b"", b"", queue, (b"", b"", b"", b"")))
    ended = [
        await queue.enqueue(func, 1, *more, meta={"a": 1}, failure_ttl=60, description="d")
        for _ in kinds
        for func, more in ((jobs.add, (2,)), (jobs.div_by_zero, ()))
    ]
    await Worker(queue.name, queue.connection).run(burst=True)

    for number, kind in enumerate(kinds):
        waiting = await queue.enqueue(jobs.add, 1, 2, meta={"a": 1}, job_timeout=5)
        bombed[kind] = [*ended[2 * number : 2 * number + 2], waiting]

        for job in bombed[kind]:
            key = queue.store.keys.job + job.id.encode()
            stored: dict[bytes, bytes] = raw.hgetall(key)
            bomb = (trap_call if field == "data" else trap)(place / f"{kind} {job.func_name}")
            subject = (job.id.encode(), field.encode(), stored[b"func"], stored.get(b"opts", b""))
            genuine = stored.get(field.encode(), stored[b"data"])
            raw.hset(key, field, forgeries(bomb, genuine, queue, subject)[kind])

    return bombed


async def change_meta(job: Job[Any]) -> None:
    with suppress(AioqError):
        await job.refresh()
        job.meta["more"] = 1
        await job.save_meta()


def readers(queue: Queue, cli: Cli, job: Job[Any]) -> dict[str, Callable[[], Awaitable[object]]]:
    """All that reads one job. What is answered is another test's."""

    async def result() -> None:
        with suppress(AioqError):
            found = await Job.fetch(job.id, queue)

            if found.is_finished or found.is_failed:
                await found.result(5)

    async def handle() -> None:
        with suppress(AioqError):
            await look_at(await Job.fetch(job.id, queue))

    def command(*words: str) -> Callable[[], Awaitable[object]]:
        return lambda: asyncio.to_thread(cli.call, *words, "--queue", queue.name, environment=cli.environment)

    return {
        "job.result()": result,
        "a handle": handle,
        "aioq job show": command("job", "show", job.id),
        "job.save_meta()": lambda: change_meta(job),  # it may write over what was planted
    }


def readers_of_all(queue: Queue, cli: Cli) -> dict[str, Callable[[], Awaitable[object]]]:
    """What reads many jobs, in the order in which they may follow each other."""

    async def requeue_all() -> None:
        for job_id in await queue.failed_job_registry.job_ids():
            await queue.failed_job_registry.requeue(job_id)

        await queue.finished_job_registry.jobs()

    async def work() -> None:
        await Worker(queue.name, queue.connection).run(burst=True)

    async def command_lines() -> None:
        for words in (
            *(("ls", "--queue", queue.name, "--status", str(state), "--json") for state in JobStatus),
            ("requeue", "--queue", queue.name, "--all"),
            ("info",),
            ("doctor",),
        ):
            await asyncio.to_thread(cli.call, *words, environment=cli.environment)

    return {
        "the doctor": lambda: examine(queue),
        "a worker": work,
        "registry.requeue": requeue_all,
        "a worker, again": work,
        "commands": command_lines,
        "the doctor's repair": lambda: examine(queue, repair=True),
        "a worker, in the end": work,
    }


async def go_through(queue: Queue, cli: Cli, bombed: dict[str, list[Job[Any]]], place: Path) -> list[str]:
    """Who ran code, and in which form it came."""
    found = []

    def look(who: str) -> None:
        for marker in sorted(place.iterdir()):
            found.append(f"{who}: {marker.name}")
            marker.rmdir()

    for kind_of in bombed.values():
        for job in kind_of:
            for who, read in readers(queue, cli, job).items():
                await read()
                look(who)

    for who, read in readers_of_all(queue, cli).items():
        await read()
        look(who)

    return found


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Where bombs leave their marks."""
    made = tmp_path / "marks"
    made.mkdir()
    return made


@pytest.mark.chaos
@pytest.mark.parametrize("field", FIELDS)
async def test_with_a_secret_no_reader_runs_what_somebody_has_planted(
    field: str, server: Server, bare: redis.Redis, environment: dict[str, str], place: Path
) -> None:
    async with Queue("default", server.url, secret=SECRET) as queue:
        bombed = await plant(queue, bare, field, place)
        cli = Cli(server.url, environment | {"AIOQ_SECRET": SECRET})
        assert await go_through(queue, cli, bombed, place) == []
        running = asyncio.create_task(Worker("default", server.url, secret=SECRET).run(max_jobs=1))
        await serves(queue)
        await running


@pytest.mark.parametrize(
    "field", [pytest.param(each, marks=[pytest.mark.chaos] * (place > 1)) for place, each in enumerate(FIELDS)]
)
async def test_without_a_secret_these_readers_do(
    field: str, server: Server, bare: redis.Redis, environment: dict[str, str], place: Path
) -> None:
    """The bombs are good ones, and those who read a field are those that are gone through."""
    async with Queue("default", server.url) as queue:
        bombed = await plant(queue, bare, field, place, "unsigned")
        found = await go_through(queue, Cli(server.url, environment), bombed, place)

    who = {each.partition(":")[0] for each in found}
    shown = {"a handle", "aioq job show"}
    expected = {
        "data": shown | {"a worker"},
        "result": shown | {"job.result()"},
        "meta.a": shown | {"job.save_meta()"},
        "meta.new": shown | {"job.save_meta()"},
        "opts": set(),
    }[field]
    assert expected <= who
    assert not who & {"the doctor", "registry.requeue", "the doctor's repair"}
    assert bool(found) == bool(expected)
