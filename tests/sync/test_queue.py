"""Queue without an event loop."""

from __future__ import annotations

import pickle
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import redis

import aioq
from aioq import InvalidInput, NoSuchJobError, errors
from aioq.errors import InvalidJobOperation
from aioq.sync import Job, Queue
from tests import jobs
from tests.conftest import Server, port_of_nobody
from tests.tools import eventually_sync


def test_every_form_of_enqueue(queue: Queue, start_worker: Callable[..., Any]) -> None:
    start_worker()
    bound = queue.task(ttl=43)(jobs.add)
    moment = datetime.now(UTC) + timedelta(milliseconds=20)
    made = [
        queue.enqueue(jobs.add, 1, 1),
        queue.enqueue("tests.jobs.add", 1, y=2, ttl=60),
        queue.enqueue_call(jobs.add, (1,), {"y": 3}, timeout=9),
        queue.enqueue_at(moment, jobs.add, 1, 4),
        queue.enqueue_in("20ms", jobs.add, 1, 5),
        *queue.enqueue_many([Queue.prepare_data(jobs.add, (1, 6)), queue.using(ttl=7).call(jobs.add, 1, 7)]),
        queue.enqueue_job(Job.create(jobs.add, (1, 8), meta={"a": 1})),
        queue.using(ttl=9).enqueue(jobs.add, 1, 9),
        queue.using().using(ttl=10).enqueue_at(moment, jobs.add, 1, 10),
        queue.using().enqueue_in(0.02, jobs.add, 1, 11),
        queue.using().enqueue_call(jobs.add, (1, 12)),
        bound.enqueue(1, 13),
        bound.using(ttl=5).enqueue_in("10ms", 1, 14),
        bound.enqueue_at(moment, 1, 15),
        *bound.enqueue_many([bound.call(1, 16)]),
    ]  # fmt: skip
    assert [job.result(timeout=10) for job in made] == list(range(2, 18))
    assert [job.ttl for job in made[12:]] == [43, 5, 43, 43]
    assert made[7].meta == {"a": 1}
    assert all(job.queue is queue for job in made)
    assert bound.queue is queue
    assert queue.task(jobs.add_sync)(1, 2) == 3


def test_reads_and_changes(queue: Queue) -> None:
    assert queue.is_empty()
    first, second = queue.enqueue_many([Queue.prepare_data(jobs.noop), Queue.prepare_data(jobs.noop)])
    assert (queue.count(), queue.job_ids(), queue.jobs()) == (2, [first.id, second.id], [first, second])
    assert (queue.job_ids(limit=1, desc=True), queue.job_ids(1)) == ([second.id], [second.id])
    assert queue.fetch_job(first) == first
    assert queue.fetch_many(each for each in [first.id, "none", second]) == [first, None, second]
    assert (first.get_position(), second.get_position()) == (0, 1)
    queue.pause()
    assert queue.is_paused()
    queue.resume()
    assert not queue.is_paused()
    assert queue.empty() == 2
    queue.enqueue(jobs.noop)
    assert queue.delete() == 1


def test_jobs_are_requeued_alone_and_together(queue: Queue) -> None:
    first, second = queue.enqueue(jobs.noop), queue.enqueue(jobs.noop)
    first.cancel()
    second.cancel()
    again = queue.requeue(first)
    assert (again, again.is_queued, again.queue) == (first, True, queue)
    assert queue.requeue(each for each in [first, second.id, "none"]) == {
        first.id: "queued", second.id: "ok", "none": "gone",
    }  # fmt: skip
    with pytest.raises(NoSuchJobError):
        queue.requeue("none")
    with pytest.raises(errors.InvalidType):
        queue.requeue(5)  # type: ignore[call-overload]


def test_a_generator_of_the_users_runs_on_the_users_thread(queue: Queue) -> None:
    made = [queue.enqueue(jobs.noop) for _ in range(3)]
    assert queue.fetch_many(job.id for job in queue.jobs()) == made
    assert queue.requeue(job for job in queue.jobs()) == {job.id: "queued" for job in made}
    copies = queue.enqueue_many(Queue.prepare_data(job.func) for job in queue.jobs())
    assert len(copies) == 3


