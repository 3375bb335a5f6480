"""The interface is one: the page of all public calls is what the code says, and one word takes one thing."""

from __future__ import annotations

import importlib
import inspect
import itertools
import sys
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import aioq
from aioq import Job, Queue, Repeat, Retry, Worker, WorkerPool, errors, task
from aioq.types import BoundTask, Registry, Task, Using
from aioq.values import errors as tree
from aioq.values.options import Options, read_options
from tests import interface, jobs
from tests.client.kinds import plain

#: Arguments that take another thing in another call, as in RQ.
SEVERAL = {
    "by": "a pause is made by someone, and the clock of a test kit is moved by a time",
    "args": "a call's own arguments, or a tuple of them",
    "kwargs": "a call's own arguments, or a dict of them",
    "middleware": "that of a queue and that of a worker run around different things; a pool takes names, too",
    "exception_handlers": "a pool takes names, too",
    "on_startup": "a pool takes names, too",
    "on_shutdown": "a pool takes names, too",
    "serializers": "a pool takes names only",
    "jobs": "enqueue_graph takes what Job.create made, which has no record yet",
    "func": "what a Callback calls is not told apart by its kind",
    "job": "enqueue_job takes what Job.create made, which has no record yet; an audit need not be that of a job",
    "name": "a worker may have none",
    "url": "a test kit may have none",
    "secret": "a webhook has the name of one that workers know",
    "queues": "a pool passes it on to other processes",
    "until": "that of a series is a moment; statistics take also how long ago it was",
    "connection": "a pool passes it on to other processes",
    "on_failure": "a dependency says what a failure means; a group, what is called then",
    "lifespan": "a pool passes it on to other processes, so it also takes a name",
    "queue": "the test kit takes the name of one, too",
}


def test_the_page_says_what_the_code_says() -> None:
    assert interface.PAGE.read_text() == interface.page(), "`python -m tests.interface` writes it"


def test_an_argument_takes_one_thing_wherever_it_is_taken() -> None:
    differing = {name for name, kinds in interface.taken().items() if len(kinds) > 1}
    assert differing == set(SEVERAL)


def test_what_an_argument_takes_is_told_in_words() -> None:
    told = set(interface.WORDS)
    assert {kind for kinds in interface.taken().values() for kind in kinds} <= told
    assert {str(kind.__forward_arg__) for kind in Options.__annotations__.values()} <= told


def test_every_call_and_property_is_explained() -> None:
    bare = [call for kind in interface.OWNERS for call, _, text in interface.rows(kind) if not text]
    assert bare == []


async def test_the_attributes_of_objects_are_in_the_page(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop)
    made: dict[type, Any] = {
        Queue: queue,
        Job: job,
        Task: task(jobs.noop),
        BoundTask: queue.task(jobs.noop),
        Registry: queue.failed_job_registry,
        Worker: Worker(queue),
        WorkerPool: WorkerPool(),
    }

    for kind, thing in made.items():
        own = {name for name in getattr(thing, "__dict__", {}) if not name.startswith("_")}
        assert own - interface.INTERNAL.get(kind, set()) - {"options"} <= set(interface.ATTRIBUTES[kind])
        assert all(hasattr(thing, name) for name in interface.ATTRIBUTES[kind])


# Names


def test_the_names_at_the_top_are_few() -> None:
    """Those of a newcomer's first hour, and the spellings of RQ; the rest stands in modules of its own."""
    assert len(aioq.__all__) <= 40
    assert set(aioq._ELSEWHERE) == set(interface.MODULES) - {"aioq"}


def test_a_name_stands_in_one_module_and_only_errors_also_at_the_top() -> None:
    for first, second in itertools.combinations(interface.MODULES, 2):
        shared = set(sys.modules[first].__all__) & set(sys.modules[second].__all__)
        assert shared == set() or (first, second) == ("aioq", "aioq.errors"), shared


@pytest.mark.parametrize("module", aioq._ELSEWHERE)
def test_who_looks_for_a_name_at_the_top_is_told_where_it_stands(module: str) -> None:
    for name in set(importlib.import_module(module).__all__) - set(aioq.__all__):
        told = rf"^{name} stands in {module}\. Write `from {module} import {name}`\.$"
        with pytest.raises(ImportError, match=told):
            exec(f"from aioq import {name}")
        with pytest.raises(ImportError, match=told):
            getattr(aioq, name)
        exec(f"from {module} import {name}")


# Durations


