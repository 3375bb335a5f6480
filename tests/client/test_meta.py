"""S2: arbitrary data on jobs (research/rq.md 2.2)."""

from __future__ import annotations

import asyncio
import pickle
import socket
from datetime import UTC, datetime
from typing import Any

import pytest
import redis

from aioq import JobFailed, NoSuchJobError, Queue, Retry, get_current_job
from aioq.errors import InvalidJobOperation, PayloadTooLarge, SerializationError
from aioq.values.signed import Unreadable
from tests import jobs
from tests.client.work import gates, hold, notes
from tests.conftest import Server
from tests.tools import eventually


async def handled_by(key: str) -> None:
    job = get_current_job()
    job.meta["handled_by"] = socket.gethostname()
    await job.save_meta()
    notes[key].append("saved")
    await gates[key].wait()


async def test_what_a_running_job_saves_is_seen_by_others_before_it_ends(
    queue: Queue, start_worker, key: str
) -> None:  # B01, B02
    await start_worker()
    job = await queue.enqueue(handled_by, key)
    await eventually(lambda: notes[key])

    assert (await queue.fetch_job(job.id)).meta == {"handled_by": socket.gethostname()}
    assert job.meta == {}  # a snapshot
    assert await job.get_meta() == {"handled_by": socket.gethostname()}
    assert job.meta == {"handled_by": socket.gethostname()}
    assert job.is_started

    gates[key].set()
    await job.result(5)


def handled_by_sync() -> str:
    job = get_current_job()
    job.meta["handled_by"] = "a thread"
    job.save_meta_sync()
    return job.meta["handled_by"]


async def test_a_plain_function_saves_from_its_thread(queue: Queue, start_worker) -> None:  # B01
    await start_worker()
    job = await queue.enqueue(handled_by_sync)
    assert await job.result(5) == "a thread"
    assert await job.get_meta() == {"handled_by": "a thread"}


async def save_sync_on_the_loop() -> str:
    try:
        get_current_job().save_meta_sync()
    except RuntimeError as error:
        return str(error)
    return "saved"


async def test_save_meta_sync_is_refused_where_it_would_block(queue: Queue, start_worker) -> None:
    await start_worker()
    job = await queue.enqueue(save_sync_on_the_loop)
    assert "await job.save_meta()" in await job.result(5)
    with pytest.raises(RuntimeError, match="inside a job only") as refused:
        job.save_meta_sync()
    assert "the Job of aioq.sync" in str(refused.value)


async def add_to_meta(changes: dict[str, Any], save: bool = True, fails: str = "") -> dict[str, Any]:
    job = get_current_job()
    before = dict(job.meta)
    job.meta.update(changes)
    if save:
        await job.save_meta()
    if fails == "always" or (fails == "first" and job.attempt == 1):
        raise ValueError("failed on purpose")
    return before


async def test_meta_of_the_enqueue_is_kept_beside_what_the_job_saves(queue: Queue, start_worker) -> None:  # B03
    await start_worker()
    job = await queue.enqueue(add_to_meta, {"b": 2}, meta={"a": 1})
    assert job.meta == {"a": 1}
    assert await job.result(5) == {"a": 1}
    assert await job.get_meta() == {"a": 1, "b": 2}


async def test_what_is_not_saved_is_lost_when_the_job_succeeds(queue: Queue, start_worker) -> None:  # B04
    await start_worker()
    job = await queue.enqueue(add_to_meta, {"b": 2}, save=False, meta={"a": 1})
    await job.result(5)
    assert await job.get_meta() == {"a": 1}


async def test_what_is_not_saved_is_lost_when_the_job_fails(queue: Queue, start_worker) -> None:  # B05
    await start_worker()
    job = await queue.enqueue(add_to_meta, {"b": 2}, save=False, fails="always", meta={"a": 1})
    with pytest.raises(JobFailed):
        await job.result(5)
    assert await job.get_meta() == {"a": 1}


async def test_what_is_not_saved_is_lost_when_the_job_is_retried(queue: Queue, start_worker) -> None:  # B06
    await start_worker()
    job = await queue.enqueue(add_to_meta, {"b": 2}, save=False, fails="first", retry=1, meta={"a": 1})
    assert await job.result(5) == {"a": 1}
    assert await job.get_meta() == {"a": 1}


async def test_what_is_saved_stays_when_the_job_fails(queue: Queue, start_worker) -> None:  # B08
    await start_worker()
    job = await queue.enqueue(add_to_meta, {"b": 2}, fails="always", meta={"a": 1})
    with pytest.raises(JobFailed):
        await job.result(5)
    assert await job.get_meta() == {"a": 1, "b": 2}


async def test_what_is_saved_is_seen_by_the_next_attempt(queue: Queue, start_worker) -> None:  # B09
    await start_worker()
    job = await queue.enqueue(add_to_meta, {"b": 2}, fails="first", retry=Retry(1, interval=0.05))
    assert await job.result(5) == {"b": 2}


