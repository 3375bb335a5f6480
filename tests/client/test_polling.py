"""A snapshot never changes: code that waits for that is told."""

from __future__ import annotations

import time
import warnings

import pytest

from aioq import Queue
from aioq.client import polling
from tests import jobs


async def test_who_polls_a_snapshot_is_told_once_where_that_is(queue: Queue, monkeypatch) -> None:
    monkeypatch.setattr(polling, "READS_WITHIN_S", 0.05)
    job = await queue.enqueue(jobs.noop)

    with pytest.warns(RuntimeWarning, match=r"properties do not ask the server\. `job\.get_status") as told:
        for _ in range(3 * polling.READS_TOLD):
            assert not job.is_finished
            time.sleep(0.004)

    assert [warning.filename for warning in told] == [__file__]
    assert "which stays queued" in str(told[0].message)


async def test_many_looks_in_a_short_time_and_looks_at_new_snapshots_are_not_told(
    queue: Queue, monkeypatch, burst
) -> None:
    job = await queue.enqueue(jobs.noop)

    with warnings.catch_warnings():
        warnings.simplefilter("error")

        for _ in range(10 * polling.READS_TOLD):
            assert job.is_queued

        monkeypatch.setattr(polling, "READS_WITHIN_S", 0)

        for _ in range(2 * polling.READS_TOLD):
            assert (await job.get_status()) == "queued"
            assert job.is_queued

        await burst()
        await job.refresh()

        for _ in range(3 * polling.READS_TOLD):
            assert job.is_finished
