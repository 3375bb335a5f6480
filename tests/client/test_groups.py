"""Groups, as users write them."""

from __future__ import annotations

import asyncio
import functools
import operator
import pickle
from typing import Any

import pytest
import redis

from aioq import Group, InvalidInput, Job, JobFailed, NoSuchJobError, Queue, current_job
from aioq.client import filling
from aioq.doctor import examine
from aioq.errors import (
    DuplicateGroupError,
    DuplicateJobError,
    InvalidJobOperation,
    InvalidType,
    JobCanceled,
    NoCurrentJob,
    NoSuchGroupError,
    ResultNotKept,
    ResultTimeout,
    ServerUnreachable,
)
from aioq.types import EnqueueData
from aioq.values.group import GroupProgress
from tests import jobs
from tests.tools import assert_sound
from tests.worker.notes import note, notes


def adds(*numbers: int, **options: Any) -> list[EnqueueData[int]]:
    return [Queue.prepare_data(jobs.add, (number, 1), **options) for number in numbers]


def divides(**options: Any) -> EnqueueData[float]:
    return Queue.prepare_data(jobs.div_by_zero, (1,), **options)


async def total(key: str) -> int:
    """The job of a group: what its members came to, all together."""
    group: Group[int] = Group.current()
    assert current_job().group_id == group.name
    notes[key] = ["total"]

    return sum(await group.results())


async def own_group(key: str) -> str:
    notes[key] = [await Group.current().progress()]

    return Group.current().name


async def and_then(job: Job[Any], result: object) -> None:
    notes[job.args[0]].append("called")


async def test_map_in_a_line(queue: Queue, burst) -> None:
    group = await queue.enqueue_group(adds(1, 2, 3))
    await burst()
    assert await group.results() == [2, 3, 4]


async def test_chord_in_a_line(queue: Queue, burst, key: str) -> None:
    await queue.enqueue_group(adds(1, 2, 3), on_complete=Queue.prepare_data(total, (key,), job_timeout=5))
    await burst()
    assert notes[key] == ["total"]
    (made,) = [job for job in await queue.finished_job_registry.jobs() if job.func_name.endswith("total")]
    assert await made.result() == 9


async def test_the_same_call_for_each_value(queue: Queue, burst) -> None:
    task = queue.task(jobs.add)
    group = await queue.enqueue_group(task.call(number, number) for number in range(10))
    await burst()
    assert functools.reduce(operator.add, await group.results()) == 90


async def test_its_progress_is_read_at_once(queue: Queue, burst) -> None:
    group = await queue.enqueue_group([*adds(1, 2), divides(), *adds(3, ttl=60)])
    assert await group.progress() == GroupProgress(4, 0, 0, 0, 0, 0, 0, has_ended=False)
    assert str(await group.progress()) == "0/4"
    first = (await group.jobs())[0]
    assert first is not None
    assert first.group_id == group.name
    await first.cancel()
    await burst()
    found = await group.progress()
    assert found == GroupProgress(4, 2, 1, 1, 0, 0, 0, has_ended=True)
    assert (found.ended, found.open, found.unfinished, str(found)) == (4, 0, 2, "4/4, 1 failed, 1 canceled")


async def test_a_wait_hears_of_the_end(queue: Queue, start_worker) -> None:
    group = await queue.enqueue_group(Queue.prepare_data(jobs.sleep, (0.05,)) for _ in range(3))
    waiting = asyncio.create_task(group.wait(timeout=10))
    await start_worker()
    assert (await waiting).finished == 3
    assert (await group.wait(timeout=0)).has_ended


async def test_a_wait_has_a_timeout(queue: Queue) -> None:
    group = await queue.enqueue_group(adds(1))

    with pytest.raises(ResultTimeout, match=r"timeout of 0.01 seconds; no worker serves 'default'"):
        await group.wait(timeout=0.01)

    with pytest.raises(ResultTimeout, match=r"within the timeout of 0 seconds$"):
        await group.wait(timeout=0)

    with pytest.raises(ResultTimeout):
        await group.results(timeout=0)

    with pytest.raises(InvalidInput, match="timeout=-1"):
        await group.wait(timeout=-1)