async def test_two_holders_do_not_overwrite_each_other(queue: Queue) -> None:  # B10
    job = await queue.enqueue(jobs.noop)
    first, second = await queue.fetch_job(job.id), await queue.fetch_job(job.id)
    first.meta["a"] = 1
    second.meta["b"] = 2
    await asyncio.gather(first.save_meta(), second.save_meta())
    assert await job.get_meta() == {"a": 1, "b": 2}


async def test_a_value_that_was_not_changed_is_not_saved_whatever_its_bytes(
    queue: Queue, raw: redis.Redis
) -> None:  # B10
    job = await queue.enqueue(jobs.noop)
    # Pickles of one value differ between versions, and with the order of a set.
    raw.hset(f"aioq:{{default}}:job:{job.id}", "meta.a", b"p" + pickle.dumps(["x"], protocol=2))
    first, second = await queue.fetch_job(job.id), await queue.fetch_job(job.id)
    second.meta["a"].append("y")
    await second.save_meta()
    first.meta["b"] = 1
    await first.save_meta()
    assert await job.get_meta() == {"a": ["x", "y"], "b": 1}


async def test_for_one_name_the_last_one_wins(queue: Queue) -> None:  # B10
    job = await queue.enqueue(jobs.noop, meta={"a": 0, "b": 0})
    first, second = await queue.fetch_job(job.id), await queue.fetch_job(job.id)
    first.meta["a"] = 1
    second.meta["a"] = 2
    await first.save_meta()
    await second.save_meta()
    assert await job.get_meta() == {"a": 2, "b": 0}


async def test_a_new_dict_replaces_all_values(queue: Queue) -> None:  # B10
    job = await queue.enqueue(jobs.noop, meta={"a": 1, "b": 2})
    job.meta = {"c": 3}
    await job.save_meta()
    assert await (await queue.fetch_job(job.id)).get_meta() == {"c": 3}


async def test_a_value_that_was_changed_in_place_is_saved(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop, meta={"list": [1]})
    job.meta["list"].append(2)
    await job.save_meta()
    assert await job.get_meta() == {"list": [1, 2]}


async def test_saving_twice_saves_what_changed_since(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop)
    for step in range(3):
        job.meta["step"] = step
        await job.save_meta()
        assert (await queue.fetch_job(job.id)).meta == {"step": step}
    del job.meta["step"]
    await job.save_meta()
    assert (await queue.fetch_job(job.id)).meta == {}


async def test_a_cleared_meta_is_empty(queue: Queue) -> None:  # B12
    job = await queue.enqueue(jobs.noop, meta={"a": 1, "b": 2})
    job.meta.clear()
    await job.save_meta()
    assert await job.get_meta() == {}


async def test_an_empty_meta_can_be_saved(queue: Queue) -> None:  # B13
    job = await queue.enqueue(jobs.noop, meta={})
    assert job.meta == {}
    await job.save_meta()
    assert await job.get_meta() == {}


async def test_any_value_that_can_be_pickled_comes_back(queue: Queue) -> None:
    values = {
        "none": None, "empty": "", "bytes": b"\x00\xff", "set": {1, 2}, "moment": datetime.now(UTC),
        "nested": {"a": [1, (2, 3)]}, "": "no name", "ä b:c": "any name", "surrogate": "\ud800",
    }  # fmt: skip
    job = await queue.enqueue(jobs.noop, meta=values)
    assert (await queue.fetch_job(job.id)).meta == values


async def test_a_value_that_cannot_be_serialised_is_refused_at_enqueue(queue: Queue, raw: redis.Redis) -> None:
    with pytest.raises(SerializationError, match="meta value 'bad'"):  # B14
        await queue.enqueue(jobs.noop, meta={"good": 1, "bad": lambda: 1})
    assert raw.keys() == []


async def test_a_value_that_cannot_be_serialised_is_refused_by_save_meta(queue: Queue) -> None:  # B14
    job = await queue.enqueue(jobs.noop, meta={"old": 1})
    job.meta |= {"good": 1, "bad": lambda: 1}
    with pytest.raises(SerializationError, match="meta value 'bad'"):
        await job.save_meta()
    assert await job.get_meta() == {"old": 1}


async def test_with_json_a_set_is_refused(server: Server) -> None:  # B14
    async with Queue("default", server.url, serializer="json") as queue:
        with pytest.raises(SerializationError, match="json"):
            await queue.enqueue(jobs.noop, meta={"a": {1}})
        job = await queue.enqueue(jobs.noop, meta={"a": [1]})
        job.meta["b"] = {1}
        with pytest.raises(SerializationError, match="json"):
            await job.save_meta()
        assert await job.get_meta() == {"a": [1]}


@pytest.mark.parametrize("meta", [[("a", 1)], "a", 5, {1: 2}, {"\ud800": 1}])
async def test_a_meta_that_is_no_mapping_of_texts_is_refused(queue: Queue, raw: redis.Redis, meta: Any) -> None:
    with pytest.raises((TypeError, ValueError), match="meta"):
        await queue.enqueue(jobs.noop, meta=meta)
    assert raw.keys() == []


