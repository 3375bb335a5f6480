"""A worker that was told what it may run loads nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from aioq import InvalidInput, Queue, Worker
from tests import jobs
from tests.client import kinds
from tests.security.plant import trap_call
from tests.tools import eventually


async def failure(queue: Queue, job_id: str) -> str:
    job = await queue.fetch_job(job_id)
    assert job.is_failed, job.status
    return job.exc_info.splitlines()[-1]


async def test_what_is_covered_runs(queue: Queue, start_worker) -> None:
    await start_worker(allow=["tests.jobs.*", "tests.client.kinds.Account.*"])
    assert await (await queue.enqueue(jobs.add, 1, 2)).result(10) == 3
    assert await (await queue.enqueue("tests.jobs.add_sync", 1, 2)).result(10) == 3
    assert await (await queue.enqueue(kinds.Account(5).withdraw, 2)).result(10) == 3
    assert await (await queue.enqueue(kinds.Account.named, "a")).result(10)


async def test_what_is_not_covered_fails_once_and_is_not_loaded(queue: Queue, burst, raw, tmp_path: Path) -> None:
    job = await queue.enqueue("tests.worker.exiting_module.f", 1, retry=3)
    raw.hset(f"aioq:{{default}}:job:{job.id}", "data", trap_call(tmp_path / "marker"))
    method = await queue.enqueue(kinds.Account(5).withdraw, 2)
    await burst(allow="tests.jobs.*")
    text = "FunctionNotAllowed: {} is not covered by --allow tests.jobs.*; it was not loaded"
    assert text.format("tests.worker.exiting_module.f") in await failure(queue, job.id)
    assert text.format("tests.client.kinds.Account.withdraw") in await failure(queue, method.id)
    assert not (tmp_path / "marker").exists()

    await method.requeue()
    await burst(allow="tests.*")
    assert await method.result(10) == 3


async def test_a_way_out_of_a_covered_module_is_none(queue: Queue, burst) -> None:
    job = await queue.enqueue("tests.jobs.time.sleep", 0)
    await burst(allow="tests.jobs.*")
    assert "FunctionNotAllowed: tests.jobs.time.sleep is time.sleep" in await failure(queue, job.id)


async def test_the_environment_says_it_too(queue: Queue, burst, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOQ_ALLOW", "shop.*,store.*")
    job = await queue.enqueue(jobs.noop)
    await burst()
    assert "--allow shop.* store.*" in await failure(queue, job.id)
    await job.requeue()
    await burst(allow="tests.*")
    assert await eventually(job.get_status) == "finished"


def test_a_bad_pattern_is_refused_at_once() -> None:
    with pytest.raises(InvalidInput, match="allow: 'a b' is not a pattern"):
        Worker("default", allow=["a b"])