async def test_members_are_given_as_they_end(queue: Queue, start_worker) -> None:
    group = await queue.enqueue_group(Queue.prepare_data(jobs.sleep, (each,)) for each in (0.3, 0.2, 0.1))
    await start_worker()
    assert [await job.result() async for job in group.as_completed(timeout=10)] == [0.1, 0.2, 0.3]
    assert [await job.result() async for job in group.as_completed()] == [0.3, 0.2, 0.1]  # all had ended


async def test_each_of_many_members_is_given_once(queue: Queue, start_worker) -> None:
    group = await queue.enqueue_group(adds(*range(1500)))
    await start_worker(concurrency=50)
    found = [job.id async for job in group.as_completed(timeout=30)]
    assert len(found) == len(set(found)) == 1500
    assert set(found) == set(await group.job_ids())


async def test_a_member_that_is_gone_is_given_too(queue: Queue) -> None:
    group = await queue.enqueue_group(adds(1))
    (job_id,) = await group.job_ids()
    await queue.empty()
    (given,) = [job async for job in group.as_completed(timeout=5)]
    assert (given.id, given.status) == (job_id, None)
    assert await group.jobs() == [None]

    with pytest.raises(NoSuchJobError):
        await group.results()


async def test_the_time_for_all_is_one(queue: Queue, start_worker) -> None:
    group = await queue.enqueue_group(Queue.prepare_data(jobs.sleep, (each,)) for each in (0, 5))
    await start_worker()
    given = []

    with pytest.raises(ResultTimeout):
        async for job in group.as_completed(timeout=0.5):
            given.append(job)

    assert len(given) == 1
    await group.cancel()


async def test_errors_stand_in_the_place_of_values_if_that_is_asked_for(queue: Queue, burst) -> None:
    group = await queue.enqueue_group([*adds(1), divides(), *adds(2), *adds(3, result_ttl=0)])
    jobs_ = await group.jobs()
    assert jobs_[2] is not None
    await jobs_[2].cancel()
    await burst()
    one, failed, canceled, unkept = await group.results(return_exceptions=True)
    assert one == 2
    assert isinstance(failed, JobFailed)
    assert failed.error_type == "ZeroDivisionError"
    assert isinstance(canceled, JobCanceled)
    assert isinstance(unkept, ResultNotKept)

    with pytest.raises(JobFailed, match="ZeroDivisionError"):
        await group.results()


async def test_a_failure_makes_the_other_job(queue: Queue, burst, key: str) -> None:
    calls = {
        "on_complete": Queue.prepare_data(note, (key, "complete")),
        "on_failure": Queue.prepare_data(note, (key, "failure")),
    }
    await queue.enqueue_group([*adds(1), divides()], **calls)
    await burst()
    assert notes[key] == ["failure"]
    await queue.enqueue_group(adds(1), **calls)
    await burst()
    assert notes[key] == ["failure", "complete"]


async def test_without_another_job_the_same_is_made_for_a_failure(queue: Queue, burst, key: str) -> None:
    await queue.enqueue_group([divides()], on_complete=Queue.prepare_data(own_group, (key,)))
    await burst()
    assert notes[key] == [GroupProgress(1, 0, 1, 0, 0, 0, 0, has_ended=True)]


async def test_the_options_of_its_job_hold(queue: Queue, burst, key: str) -> None:
    blocked = await queue.enqueue(note, key, "other")
    call = Queue.prepare_data(note, (key, "made"), at_front=True, ttl=60, meta={"a": 1}, description="sums it up")
    group = await queue.enqueue_group([], on_complete=call)
    made = await queue.jobs()
    assert [job.id for job in made][1:] == [blocked.id]
    assert (made[0].ttl, made[0].meta, made[0].description) == (60, {"a": 1}, "sums it up")
    assert made[0].group_id == group.name
    await burst()
    assert notes[key] == ["made", "other"]


