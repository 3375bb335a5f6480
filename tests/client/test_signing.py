"""What is signed is read only where it belongs; what is not signed is never read."""

from __future__ import annotations

import asyncio
import logging
import traceback
from pathlib import Path

import pytest
import redis

from aioq import Connection, InvalidInput, Job, JobFailed, Queue, Retry, Worker, get_current_job
from aioq.errors import BadSignature
from aioq.values.record import JobRecord
from aioq.values.signature import Signer
from aioq.values.signed import Unreadable
from tests import jobs
from tests.conftest import Server
from tests.security.plant import trap, trap_call
from tests.tools import eventually

SECRET, OTHER = "correct horse battery", "another secret entirely"
KEY = "aioq:{default}:job:"


@pytest.fixture
async def signed(server: Server):
    async with Queue("default", server.url, secret=SECRET) as queue:
        yield queue


@pytest.fixture
def marker(tmp_path: Path) -> Path:
    return tmp_path / "somebody-was-here"


async def set_meta() -> dict[str, int]:
    job = get_current_job()
    job.meta["b"] = 2
    await job.save_meta()
    return dict(job.meta)


async def failure(queue: Queue, job_id: str) -> str:
    job = await queue.fetch_job(job_id)
    assert job is not None
    assert job.is_failed, job.status
    return job.exc_info.splitlines()[-1]


@pytest.mark.parametrize("serializer", ["pickle", "json"])
async def test_signed_jobs_run_and_their_results_are_read(server: Server, start_worker, serializer: str) -> None:
    await start_worker(secret=SECRET)

    async with Queue("default", server.url, secret=SECRET, serializer=serializer) as queue:
        bare = await queue.enqueue(jobs.noop)
        plain = await queue.enqueue(jobs.add, 1, 2)
        full = await queue.enqueue(set_meta, meta={"a": 1}, retry=3, job_timeout=5, ttl=60, job_id="mine")
        later = await queue.enqueue_in(0.01, jobs.add, x=3, y=4)
        created = await queue.enqueue_job(Job.create(jobs.add, (5, 6), serializer=serializer))
        many = await queue.enqueue_many([Queue.prepare_data(jobs.add, (n, n)) for n in range(3)])

        assert await bare.result(10) is None
        assert [await job.result(10) for job in (plain, later, created, *many)] == [3, 7, 11, 0, 2, 4]
        assert await full.result(10) == {"a": 1, "b": 2}
        assert (await full.get_meta(), full.args, later.kwargs) == ({"a": 1, "b": 2}, (), {"x": 3, "y": 4})
        assert (await plain.latest_result()).return_value == 3
        assert (await queue.fetch_job(plain.id)).args == (1, 2)


async def test_a_job_that_is_requeued_stays_signed(signed: Queue, burst) -> None:
    job = await signed.enqueue(jobs.div_by_zero, 1)
    await burst(secret=SECRET)
    await job.requeue()
    await burst(secret=SECRET)
    assert (await failure(signed, job.id)).startswith("ZeroDivisionError")


async def test_what_is_not_signed_is_refused_unread(signed: Queue, queue: Queue, burst, raw, marker: Path) -> None:
    unsigned = await queue.enqueue(jobs.add, 1, 2, retry=Retry(3))
    bare = await queue.enqueue(jobs.noop)
    trapped = await signed.enqueue(jobs.add, 1, 2)
    raw.hset(KEY + trapped.id, "data", trap_call(marker))
    assert await burst(secret=SECRET) == 3

    for job in (unsigned, bare, trapped):
        assert f"BadSignature: the call of job {job.id} is not signed" in await failure(signed, job.id)

    assert not marker.exists()
    found = await signed.fetch_job(trapped.id)
    assert found.description == "tests.jobs.add(…)"

    with pytest.raises(BadSignature, match="secret"):
        _ = found.args

    assert not marker.exists()