@pytest.mark.parametrize("value", [60, 60.0, "1m", "60", timedelta(minutes=1)], ids=repr)
async def test_a_duration_may_be_written_in_every_way_wherever_one_is_taken(queue: Queue, value: Any) -> None:
    job = await queue.enqueue(jobs.noop)
    calls: dict[str, Callable[..., Any]] = {
        "Queue": Queue,
        "Worker": Worker,
        "WorkerPool": WorkerPool,
        "Repeat": lambda **words: Repeat(1, **words),
        "Retry": lambda **words: Retry(1, **words),
    }
    tried = 0

    for name, call in calls.items():
        kind = getattr(aioq, name)
        for each in interface.parameters(kind.__init__):
            if str(each.annotation) in ("Duration", "Duration | None", "Interval"):
                call(**{each.name: value})
                tried += 1

    for name, annotation in Options.__annotations__.items():
        if annotation.__forward_arg__ == "Duration | None":
            assert read_options({name: value}) == read_options({name: 60})  # type: ignore[misc]
            tried += 1

    assert tried == 21
    later = await queue.enqueue_in(value, jobs.noop)
    assert later.scheduled_at is not None
    assert later.created_at is not None
    assert (later.scheduled_at - later.created_at).total_seconds() == 60
    assert (await queue.enqueue_call(jobs.noop, timeout=value)).timeout == 60
    await queue.pause(value)
    await queue.resume()
    await job.cancel()
    with pytest.raises(errors.JobCanceled):
        await job.result(timeout=value)
    assert await Worker("none", queue.connection).run(max_jobs=1, burst=True, max_idle_time=value) == 0


async def test_minus_one_means_no_limit_for_every_option_but_ttl(queue: Queue) -> None:
    limited = Queue("limited", queue.connection, default_timeout=5, default_result_ttl=5, default_failure_ttl=5)
    job = await limited.enqueue(plain, 1, job_timeout="-1", result_ttl=-1.0, failure_ttl=-1)
    again = await limited.fetch_job(job.id)
    assert again is not None
    assert (again.timeout, again.result_ttl, again.failure_ttl) == (-1, -1, -1)
    with pytest.raises(aioq.InvalidInput, match="ttl=-1: expected a duration greater than 0"):
        await queue.enqueue(plain, 1, ttl=-1)


# Errors


def test_all_errors_are_one_tree_and_can_be_imported_by_the_names_that_they_tell() -> None:
    own = [value for value in vars(tree).values() if inspect.isclass(value) and issubclass(value, Exception)]
    assert len(own) > 25

    for kind in own:
        assert issubclass(kind, errors.AioqError)
        if kind is not tree.RemoteError:
            assert getattr(errors, kind.__name__) is kind
            assert kind.__module__ == errors.__name__

    assert set(errors.__all__) == {name for name in vars(errors) if name[0].isupper()}


@pytest.mark.parametrize("package", ["values", "store", "client", "worker", "pool"])
def test_no_error_of_python_is_raised_where_users_meet_it(package: str) -> None:
    """What a call raises for what it was given is an AioqError; what Python's own protocols ask for is not."""
    allowed = {
        "a Keyring", "a Signer", "a Connection is not pickled", "{self!r}", "a {kind", "{self._what}", "text)",
        # Internals, which are caught, or can only be a mistake of aioq itself.
        "a text is none", "there is not so much", "a name is a text", "it is no frame", "the lengths in a frame",
        "no answer within", "{length!r}", "{length}", "{self.name}.lua", "{outcome!r}", "Lua files need",
    }  # fmt: skip
    found = []

    for path in Path("aioq", package).rglob("*.py"):
        for line in (text := path.read_text()).splitlines():
            if "raise TypeError" in line or "raise ValueError" in line or "raise RuntimeError" in line:
                at = text.index(line)
                if not any(each in text[at : at + 160] for each in allowed):
                    found.append(f"{path}: {line.strip()}")

    assert found == []


async def test_a_wrong_type_is_an_input_that_is_refused_and_a_type_error(queue: Queue) -> None:
    for call in (
        lambda: queue.enqueue_at("now", jobs.noop),  # type: ignore[arg-type]
        lambda: queue.enqueue_many([1]),  # type: ignore[list-item]
        lambda: queue.enqueue(jobs.noop, ttl=[]),
        lambda: queue.enqueue_job("id"),  # type: ignore[arg-type]
        lambda: Job.fetch("id", "redis://localhost"),  # type: ignore[arg-type]
        lambda: queue.fetch_job(5),  # type: ignore[arg-type]
        lambda: Queue.all(queue),  # type: ignore[arg-type]
    ):
        with pytest.raises(errors.InvalidType) as caught:
            await call()
        assert isinstance(caught.value, aioq.InvalidInput | TypeError)

    for wrong in (5, b"a"):
        with pytest.raises(errors.InvalidType, match="queue name"):
            Queue(wrong)  # type: ignore[arg-type]


async def test_waiting_in_vain_is_an_error_of_aioq_and_a_timeout(queue: Queue) -> None:
    job = await queue.enqueue(jobs.noop)
    with pytest.raises(errors.ResultTimeout) as caught:
        await job.result(timeout=0)
    assert isinstance(caught.value, TimeoutError)