async def keep(job: Job[int], result: int) -> None:
    notes[job.id] = [result]


async def test_members_have_options_and_callbacks_of_their_own(
    queue: Queue, burst, key: str, raw: redis.Redis
) -> None:
    calls = adds(1, job_id=key, on_success=keep, ttl=100) + adds(2, at_front=True)
    group = await queue.enqueue_group(calls)
    first, second = await group.jobs()
    assert first is not None
    assert second is not None
    # What follows from their ends, each once.
    assert raw.hget(f"aioq:{{default}}:job:{key}", "after") == f"on_success group={group.name}/0"
    assert raw.hget(f"aioq:{{default}}:job:{second.id}", "after") == f"group={group.name}/1"

    await burst()
    assert await group.results(10) == [2, 3]
    assert notes[key] == [2]


async def test_an_empty_group_ends_at_once(queue: Queue) -> None:
    group = await queue.enqueue_group([])
    assert await group.wait(timeout=0) == GroupProgress(0, 0, 0, 0, 0, 0, 0, has_ended=True)
    assert await group.results(timeout=0) == []
    assert [job async for job in group.as_completed(timeout=0)] == []


async def test_members_may_come_in_several_calls(queue: Queue, burst, key: str) -> None:
    group = Group.create(queue, "several", on_complete=Queue.prepare_data(note, (key,)))

    with pytest.raises(NoSuchGroupError, match="queue 'default' has no group 'several'"):
        await group.progress()

    await group.enqueue_many(queue, adds(1), more=True)
    await burst()
    assert await group.progress() == GroupProgress(1, 1, 0, 0, 0, 0, 0, has_ended=False)
    made = await group.enqueue_many(queue, adds(2))
    assert [job.group_id for job in made] == ["several"]
    await burst()
    assert await group.results() == [2, 3]
    assert notes[key] == [None]
    await (await Group.fetch("several", queue)).enqueue_many(queue, adds(3))  # it ends a second time
    await burst()
    assert await group.results() == [2, 3, 4]
    assert notes[key] == [None, None]


async def test_members_may_be_added_at_the_same_time(queue: Queue, burst) -> None:
    group = Group.create(queue)
    await group.enqueue_many(queue, [], more=True)
    await asyncio.gather(*(group.enqueue_many(queue, adds(*range(300)), more=True) for _ in range(4)))
    await group.enqueue_many(queue, [])
    await burst()
    assert await group.progress() == GroupProgress(1200, 1200, 0, 0, 0, 0, 0, has_ended=True)


async def test_a_name_is_one_group(queue: Queue) -> None:
    group = await queue.enqueue_group(adds(1), name="one")
    assert group.name == "one"

    with pytest.raises(DuplicateGroupError, match="queue 'default' has another group 'one'"):
        await queue.enqueue_group(adds(2), name="one")

    assert await queue.count() == 1
    assert await Group.fetch("one", queue) == group
    assert await Group.all(queue) == [group]
    assert {group} == {await Group.fetch("one", queue)}
    await group.cancel()

    with pytest.raises(NoSuchGroupError):
        await Group.fetch("two", queue)


async def test_cancel_ends_the_group(queue: Queue, burst, key: str, start_worker) -> None:
    group = await queue.enqueue_group(
        [Queue.prepare_data(jobs.sleep, (60,)), *adds(*range(250))],
        on_failure=Queue.prepare_data(note, (key, "canceled")),
    )
    await start_worker(concurrency=1)
    running = (await group.jobs())[0]
    assert running is not None

    while not running.is_started:
        await asyncio.sleep(0.01)
        await running.refresh()

    assert await group.cancel() == 251
    assert (await group.wait(timeout=5)).canceled == 251
    assert await group.cancel() == 0

    while key not in notes:
        await asyncio.sleep(0.01)


