"""What lists and many queues show at once: short, true at the moment, and in few round trips."""

from __future__ import annotations

from aioq import JobStatus, Queue
from aioq.store.lists import GLANCE_BYTES
from aioq.store.sight import look_at, runs_of
from tests import jobs
from tests.tools import eventually


async def test_a_glance_is_what_a_list_shows_and_leaves_out_what_is_long(queue: Queue, raw) -> None:
    short = await queue.enqueue(jobs.add, 1, 2, meta={"a": 1})
    long = await queue.enqueue(jobs.add, "x" * GLANCE_BYTES, 2)
    late = await queue.enqueue(jobs.noop, ttl=0.001)
    await eventually(lambda: has_expired(late))
    raw.hset(
        f"aioq:{{default}}:job:{long.id}", "error", '{"type": "E", "message": "m"}\n' + "x" * 10 * GLANCE_BYTES
    )
    raw.set("aioq:{default}:job:odd", "no job")
    found = await queue.store.lists.glance([short.id, long.id, late.id, "none", "odd"])
    assert found[3:] == [None, None]
    assert found[0].fields[b"data"] == short.record.fields[b"data"]
    assert b"meta.a" not in found[0].fields
    assert (b"data" in found[1].fields, found[1].fields[b"cut"]) == (False, b"1")
    assert found[1].failure.line == "E: m"
    assert (found[2].status, found[2].ended_at) == (JobStatus.EXPIRED, late.expires_at)
    raw.delete("aioq:{default}:job:odd")


async def has_expired(job) -> bool:
    return await job.get_status() == JobStatus.EXPIRED


async def test_many_queues_are_seen_with_what_is_next_and_what_runs(queue: Queue) -> None:
    async with Queue("other", connection=queue.connection) as other:
        first = await queue.enqueue(jobs.noop)
        await queue.enqueue(jobs.noop)
        due = await other.enqueue_in(60, jobs.noop)
        await other.pause(600)
        run = await queue.enqueue(jobs.noop, at_front=True)
        await queue.store.duty.join("w", 60_000)
        await queue.connection.call(queue.store.duty.claim_command("w", 1))
        one, two, empty = await look_at(queue.connection, ["default", "other", "none"], {})
        assert (one.next_up.id, one.next_due, one.pause, one.info.counts.workers) == (first.id, None, None, 1)
        assert (two.next_up, two.next_due.id, two.info.paused) == (None, due.id, True)
        assert 590_000 < two.pause.left_ms <= 600_000
        assert (empty.info.counts.queued, empty.next_up, empty.pause) == (0, None, None)
        runs = await runs_of(queue.connection, ["default", "other"], {})
        assert [(name, record.id, record.worker) for name, record in runs] == [("default", run.id, "w")]