async def test_a_worker_runs_once_at_a_time(queue: Queue, start_worker: Callable[..., Awaitable[Any]]) -> None:
    running = await start_worker()
    with pytest.raises(errors.WorkerError, match="runs already") as caught:
        await running.worker.run()
    assert isinstance(caught.value, RuntimeError)


# Equality


async def test_things_are_equal_if_they_are_of_one_server_and_prefix(queue: Queue) -> None:
    url = queue.connection.url
    there = "redis://localhost:1/0"
    assert Queue("a", url) == Queue("a", url)
    assert hash(Queue("a", url)) == hash(Queue("a", url))
    assert Queue("a", url) != Queue("b", url)
    assert Queue("a", url) != Queue("a", there)
    assert Queue("a", url) != Queue("a", url, prefix="other")
    assert Queue("a", url, secret="a secret of the test") == Queue("a", url)

    job = await queue.enqueue(jobs.noop, job_id="same")
    assert job == await queue.fetch_job("same")
    elsewhere = Queue("default", url, prefix="elsewhere")
    twin = await elsewhere.enqueue(jobs.noop, job_id="same")
    assert job != twin
    assert len({job, twin}) == 2
    await elsewhere.delete()
    await elsewhere.aclose()


# The forms of enqueue


async def test_a_task_has_every_form_of_enqueue(
    queue: Queue, burst: Callable[[], Awaitable[object]], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.client import kinds

    bound = queue.task(ttl=43)(plain)
    monkeypatch.setattr(kinds, "plain", bound)
    soon = await bound.enqueue_in("10ms", 1, y=2)
    then = await bound.enqueue_at(soon.created_at, 3, y=4)  # type: ignore[arg-type]
    some = await bound.using(ttl=5).enqueue_many([bound.call(5, y=6), bound.using(ttl=7).call(7, y=8)])
    assert [each.ttl for each in (soon, then, *some)] == [43, 43, 5, 7]
    await Worker(queue).run(max_jobs=4)
    assert [await each.result(5) for each in (soon, then, *some)] == [3, 7, 11, 15]
    assert bound.queue is queue


async def test_a_task_takes_no_calls_of_others(queue: Queue) -> None:
    bound = queue.task(plain)
    with pytest.raises(aioq.InvalidInput, match="expected calls of <Task"):
        await bound.enqueue_many([bound.call(1), queue.using().call(jobs.noop)])
    assert await queue.is_empty()


async def test_using_has_every_form_of_enqueue(queue: Queue) -> None:
    using: Using = queue.using(ttl=43, result_ttl=5).using(ttl=5)
    assert using.queue is queue
    created = Job.create(plain, (1,), result_ttl=9)
    found = [
        await using.enqueue(plain, 1),
        await using.enqueue("tests.client.kinds.plain", 1),
        await using.enqueue_call(plain, (1,), {"y": 2}),
        await using.enqueue_in(1, plain, 1),
        *await using.enqueue_many([using.call(plain, 1), Queue.prepare_data(plain, (1,), ttl=9)]),
        await using.enqueue_job(created),
    ]
    assert [(each.ttl, each.result_ttl) for each in found] == [(5, 5)] * 5 + [(9, 5), (5, 9)]


async def test_options_of_a_call_go_before_those_of_using(queue: Queue) -> None:
    (front,) = await queue.using(at_front=True).enqueue_many([queue.using().call(plain, 1)])
    (back,) = await queue.using(at_front=True).enqueue_many([queue.using(at_front=False).call(plain, 1)])
    assert await queue.job_ids() == [front.id, back.id]
    with pytest.raises(aioq.InvalidInput, match="job_timout"):
        queue.using().call("a.b", job_timout=5)  # type: ignore[arg-type]


# Queues of a server


async def test_all_queues_of_a_server_share_a_connection_until_the_last_is_closed(
    queue: Queue, server: Any
) -> None:
    for name in ("a", "b"):
        await Queue(name, queue.connection, secret=None).enqueue(jobs.noop)

    first, second = await Queue.all(server.url)
    assert first.connection is second.connection
    await first.aclose()
    await first.aclose()
    assert await second.count() == 1
    assert second.connection.opened == 1, "it was not closed with the first"
    await second.aclose()
    assert await second.count() == 1
    assert second.connection.opened == 2
    await second.aclose()


async def test_all_queues_of_a_server_take_what_a_queue_takes(queue: Queue, server: Any) -> None:
    async with Queue("sealed", server.url, prefix="shop", secret="a secret of the test", serializer="json") as own:
        await own.enqueue(jobs.noop)
        (found,) = await Queue.all(server.url, prefix="shop", secret="a secret of the test", serializer="json")
        async with found:
            assert found == own
            assert (await found.jobs())[0].func_name == "tests.jobs.noop"
            with pytest.raises(errors.SerializationError):
                await found.enqueue(plain, {1, 2})
        await own.delete()

    assert await Queue.all(server.url, prefix="none") == []