async def test_failed_members_are_brought_back(queue: Queue, burst, key: str, raw: redis.Redis) -> None:
    on_failure = Queue.prepare_data(own_group, (key,))
    group = await queue.enqueue_group([*adds(1), divides(), divides(), *adds(2)], on_failure=on_failure)
    await burst()
    assert (await group.progress()).failed == 2
    assert await group.retry_failed() == 2
    assert await group.progress() == GroupProgress(4, 2, 0, 0, 0, 0, 0, has_ended=False)
    notes.clear()
    await burst()
    assert notes[key] == [GroupProgress(4, 2, 2, 0, 0, 0, 0, has_ended=True)]
    await queue.failed_job_registry.requeue((await group.job_ids())[1])
    assert (await group.progress()).open == 1
    await queue.empty()
    assert await group.progress() == GroupProgress(4, 2, 1, 0, 0, 0, 1, has_ended=True)


async def test_ids_that_are_in_use_count_as_gone(queue: Queue, burst) -> None:
    other = await queue.enqueue_call(jobs.add, (0, 0), job_id="x")
    group = Group.create(queue)

    with pytest.raises(DuplicateJobError, match="job x"):
        await group.enqueue_many(queue, [*adds(1), *adds(2, job_id="x")])

    await burst()
    assert await group.progress() == GroupProgress(2, 1, 0, 0, 0, 0, 1, has_ended=True)
    assert await other.result() == 0


async def test_the_job_of_a_group_is_found_by_its_tags_and_has_its_callbacks(
    queue: Queue, burst, raw: redis.Redis, key: str
) -> None:
    options = {"tags": ["sum", "vip"], "on_success": and_then}
    call = Queue.prepare_data(note, (key, "made"), **options)
    group = await queue.enqueue_group(adds(1), on_complete=call)
    assert [job.id for job in (await queue.search("tag:sum")).jobs] == []
    await burst()
    (made,) = (await queue.search("tag:sum tag:vip")).jobs
    assert (made.tags, made.group_id, await made.get_status()) == (("sum", "vip"), group.name, "finished")
    assert notes[key] == ["made", "called"]
    await assert_sound(queue)
    await group.enqueue_many(queue, adds(1))  # it ends again, and the job is made again
    assert [job.id for job in (await queue.search("tag:vip state:queued")).jobs] == []
    await burst()
    assert [job.id for job in (await queue.search("tag:sum")).jobs] == [made.id]
    await assert_sound(queue)
    raw.zrem(queue.store.keys.tag + b"sum", made.id)
    assert {each.kind for each in await examine(queue, repair=True)} == {"tag-differs"}
    await assert_sound(queue)
    await made.delete()
    assert raw.exists(queue.store.keys.tags) == 0


async def test_nothing_is_written_of_what_is_refused(queue: Queue, raw: redis.Redis) -> None:
    for given, text in [
        ({"name": "a b"}, "name='a b'"),
        ({"ttl": -5}, "ttl=-5"),
        ({"on_complete": "nothing there"}, "on_complete: .*nothing there"),
        ({"on_complete": 5}, "on_complete: "),
        ({"on_failure": lambda: None}, "on_failure: "),
        ({"on_complete": Queue.prepare_data(jobs.add, (1, 2), job_id="x")}, "on_complete: job_id is no option"),
        ({"on_complete": Queue.prepare_data(jobs.noop, depends_on="x")}, "on_complete: depends_on is no option"),
        ({"on_failure": Queue.prepare_data(jobs.noop, durability="replicated")}, "durability is no option"),
        ({"on_complete": jobs.add}, "on_complete: .*missing"),
    ]:
        with pytest.raises(InvalidInput, match=text):
            await queue.enqueue_group(adds(1), **given)

    with pytest.raises(InvalidInput, match=r"calls\[1\]: "):
        await queue.enqueue_group([*adds(1), Queue.prepare_data(jobs.add, (1,))])

    with pytest.raises(InvalidType, match="calls: expected a list"):
        await queue.enqueue_group(adds(1)[0])  # type: ignore[arg-type]

    with pytest.raises(InvalidType, match=r"queue: expected a Queue, not builtins\.str"):
        Group.create("default")  # type: ignore[arg-type]

    with pytest.raises(InvalidType, match="queue: expected a Queue"):
        await Group.fetch("g", None)  # type: ignore[arg-type]

    assert raw.dbsize() == 0