@pytest.mark.parametrize("name", [1, None, "\ud800"])
async def test_save_meta_refuses_a_name_that_is_no_text(queue: Queue, name: Any) -> None:
    job = await queue.enqueue(jobs.noop, meta={"a": 1})
    job.meta[name] = 2
    with pytest.raises((TypeError, ValueError), match="meta key"):
        await job.save_meta()
    assert await job.get_meta() == {"a": 1}


async def test_save_meta_after_the_delete_brings_nothing_back(queue: Queue, raw: redis.Redis) -> None:  # B15
    job = await queue.enqueue(jobs.noop, meta={"a": 1})
    other = await queue.fetch_job(job.id)
    await job.delete()
    other.meta["b"] = 2
    with pytest.raises(NoSuchJobError):
        await other.save_meta()
    assert not raw.keys("*:job:*")
    with pytest.raises(NoSuchJobError):
        await other.get_meta()


async def test_save_meta_after_the_retention_brings_nothing_back(queue: Queue, raw: redis.Redis, burst) -> None:
    job = await queue.enqueue(jobs.noop, result_ttl=0.05)  # B15
    await burst()
    await eventually(lambda: not raw.keys("*:job:*"))
    job.meta["a"] = 1
    with pytest.raises(NoSuchJobError):
        await job.save_meta()
    assert not raw.keys("*:job:*")


async def test_save_meta_leaves_the_retention_as_it_is(queue: Queue, raw: redis.Redis, burst) -> None:  # B16
    job = await queue.enqueue(jobs.noop, result_ttl=43)
    await burst()
    job.meta["a"] = 1
    before = raw.pexpiretime(f"aioq:{{default}}:job:{job.id}")
    await job.save_meta()
    assert raw.pexpiretime(f"aioq:{{default}}:job:{job.id}") == before > 0
    assert raw.keys("*meta*") == []


async def test_meta_is_kept_over_a_requeue(queue: Queue, burst) -> None:  # B17
    job = await queue.enqueue(add_to_meta, {"b": 2}, fails="always", meta={"a": 1})
    await burst()
    await queue.failed_job_registry.requeue(job)
    assert await job.get_meta() == {"a": 1, "b": 2}


async def test_a_value_that_cannot_be_read_here_is_shown_as_such_and_kept(queue: Queue, raw: redis.Redis) -> None:
    job = await queue.enqueue(jobs.noop, meta={"good": 1})  # B19
    name = f"aioq:{{default}}:job:{job.id}"
    foreign = {"meta.tag": "?\x01\x02", "meta.pickle": "pbroken", "meta.code": "pcno.such.module\nThing\n."}
    raw.hset(name, mapping=foreign)

    meta = await job.get_meta()
    assert meta["good"] == 1
    assert all(isinstance(meta[each], Unreadable) for each in ("tag", "pickle", "code"))
    assert "no.such" in meta["code"].reason or "No module" in meta["code"].reason

    job.meta["good"] = 2
    await job.save_meta()
    assert {field: raw.hget(name, field) for field in foreign} == foreign
    assert (await job.get_meta())["good"] == 2


async def test_a_small_change_does_not_write_a_large_value_again(queue: Queue, raw: redis.Redis) -> None:  # B20
    job = await queue.enqueue(jobs.noop, meta={"large": b"x" * 1_000_000, "step": 0})
    before = raw.info("stats")["total_net_input_bytes"]
    for step in range(1, 101):
        job.meta["step"] = step
        await job.save_meta()
    assert raw.info("stats")["total_net_input_bytes"] - before < 100_000
    assert (await job.get_meta())["step"] == 100


async def test_more_than_the_limit_is_refused(queue: Queue) -> None:  # B20
    with pytest.raises(PayloadTooLarge, match="1048576"):
        await queue.enqueue(jobs.noop, meta={"a": b"x" * 1_100_000})
    job = await queue.enqueue(jobs.noop, meta={"a": 1})
    job.meta["a"] = b"x" * 1_100_000
    with pytest.raises(PayloadTooLarge, match="1048576"):
        await job.save_meta()
    assert await job.get_meta() == {"a": 1}


async def test_a_run_that_has_lost_its_claim_saves_nothing(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(save_after_the_gate, key)
    await eventually(lambda: notes[key])
    await job.stop()
    await eventually(lambda: len(notes[key]) == 2)
    assert notes[key][1] == "InvalidJobOperation"
    assert await job.get_meta() == {}


async def save_after_the_gate(key: str) -> None:
    notes[key].append("begun")
    try:
        await gates[key].wait()
    except asyncio.CancelledError:
        job = get_current_job()
        job.meta["late"] = True
        try:
            await job.save_meta()
        except InvalidJobOperation as error:
            notes[key].append(type(error).__name__)
        raise


async def test_others_may_save_while_the_job_runs(queue: Queue, start_worker, key: str) -> None:
    await start_worker()
    job = await queue.enqueue(hold, key)
    await eventually(lambda: notes[key])
    job.meta["note"] = "from outside"
    await job.save_meta()
    gates[key].set()
    await job.result(5)
    assert await job.get_meta() == {"note": "from outside"}