async def test_without_a_secret_signed_jobs_say_that_one_is_needed(
    signed: Queue, queue: Queue, burst, start_worker
) -> None:
    job = await signed.enqueue(jobs.add, 1, 2)
    await burst()
    assert ": signed, and no secret is set here" in await failure(queue, job.id)
    await job.requeue()
    await start_worker(secret=SECRET)
    assert await job.result(10) == 3
    found = await queue.fetch_job(job.id)

    for read in (lambda: found.result(10), found.return_value):
        with pytest.raises(BadSignature, match="no secret is set here"):
            await read()


async def test_a_job_of_another_secret_is_refused(signed: Queue, burst) -> None:
    job = await signed.enqueue(jobs.add, 1, 2, retry=3)
    await burst(secret=OTHER)
    assert "BadSignature: the call of job" in await failure(signed, job.id)


async def test_secrets_change_one_process_after_the_other(server: Server, signed: Queue, start_worker) -> None:
    waiting = await signed.enqueue(jobs.add, 1, 2)
    await start_worker(secret=[OTHER, SECRET])

    async with Queue("default", server.url, secret=f"{OTHER},{SECRET}") as new:
        assert await (await new.fetch_job(waiting.id)).result(10) == 3
        assert await (await new.enqueue(jobs.add, 3, 4)).result(10) == 7


# What an attacker who can write to the server may try: every one of these was valid where it came from.


@pytest.mark.parametrize("field", ["func", "opts", "data"])
async def test_a_call_is_bound_to_job_function_and_options(signed: Queue, burst, raw, field: str) -> None:
    victim = await signed.enqueue(jobs.add, 1, 2, job_timeout=5)
    other = await signed.enqueue(jobs.add_sync, 1, 2, job_timeout=6)
    raw.hset(KEY + victim.id, field, redis_value(raw, other.id, field))
    await burst(secret=SECRET)
    assert "BadSignature" in await failure(signed, victim.id)


async def test_all_of_a_job_is_worth_nothing_under_another_id_or_in_another_queue(
    signed: Queue, server: Server, burst, raw
) -> None:
    await signed.enqueue(jobs.add, 1, 2, job_id="source")
    await signed.enqueue(jobs.add, 1, 2, job_id="target")

    async with Queue("elsewhere", server.url, secret=SECRET) as elsewhere:
        await elsewhere.enqueue(jobs.add, 1, 2, job_id="source")

        for key in (f"{KEY}target", "aioq:{elsewhere}:job:source"):
            raw.hset(key, "data", redis_value(raw, "source", "data"))

        await burst("default", "elsewhere", secret=SECRET)
        assert "BadSignature" in await failure(signed, "target")
        assert "BadSignature" in await failure(elsewhere, "source")
        assert (await signed.fetch_job("source")).is_finished


async def test_a_function_without_arguments_cannot_be_called_by_its_name(signed: Queue, burst, raw) -> None:
    job = await signed.enqueue(jobs.noop)
    raw.hset(KEY + job.id, "func", "tests.jobs.current_id")
    raw.hdel(KEY + job.id, "data")
    await burst(secret=SECRET)
    assert "BadSignature" in await failure(signed, job.id)


async def test_a_refused_function_is_not_even_imported(signed: Queue, burst, raw) -> None:
    job = await signed.enqueue(jobs.noop)
    raw.hset(KEY + job.id, "func", "tests.worker.exiting_module.f")
    await burst(secret=SECRET)
    assert "BadSignature" in await failure(signed, job.id)


async def test_a_result_is_bound_to_its_job(signed: Queue, burst, raw, marker: Path) -> None:
    first, second, third = [await signed.enqueue(jobs.add, n, n) for n in range(3)]
    await burst(secret=SECRET)
    raw.hset(KEY + first.id, "result", redis_value(raw, second.id, "result"))
    raw.hset(KEY + third.id, "result", trap(marker))

    for job in (first, third):
        with pytest.raises(BadSignature, match=f"the result of job {job.id}"):
            await job.result(10)

        for read in (job.return_value, job.latest_result, job.results):
            with pytest.raises(BadSignature):
                await read()

    assert await second.result(10) == 2
    assert not marker.exists()