async def test_the_current_group_is_that_of_the_job(queue: Queue, burst, key: str) -> None:
    with pytest.raises(NoCurrentJob):
        Group.current()

    member = await queue.enqueue_group([Queue.prepare_data(own_group, (key,))])
    alone = await queue.enqueue(own_group, key)
    await burst()
    assert await member.results() == [member.name]

    with pytest.raises(JobFailed, match=r"InvalidJobOperation: job .* has no group"):
        await alone.result()


async def test_a_group_that_is_deleted_leaves_its_jobs(queue: Queue, burst, key: str) -> None:
    group = await queue.enqueue_group(adds(1), on_complete=Queue.prepare_data(note, (key,)))
    waiting = asyncio.create_task(group.wait())
    await asyncio.sleep(0)
    await group.delete()
    await assert_sound(queue)
    await burst()
    assert key not in notes
    assert len(await queue.finished_job_registry.job_ids()) == 1

    for call in (group.progress, group.delete, group.cancel, group.retry_failed, group.job_ids, group.jobs):
        with pytest.raises(NoSuchGroupError):
            await call()

    with pytest.raises(NoSuchGroupError):
        await group.enqueue_many(queue, adds(1))

    waiting.cancel()


async def test_a_queue_that_is_deleted_takes_its_groups_along(queue: Queue, raw: redis.Redis, key: str) -> None:
    await queue.enqueue_group(adds(1), on_failure=Queue.prepare_data(note, (key,)))
    await queue.delete()
    assert await Group.all(queue) == []
    assert await queue.count() == 0


async def test_with_a_secret_its_job_is_signed(server, key: str, start_worker) -> None:
    secret = "a secret of the test"

    async with Queue("default", server.url, secret=secret) as queue:
        await start_worker(secret=secret)
        group = await queue.enqueue_group(adds(1, 2), on_complete=Queue.prepare_data(total, (key,)))
        assert await group.results(timeout=10) == [2, 3]

        while key not in notes:
            await asyncio.sleep(0.01)


async def test_middleware_gets_the_members(server, burst) -> None:
    seen = []

    async def look(calls: Any, call_next: Any) -> Any:
        seen.append(len(calls))

        return await call_next(calls)

    async with Queue("default", server.url, middleware=[look]) as queue:
        group = await queue.enqueue_group(adds(1, 2, 3), on_complete=jobs.noop)
        await burst()
        assert await group.results() == [2, 3, 4]
        assert seen == [3]


async def test_who_dies_while_members_are_added_leaves_a_group_that_ends(
    queue: Queue, burst, monkeypatch: pytest.MonkeyPatch, raw: redis.Redis
) -> None:
    group = Group.create(queue)

    async def die(*_: object) -> None:
        raise ServerUnreachable("it is away")

    with monkeypatch.context() as patch:
        patch.setattr(type(queue.producer), "enqueue_prepared", die)

        with pytest.raises(ServerUnreachable):
            await group.enqueue_many(queue, adds(1, 2))

    await group.enqueue_many(queue, adds(3), more=True)
    await burst()
    assert await group.progress() == GroupProgress(3, 1, 0, 0, 0, 0, 0, has_ended=False)
    (fill,) = [field for field in raw.hkeys(f"aioq:{{default}}:group:{group.name}") if field.startswith("fill.")]
    raw.hset(f"aioq:{{default}}:group:{group.name}", fill, 1)
    await filling.close_overdue(queue.store, group.name)
    assert await group.progress() == GroupProgress(3, 1, 0, 0, 0, 0, 2, has_ended=True)


