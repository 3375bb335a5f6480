"""Job without an event loop."""

from __future__ import annotations

import pickle
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, NoReturn

import pytest

import aioq
from aioq import JobFailed, JobStatus, NoSuchJobError, errors
from aioq.errors import JobCanceled, JobStopped
from aioq.sync import Job, Queue
from tests import jobs
from tests.tools import eventually_sync


class Own(Exception):
    """One that clients list."""


class Threaded:
    """A value that says on which thread it was packed and read."""

    def __init__(self) -> None:
        self.read_on: int | None = None

    def __getstate__(self) -> dict[str, int]:
        return {"packed_on": threading.get_ident()}

    def __setstate__(self, state: dict[str, int]) -> None:
        self.packed_on = state["packed_on"]
        self.read_on = threading.get_ident()


def give(value: Any) -> Any:
    return value


def fail(text: str) -> NoReturn:
    raise Own(text)


def block(seconds: float) -> None:
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        time.sleep(0.01)


def test_a_result_is_waited_for(queue: Queue, start_worker: Callable[..., Any]) -> None:
    waiting = queue.enqueue(jobs.add, 1, 2)
    assert (waiting.status, waiting.return_value(), waiting.latest_result()) == ("queued", None, None)
    threading.Timer(0.1, start_worker).start()
    assert waiting.result(timeout="20s") == 3
    assert (waiting.is_finished, waiting.get_position()) == (True, None)
    assert waiting.return_value() == 3
    assert [run.return_value for run in waiting.results()] == [3]
    assert waiting.result() == 3, "it is kept"


def test_a_timeout_is_kept(queue: Queue) -> None:
    job = queue.enqueue(jobs.noop)
    for limit in (0, 0.05, "50ms"):
        begun = time.monotonic()
        with pytest.raises(errors.ResultTimeout, match="has not ended within"):
            job.result(timeout=limit)
        assert time.monotonic() - begun < 2
    with pytest.raises(aioq.InvalidInput):
        job.result(timeout=-1)


def test_how_a_job_ended_is_raised(queue: Queue, server: Any, start_worker: Callable[..., Any]) -> None:
    start_worker()

    with Queue("default", server.url, exceptions=[Own]) as listing:
        job = listing.enqueue(fail, "its own")
        with pytest.raises(JobFailed, match="its own") as raised:
            job.result(timeout=10)
        assert isinstance(raised.value.__cause__, Own)
        assert (job.is_failed, job.error_message) == (True, "its own")
        assert job.requeue(at_front=True) is job

    running = queue.enqueue(block, 20)
    eventually_sync(lambda: running.get_status() == JobStatus.STARTED)
    running.stop()
    with pytest.raises(JobStopped):
        running.result(timeout=10)
    later = queue.enqueue_in(600, jobs.noop)
    later.cancel()
    with pytest.raises(JobCanceled):
        later.result(timeout=10)
    later.delete()
    with pytest.raises(NoSuchJobError):
        later.result(timeout=10)
    with pytest.raises(NoSuchJobError):
        Job.fetch(later.id, queue)


def test_the_traceback_of_an_error_begins_at_the_call(queue: Queue) -> None:
    job = queue.enqueue(jobs.noop)
    job.delete()

    with pytest.raises(NoSuchJobError) as raised:
        job.refresh()  # the line

    first, *others = traceback.extract_tb(raised.value.__traceback__)
    assert (first.filename, first.line) == (__file__, "job.refresh()  # the line")
    assert others[-1].filename.endswith("aioq/client/snapshot.py")
    assert len(others) < 8
    assert raised.value.__context__ is None


def test_an_error_keeps_nothing_alive(queue: Queue) -> None:
    import gc
    import weakref

    class Witness:
        pass

    def call() -> weakref.ref[Witness]:
        witness = Witness()
        with pytest.raises(NoSuchJobError):
            Job.fetch("none", queue)
        return weakref.ref(witness)

    gc.disable()
    try:
        assert call()() is None
    finally:
        gc.enable()


def test_meta_is_merged(queue: Queue) -> None:
    job = queue.enqueue(jobs.noop, meta={"a": 1})
    other = Job.fetch(job.id, queue)
    other.meta["b"] = 2
    other.save_meta()
    kept = job.meta
    kept["a"] = 5
    job.save_meta()
    kept["c"] = 6
    job.save_meta_sync()
    assert job.get_meta() == {"a": 5, "b": 2, "c": 6}
    job.meta = {"b": 2}
    job.save_meta()
    job.save_meta()
    assert Job.fetch_many([job], queue)[0].meta == {"b": 2}  # type: ignore[union-attr]
    job.meta["f"] = lambda: 0
    with pytest.raises(errors.SerializationError):
        job.save_meta()
    job.refresh()
    assert job.meta == {"b": 2}


def test_values_are_packed_and_read_on_the_callers_thread(queue: Queue, start_worker: Callable[..., Any]) -> None:
    job = queue.enqueue(give, Threaded())
    assert job.args[0].packed_on == threading.get_ident()
    start_worker()
    assert job.result(timeout=10).read_on == threading.get_ident()
    assert job.return_value().read_on == threading.get_ident()


def test_a_handle_is_one_of_its_job(queue: Queue) -> None:
    job = Job.create(jobs.add, (1, 2), ttl=43)
    assert (job.queue, job.origin, job.status, job.ttl, job.durability) == (None, None, None, 43, None)
    with pytest.raises(errors.InvalidJobOperation, match="never enqueued"):
        job.refresh()
    assert queue.enqueue_job(job) is job
    assert (job.queue, job.origin, job.is_queued) == (queue, "default", True)
    assert job.durability is not None
    assert job == Job.fetch(job, queue) == aioq.Job(job.record, queue.store)
    assert len({job, Job.fetch(job, queue)}) == 1
    assert (job.func, job.args, job.kwargs, job.origin) == (jobs.add, (1, 2), {}, "default")
    assert "add(1, 2)" in job.description
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(job)
    with pytest.raises(errors.InvalidType, match="expected a Queue"):
        Job.fetch("a", "redis://localhost")  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidJobOperation, match="not a job of queue"):
        Queue("other", queue.connection).fetch_job(job)


def test_code_that_polls_a_snapshot_is_warned(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.client.polling.READS_WITHIN_S", 0)
    job = queue.enqueue(jobs.noop)
    with pytest.warns(RuntimeWarning, match=r"`job.get_status\(\)` does") as caught:
        while job.is_queued:
            if caught.list:
                break
    assert caught.list[0].filename == __file__
