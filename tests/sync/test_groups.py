"""Groups without an event loop."""

from __future__ import annotations

import pickle
import time
from typing import Any

import pytest

from aioq import JobFailed
from aioq.errors import NoCurrentJob, NoSuchGroupError, ResultTimeout
from aioq.sync import Group, Queue
from tests import jobs


def total() -> list[Any]:
    group: Group[int] = Group.current()
    assert isinstance(group.queue, Queue)

    return [group.name, sum(group.results())]


def adds(*numbers: int) -> list[Any]:
    return [Queue.prepare_data(jobs.add_sync, (number, 1)) for number in numbers]


def test_a_group_is_made_and_waited_for(queue: Queue, start_worker: Any) -> None:
    start_worker()
    group = queue.enqueue_group(adds(1, 2), on_complete=total)
    assert group.wait(timeout=20).finished == 2
    assert group.results() == [2, 3]
    assert {job.result() for job in group.as_completed(timeout=20)} == {2, 3}
    assert [job.origin for job in group.jobs() if job is not None] == ["default", "default"]

    while len(made := queue.finished_job_registry.jobs()) < 3:
        time.sleep(0.01)

    (sequel,) = [job for job in made if job.func_name.endswith("total")]
    assert sequel.result(timeout=20) == [group.name, 5]
    assert group.cancel() == group.retry_failed() == 0


def test_members_come_in_several_calls(queue: Queue) -> None:
    group = Group.create(queue, "g")
    (job,) = group.enqueue_many(queue, adds(1), more=True)
    assert job.group_id == "g"
    group.enqueue_many(queue, adds(2))
    assert Group.fetch("g", queue) == group
    assert Group.all(queue) == [group]
    assert hash(group) == hash(Group.fetch("g", queue))
    assert len(group.job_ids()) == group.progress().total == 2

    with pytest.raises(ResultTimeout):
        group.results(timeout=0)

    assert group.cancel() == 2

    with pytest.raises(JobFailed):
        group.results()

    group.delete()

    with pytest.raises(NoSuchGroupError):
        group.progress()


def test_what_a_handle_refuses(queue: Queue) -> None:
    group = Group.create(queue, "g")
    assert repr(group) == "<Group g of default>"
    assert group != "g"

    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(group)

    with pytest.raises(NoCurrentJob):
        Group.current()

    with pytest.raises(AttributeError, match=r"Write `group.jobs\(\)`"):
        group.get_jobs()  # type: ignore[attr-defined]