async def test_a_handle_is_not_pickled_and_says_what_it_is(queue: Queue) -> None:
    group = Group.create(queue, "g")
    assert repr(group) == "<Group g of default>"
    assert group != "g"

    with pytest.raises(TypeError, match="is not pickled"):
        pickle.dumps(group)


async def test_names_of_rq_are_told(queue: Queue) -> None:
    group = Group.create(queue, "g")

    with pytest.raises(AttributeError, match=r"Write `await group.jobs\(\)`"):
        group.get_jobs()  # type: ignore[attr-defined]

    with pytest.raises(AttributeError, match="Nobody needs it"):
        group.cleanup()  # type: ignore[attr-defined]

    with pytest.raises(InvalidType, match=r"has no argument 'connection'.*Group.fetch\(name, queue\)"):
        Group.create(connection=queue.connection)  # type: ignore[call-arg]


async def test_members_of_several_queues(server, queue: Queue, start_worker, key: str) -> None:
    async with Queue("other", server.url) as other:
        group = Group.create(queue, "g", on_complete=Queue.prepare_data(total, (key,)))
        await group.enqueue_many(queue, adds(1, 2), more=True)
        await group.enqueue_many(other, adds(3, 4))
        assert await queue.count() == await other.count() == 2
        waiting = asyncio.create_task(group.wait(timeout=20))
        await start_worker("default")
        await asyncio.sleep(0.2)
        assert await group.progress() == GroupProgress(4, 2, 0, 0, 0, 0, 0, has_ended=False)
        await start_worker("other")
        assert (await waiting).finished == 4
        assert await group.results() == [2, 3, 4, 5]
        assert {job.origin for job in await group.jobs() if job is not None} == {"default", "other"}
        assert len([job async for job in group.as_completed()]) == 4

        while key not in notes:
            await asyncio.sleep(0.01)

        await assert_sound(queue, other)


async def test_members_of_other_queues_are_canceled_and_retried(server, queue: Queue, burst, key: str) -> None:
    async with Queue("other", server.url) as other:
        group = Group.create(queue, "g", on_failure=Queue.prepare_data(own_group, (key,)))
        await group.enqueue_many(other, [*adds(1), Queue.prepare_data(own_group, (key,)), divides()])
        first = (await group.jobs())[0]
        assert first is not None
        await first.cancel()
        await burst("other", "default")
        assert notes[key][-1] == GroupProgress(3, 1, 1, 1, 0, 0, 0, has_ended=True)
        assert (await group.results(return_exceptions=True))[1] == "g"

        for _ in range(3):
            assert await group.retry_failed() == 1
            assert await group.progress() == GroupProgress(3, 1, 0, 1, 0, 0, 0, has_ended=False)
            notes.clear()
            await burst("other", "default")
            assert notes[key] == [GroupProgress(3, 1, 1, 1, 0, 0, 0, has_ended=True)]

        assert await group.retry_failed() == 1
        assert await group.cancel() == 1
        assert await group.progress() == GroupProgress(3, 1, 0, 2, 0, 0, 0, has_ended=True)
        await assert_sound(queue, other)
        await burst()


async def test_a_queue_of_another_server_or_prefix_is_refused(server, queue: Queue) -> None:
    async with Queue("other", server.url, prefix="else") as other:
        group = Group.create(queue, "g")

        with pytest.raises(InvalidInput, match="queue=<Queue other>: expected a queue of the server and prefix"):
            await group.enqueue_many(other, adds(1))


async def test_a_member_that_is_requeued_meanwhile_has_no_value(queue: Queue, burst) -> None:
    group = await queue.enqueue_group([divides()])
    await burst()
    ended = await group.ended_jobs(0)
    assert ended[0][1] is not None
    await ended[0][1].requeue()

    with pytest.raises(InvalidJobOperation, match="is queued again"):
        group.values(ended, Job.read_value, return_exceptions=False)

    await group.cancel()
