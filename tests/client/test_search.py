"""Jobs are found by what is stored of them, and something is done to all that are found."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from aioq import Queue
from aioq.errors import InvalidInput
from aioq.store import searching
from aioq.store.searching import Progress
from aioq.types import Filter
from aioq.values.states import JobStatus
from tests import jobs
from tests.conftest import Server
from tests.tools import assert_sound


async def found(queue: Queue, text: str, **more: object) -> list[str]:
    return sorted(job.id for job in (await queue.search(text, **more)).jobs)


async def refuse(reason: str) -> None:
    raise ConnectionError(f"no answer: {reason}")


async def test_each_condition_finds_what_it_is_for(queue: Queue, burst) -> None:
    await queue.using(job_id="bad", tags=["vip", "eu"], meta={"user": 7, "name": "Ann"}).enqueue(
        refuse, "Time Out"
    )
    await queue.using(job_id="good", tags=["eu"], meta={"user": 8}).enqueue(jobs.add, 1, 2)
    await burst()
    await queue.using(job_id="later", tags=["vip"]).enqueue_in("1h", jobs.add, 1, 2)
    await queue.using(job_id="waits").enqueue(jobs.add, 1, 2)
    (failed,) = (await queue.search("state:failed")).jobs

    for text, expected in {
        "": ["bad", "good", "later", "waits"],
        "state:failed state:queued": ["bad", "waits"],
        "id:bad id:waits id:none": ["bad", "waits"],
        "fn:tests.*": ["bad", "good", "later", "waits"],
        "fn:*.add": ["good", "later", "waits"],
        "fn:*search*ref*": ["bad"],
        "fn:tests.jobs": [],
        "tag:vip": ["bad", "later"],
        "tag:eu tag:vip": ["bad"],
        "tag:none": [],
        "tag:vip state:scheduled": ["later"],
        'error:"no answer: time out"': ["bad"],
        "error:connectionerror": ["bad"],
        f"worker:{failed.worker_name}": ["bad", "good"],
        "meta.user:7": ["bad"],
        "meta.user:8 meta.name:Ann": [],
        "meta.name:Ann": ["bad"],
        f"fingerprint:{failed.fingerprint}": ["bad"],
        f"fingerprint:{failed.fingerprint} state:finished": [],
        "after:1h": ["bad", "good", "later", "waits"],
        "before:1h": [],
        "TIME": ["bad"],
        "waits": ["waits"],
    }.items():
        page = await queue.search(text)
        assert sorted(job.id for job in page.jobs) == expected, text
        assert (page.cursor, page.matched) == (None, len(expected)), text

    assert await found(queue, "", tags=["vip"], states="failed") == ["bad"]
    assert await found(queue, "", meta={"user": 7}) == ["bad"]
    assert await found(queue, Filter(states=(JobStatus.QUEUED,))) == ["waits"]  # type: ignore[arg-type]


async def test_a_search_goes_on_where_it_has_stopped(queue: Queue, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "STEP", 7)
    some = [Queue.prepare_data(jobs.add, (each, 0), tags=["odd"] if each % 2 else []) for each in range(40)]
    made = [job.id for job in await queue.enqueue_many(some)]
    await queue.enqueue_in("1h", jobs.add, 1, 2)

    for text, expected in (("state:queued", made), ("fn:*add", None), ("tag:odd", made[1::2])):
        seen: list[str] = []
        cursor, scanned = None, 0

        while True:
            page = await queue.search(text, limit=3, cursor=cursor, scan=5)
            assert len(page.jobs) <= 3
            assert page.scanned >= scanned
            seen += [job.id for job in page.jobs]
            cursor, scanned = page.cursor, page.scanned

            if cursor is None:
                break

        assert len(seen) == len(set(seen)) == page.matched
        assert page.scanned == page.total
        assert expected is None or sorted(seen) == sorted(expected)
        assert expected is not None or len(seen) == 41

    page = await queue.search("state:queued", limit=1)

    with pytest.raises(InvalidInput, match="another filter"):
        await queue.search("state:failed", cursor=page.cursor)

    with pytest.raises(InvalidInput, match="cursor='no'"):
        await queue.search("state:failed", cursor="no")

    for text, forged in (("state:failed", Progress(place=-3)), ("id:a", Progress(cursor=b"x"))):
        with pytest.raises(InvalidInput, match="none that a search has given"):
            await queue.search(text, cursor=forged.pack(Filter.parse(text)))


async def test_something_is_done_to_all_that_match(queue: Queue, burst, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(searching, "STEP", 4)

    for reason in ("one", "two"):
        await queue.enqueue_many([Queue.prepare_data(refuse, (reason,), tags=[reason]) for _ in range(10)])

    await burst()
    moved: list[int] = []
    assert await queue.requeue_matching("state:failed tag:one", progress=moved.append) == 10
    assert sum(moved) == 10
    assert (await queue.count(), await queue.failed_job_registry.count()) == (10, 10)
    assert await queue.cancel_matching("tag:one") == 10
    assert await queue.delete_matching("state:failed tag:one") == 0
    assert await queue.delete_matching("state:failed error:two") == 10
    assert await queue.delete_matching("state:canceled") == 10
    await assert_sound(queue)

    with pytest.raises(InvalidInput, match="all jobs"):
        await queue.delete_matching("")


async def test_a_search_unpickles_nothing(queue: Queue, server: Server, tmp_path: Path) -> None:
    job = await queue.using(job_id="a", meta={"user": 1}).enqueue(jobs.add, 1, 2)
    mark = tmp_path / "mark"
    hostile = b"p" + pickle.dumps(_Hostile(str(mark)))

    with server.client() as client:
        client.hset(f"aioq:{{default}}:job:{job.id}", mapping={"meta.user": hostile, "data": hostile})

    assert await found(queue, "meta.user:1") == []
    assert await found(queue, "state:queued add") == ["a"]
    assert not mark.exists()


class _Hostile:
    def __init__(self, path: str) -> None:
        self.path = path

    def __reduce__(self) -> object:
        return Path.touch, (Path(self.path),)


async def test_a_call_that_says_what_it_wants_in_a_wrong_way_is_refused(queue: Queue) -> None:
    for call, told in (
        (queue.search("state:failed", tags=["vip"]), "give a filter, or its parts (tags), and not both"),
        (queue.search("", colour="red"), "colour: no such condition"),
        (queue.search(7), "filter=7: expected a text or a Filter, not int"),
        (queue.mute_failure("0" * 12, muted_by="x" * 10_000), "muted_by"),
    ):
        with pytest.raises(InvalidInput) as caught:
            await call
        assert told in str(caught.value)
