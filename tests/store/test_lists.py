"""Pages of lists: where they may end earlier, and those of the jobs that ended in a certain time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest

from aioq import Queue
from aioq.store.lists import IdPage, read_page
from aioq.values.filter import Filter
from aioq.values.options import EXPIRED_TTL_MS
from aioq.values.states import JobStatus
from tests import jobs
from tests.tools import eventually

STATES = (JobStatus.QUEUED, JobStatus.SCHEDULED, JobStatus.CANCELED, JobStatus.EXPIRED)


@pytest.fixture
async def full(queue: Queue) -> Queue:
    """A queue with some hundreds of jobs in several states, and in both lists of a registry."""
    await queue.enqueue_many([Queue.prepare_data(jobs.noop, ttl=0.001) for _ in range(130)])
    await queue.enqueue_many([Queue.prepare_data(jobs.noop) for _ in range(130)])
    await asyncio.gather(*(queue.enqueue_in(3600 + n, jobs.noop) for n in range(130)))

    for options in ({}, {"failure_ttl": 600}):
        made = await queue.enqueue_many([Queue.prepare_data(jobs.noop, **options) for _ in range(80)])
        await asyncio.gather(*(job.cancel() for job in made))

    await eventually(lambda: all_expired(queue))

    return queue


async def all_expired(queue: Queue) -> bool:
    return (await queue.store.reads.count())[JobStatus.EXPIRED] == 130


async def page(queue: Queue, state: JobStatus, order: str, cursor: bytes = b"") -> IdPage:
    values = {"state": state, "cursor": cursor, "skip": 0, "limit": 1000, "page": 1000, "order": order}

    return read_page(
        await queue.store.lists._calls.call("ids", **values, before="", since="", expired_ttl=EXPIRED_TTL_MS)
    )


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_behind_each_mark_the_rest_of_the_page_comes(full: Queue, order: str) -> None:
    for state in STATES:
        whole = await page(full, state, order)
        assert len(whole.ids) == len(set(whole.ids)) == (160 if state == JobStatus.CANCELED else 130)
        assert not whole.cursor

        if state != JobStatus.EXPIRED:  # those of one millisecond come together
            assert [count for count, _ in whole.marks] == list(range(50, len(whole.ids) + 1, 50))

        for count, cursor in whole.marks:
            assert (await page(full, state, order, cursor)).ids == whole.ids[count:]


async def test_a_search_asks_only_for_jobs_that_ended_in_the_time(full: Queue) -> None:
    searching = full.store.searching
    whole = (await page(full, JobStatus.CANCELED, "desc")).ids
    middle = await full.fetch_job(whole[70])
    assert middle is not None
    assert middle.ended_at is not None
    wanted = Filter(states=(JobStatus.CANCELED,), after=middle.ended_at + timedelta(seconds=1))
    asked = (await searching.page(wanted, 0, b"", 1000)).ids
    assert whole[: len(asked)] == asked
    assert 70 <= len(asked) <= 160
    later = Filter(states=(JobStatus.CANCELED,), after=middle.ended_at + timedelta(hours=1))
    assert (await searching.page(later, 0, b"", 1000)).ids == []
    expired = Filter(states=(JobStatus.EXPIRED,), after=middle.ended_at + timedelta(hours=1))
    assert (await searching.page(expired, 0, b"", 1000)).ids == []