def test_all_queues_of_a_server_share_a_connection(queue: Queue, server: Server, raw: redis.Redis) -> None:
    for name in ("a", "b"):
        Queue(name, queue.connection).enqueue(jobs.noop)

    before = len(raw.client_list())
    first, second = Queue.all(server.url)
    assert [first.name, second.name] == ["a", "b"]
    assert first.count() + second.count() == 2
    assert len(raw.client_list()) == before + 1
    first.close()
    assert second.count() == 1
    second.close()
    eventually_sync(lambda: len(raw.client_list()) == before)


def test_it_is_closed_with_its_block_and_opens_again(server: Server, raw: redis.Redis) -> None:
    before = len(raw.client_list())

    with Queue("default", server.url) as queue:
        queue.count()
        assert len(raw.client_list()) == before + 1

    eventually_sync(lambda: len(raw.client_list()) == before)
    assert queue.is_empty()
    queue.close()
    queue.close()


def test_options_of_the_queue_hold(server: Server) -> None:
    options: dict[str, Any] = {"prefix": "shop", "secret": "a secret of the test", "serializer": "json"}

    with Queue("sealed", server.url, default_ttl=43, max_payload=1000, **options) as queue:
        assert queue.enqueue(jobs.add, 1, 2).ttl == 43
        with pytest.raises(errors.PayloadTooLarge):
            queue.enqueue(jobs.add, "x" * 1000, 1)
        with pytest.raises(errors.SerializationError):
            queue.enqueue(jobs.add, {1}, 2)
        (found,) = Queue.all(server.url, **options)
        with found:
            assert found == queue
            assert found.jobs()[0].func_name == "tests.jobs.add"
        assert queue.delete() == 1


def test_many_threads_share_one_queue(server: Server, start_worker: Callable[..., Any]) -> None:
    start_worker()

    def use(number: int) -> list[int]:
        job = queue.enqueue(jobs.add, number, 0)
        many = queue.enqueue_many([Queue.prepare_data(jobs.add, (number, at)) for at in range(20)])
        return [job.result(timeout=20), *(each.result(timeout=20) for each in many)]

    with Queue("default", server.url) as queue, ThreadPoolExecutor(24) as pool:
        assert list(pool.map(use, range(48))) == [
            [number, *range(number, number + 20)] for number in range(48)
        ]  # fmt: skip


def test_things_are_equal_if_they_name_the_same(queue: Queue, server: Server) -> None:
    assert Queue("a", server.url) == Queue("a", server.url) != Queue("b", server.url)
    assert hash(Queue("a", server.url)) == hash(Queue("a", server.url))
    assert Queue("a", server.url) != aioq.Queue("a", server.url)
    assert len({queue, Queue("default", server.url)}) == 1
    assert (queue == 5, repr(queue)) == (False, "<aioq.sync.Queue default>")
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(queue)