async def test_a_message_that_somebody_else_publishes_is_not_read(
    signed: Queue, raw, marker: Path, start_worker
) -> None:
    job = await signed.enqueue(jobs.add, 1, 2)
    waiting = asyncio.create_task(job.result(10))
    channel = await eventually(lambda: raw.hget(KEY + job.id, "after"))
    value = trap(marker)
    raw.publish(channel.removeprefix("@"), f"{job.id} finished {len(value)}\n".encode() + value)

    await start_worker(secret=SECRET)
    assert await waiting == 3
    assert not marker.exists()


async def test_a_meta_value_is_bound_to_its_job_and_name(signed: Queue, raw, marker: Path) -> None:
    job = await signed.enqueue(jobs.noop, meta={"mine": 1, "b": 2})
    raw.hset(KEY + job.id, "meta.mine", trap(marker))
    raw.hset(KEY + job.id, "meta.c", redis_value(raw, job.id, "meta.b"))
    meta = await job.get_meta()
    assert (meta["b"], type(meta["mine"]), type(meta["c"])) == (2, Unreadable, Unreadable)
    assert "not signed" in meta["mine"].reason
    meta["b"] = 3
    await job.save_meta()
    assert (await job.get_meta())["b"] == 3
    assert not marker.exists()


def redis_value(raw: redis.Redis, job_id: str, field: str) -> bytes:
    with redis.Redis(
        connection_pool=redis.ConnectionPool(
            connection_class=raw.connection_pool.connection_class,
            **raw.connection_pool.connection_kwargs | {"decode_responses": False},
        )
    ) as client:
        value = client.hget(KEY + job_id, field)
        assert value is not None
        return value


# Where secrets come from, and where they never go


async def test_the_environment_s_secret_holds_for_all(server: Server, monkeypatch, start_worker, raw) -> None:
    monkeypatch.setenv("AIOQ_SECRET", f"{SECRET},{OTHER}")
    await start_worker()

    async with Queue("default", server.url) as queue, Queue("default", server.url, secret=OTHER) as other:
        assert await (await queue.enqueue(jobs.add, 1, 2)).result(10) == 3
        job = await other.enqueue(jobs.add, 1, 2)
        assert redis_value(raw, job.id, "data").startswith(b"s")
        assert await eventually(lambda: raw.hget(KEY + job.id, "status") == "finished")


async def test_a_shared_connection_brings_its_own_secret(server: Server) -> None:
    shared = Connection(server.url, secret=SECRET)

    for make in (Queue, Worker):
        assert make("default", shared) is not None

        with pytest.raises(InvalidInput, match="a Connection that is shared brings its own"):
            make("default", shared, secret=SECRET)

    await shared.aclose()


async def test_secrets_are_not_in_representations_errors_or_logs(
    server: Server, signed: Queue, burst, caplog: pytest.LogCaptureFixture, raw
) -> None:
    caplog.set_level(logging.DEBUG)
    job = await signed.enqueue(jobs.add, 1, 2)
    raw.hset(KEY + job.id, "func", "tests.jobs.add_sync")
    worker = Worker("default", server.url, secret=SECRET)
    await worker.run(burst=True)
    shown = [repr(each) for each in (signed, worker, job, signed.connection, signed.store, job.record.signer)]

    try:
        await job.result(10)
    except JobFailed as error:
        shown += traceback.format_exception(error)

    shown += [record.getMessage() for record in caplog.records] + [str(vars(signed)), str(vars(worker))]
    assert SECRET not in "".join(shown)


async def test_without_a_secret_nothing_is_computed(queue: Queue, start_worker, monkeypatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("there is no secret")

    for name in ("sign", "open", "_signature"):
        monkeypatch.setattr(Signer, name, refuse)

    for name in ("verify", "sealed"):
        monkeypatch.setattr(JobRecord, name, refuse)

    await start_worker()
    job = await queue.enqueue(set_meta, meta={"a": 1})
    assert await job.result(10) == {"a": 1, "b": 2}
    assert await job.get_meta() == {"a": 1, "b": 2}