@pytest.mark.parametrize(
    ("call", "said"),
    [
        (lambda queue: queue.enqueue(lambda: 0), "lambda"),
        (lambda queue: queue.enqueue(jobs.noop, ttl=-1), "ttl=-1"),
        (lambda queue: queue.enqueue_in("5x", jobs.noop), "5x"),
        (lambda queue: queue.enqueue_many([Queue.prepare_data(jobs.noop), 5]), r"calls\[1\]"),
        (lambda queue: queue.task(jobs.noop).enqueue_many([queue.using().call(jobs.add, 1, 2)]), "calls of <Task"),
        (lambda queue: queue.enqueue_job("a"), "Job.create of aioq.sync returns, not builtins.str"),
        (lambda queue: queue.enqueue_job(aioq.Job.create(jobs.noop)), "returns, not aioq.client.job.Job"),
        (lambda queue: queue.fetch_job(5), "5"),
        (lambda queue: queue.fetch_many("abc"), "expected a list"),
        (lambda queue: queue.job_ids(-1), "offset"),
        (lambda queue: queue.pause("x"), "duration"),
    ],
)
def test_bad_input_is_refused_and_nothing_is_written(
    queue: Queue, call: Callable[[Queue], Any], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        call(queue)

    assert queue.is_empty()


def test_a_job_is_enqueued_once(queue: Queue) -> None:
    job = queue.enqueue_job(Job.create(jobs.noop))
    with pytest.raises(InvalidJobOperation, match="enqueued already"):
        queue.enqueue_job(job)


def test_names_of_rq_are_told_without_await(queue: Queue) -> None:
    untyped: Any = queue
    for call, said in {
        lambda: untyped.get_job_ids: "Write `queue.job_ids()`",
        lambda: len(untyped): "Write `queue.count()`",
        lambda: untyped.job_ids(length=5): "limit=…",
        lambda: untyped.enqueue(jobs.noop).save(): "`queue.enqueue_job(job)` stores",
        lambda: untyped.failed_job_registry.get_job_count: "Write `registry.count()`",
        lambda: untyped.task(jobs.noop).delay(): "Write `task.enqueue(…)`",
        lambda: Queue(is_async=False): "has no argument 'is_async'",
    }.items():
        with pytest.raises((AttributeError, TypeError), match=r"unlike RQ|without asking") as raised:
            call()
        assert said in str(raised.value)


def test_a_server_that_is_away_is_told_in_time(own_server: Callable[..., Server]) -> None:
    nobody = f"redis://127.0.0.1:{port_of_nobody()}/0"

    with Queue("default", nobody, call_timeout=1) as queue:
        with pytest.raises(errors.ServerUnreachable, match=r"127\.0\.0\.1"):
            queue.enqueue(jobs.noop)

    server = own_server()

    with Queue("default", server.url, call_timeout=1) as queue:
        job = queue.enqueue(jobs.noop)
        server.stop()
        begun = time.monotonic()
        with pytest.raises(errors.ServerUnreachable):
            job.refresh()
        with pytest.raises(errors.ServerUnreachable):
            queue.enqueue(jobs.noop)
        assert time.monotonic() - begun < 10
        server.start()
        assert queue.enqueue(jobs.noop).is_queued


def test_jobs_are_searched_and_failures_are_muted(queue: Queue, start_worker: Callable[..., Any]) -> None:
    calls = [Queue.prepare_data(jobs.div_by_zero, (each,), tags=["odd"] if each % 2 else []) for each in range(3)]
    queue.enqueue_many(calls)
    start_worker()
    eventually_sync(lambda: queue.failed_job_registry.count() == 3)
    page = queue.search("state:failed", limit=2)
    assert (len(page.jobs), page.cursor is None, page.total) == (2, False, 3)
    assert all(isinstance(job, Job) and job.queue is queue for job in page.jobs)
    assert len(queue.search(tags=["odd"]).jobs) == 1
    (group,) = queue.failures()
    assert (group.count, group.function) == (3, "tests.jobs.div_by_zero")
    queue.mute_failure(group, "1h", muted_by="ann")
    assert (queue.failures(muted=False), queue.failures(muted=True)[0].muted_by) == ([], "ann")
    queue.unmute_failure(group.fingerprint)
    assert len(queue.failures(muted=False)) == 1
    queue.pause()
    assert queue.requeue_matching("state:failed tag:odd") == 1
    assert queue.cancel_matching("state:queued") == 1
    assert queue.delete_matching("state:failed") == 2


def test_jobs_around_a_job_are_handles_of_the_same_kind(queue: Queue) -> None:
    parent = queue.enqueue(jobs.noop)
    child = queue.enqueue(jobs.noop, depends_on=parent)
    assert (child.dependency_ids, parent.dependents()) == ([parent.id], [child])
    assert queue.deferred_job_registry.job_ids() == [child.id]
    assert queue.callback_ids() == []
    parent.cancel()
    parent.requeue(dependents=True)
    assert (parent.get_status(), child.get_status()) == ("queued", "deferred")


def test_schemas_of_the_tasks_of_live_workers(queue: Queue, start_worker: Callable[..., Any]) -> None:
    assert queue.schemas() == {}
