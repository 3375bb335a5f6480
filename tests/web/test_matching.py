"""Failures in groups, searches by filters, and what is done to all jobs that fit."""

from __future__ import annotations

import html
import re

import httpx
import pytest

from aioq import Queue
from aioq.values.filter import Filter
from aioq.web.asked import frozen, quoted
from tests import jobs
from tests.tools import RunningWorker, eventually
from tests.web.tools import TOKEN, form_of, has_status, log_in


@pytest.fixture
async def visitor(queue, browse):
    made = await browse(token=TOKEN, allow_actions=True)
    await log_in(made)
    return made


async def fail(queue: Queue, count: int = 3) -> list[str]:
    """Jobs that have failed of one cause."""
    made = [await queue.using(tags=["vip"]).enqueue(jobs.div_by_zero, n) for n in range(count)]

    async with RunningWorker([queue.name], connection=queue.connection.url, concurrency=4):
        for job in made:
            await eventually(lambda job=job: has_status(queue, job.id, "failed"))

    return [job.id for job in made]


def ids_on(page: str) -> list[str]:
    return re.findall(r'class="dim id">([^<]+)<', page)


async def test_a_group_of_failures_is_muted_requeued_and_deleted(queue, visitor) -> None:
    ids = await fail(queue)
    (group,) = await queue.failures()
    page = (await visitor.get("/failures")).text
    assert "ZeroDivisionError: division by zero" in page
    assert (group.fingerprint in page, "3 failed jobs in 1 group." in page) == (True, True)

    mute = form_of(page, "mute") | {"duration": "1h", "by": "<ann>"}
    done = await visitor.post("/act", data=mute)
    assert "The failure is muted." in (await visitor.get(done.headers["location"])).text
    assert group.fingerprint not in (await visitor.get("/failures")).text
    muted = (await visitor.get("/failures?muted=yes")).text
    assert "by &lt;ann&gt;" in muted
    assert re.search(r"Muted</b> for another (1 h|59 min)", muted)
    await visitor.post("/act", data=form_of(muted, "unmute"))
    assert "division by zero" in (await visitor.get("/failures")).text

    where = {"q": f"fingerprint:{group.fingerprint}", "queue": "default"}
    assert sorted(ids_on((await visitor.get("/jobs", params=where)).text)) == sorted(ids)
    sure = (await visitor.get("/matching", params=where | {"verb": "delete"})).text
    form = form_of(sure, "delete_matching")
    assert form["count"] == "3"

    for typed in ("", "2", "three"):
        assert (await visitor.post("/act", data=form | {"typed": typed})).status_code == 400

    assert (await visitor.post("/act", data=form | {"typed": "", "count": ""})).status_code == 400
    form = form_of((await visitor.get("/matching", params=where | {"verb": "requeue"})).text, "requeue_matching")
    done = await visitor.post("/act", data=form)
    assert "3 jobs requeued." in (await visitor.get(done.headers["location"])).text
    assert await queue.count() == 3
    again = await visitor.post("/act", data=form)
    assert "0 jobs requeued." in (await visitor.get(again.headers["location"])).text


async def test_all_that_fit_are_counted_shown_and_deleted_in_every_queue(queue, visitor) -> None:
    async with Queue("other", connection=queue.connection) as other:
        for each in (queue, other):
            await each.enqueue(jobs.add, 1, 2)
            await each.enqueue(jobs.noop)

        params = {"q": "fn:*add", "verb": "delete"}
        page = (await visitor.get("/matching", params=params)).text
        assert len(ids_on(page)) == 2
        done = await visitor.post("/act", data=form_of(page, "delete_matching") | {"typed": "2"})
        assert "2 jobs deleted." in (await visitor.get(done.headers["location"])).text
        assert (await queue.count(), await other.count()) == (1, 1)

    for query in ("q=state:finished&verb=cancel", "q=tag:x&verb=explode", "q=nothing:x&verb=delete"):
        assert (await visitor.get(f"/matching?{query}")).status_code == 400

    assert (await visitor.get("/matching?verb=delete")).headers["location"] == "/jobs"


async def test_a_search_goes_on_where_its_address_says(queue, browse, monkeypatch) -> None:
    monkeypatch.setattr("aioq.web.hunt.PAGE", 40)

    async with Queue("other", connection=queue.connection) as other:
        wanted, tagged = set(), queue.using(tags=["vip"])

        for each in (queue, other):
            made = [Queue.prepare_data(jobs.noop, meta={"n": n % 10}) for n in range(150)]
            wanted |= {job.id for job in (await each.enqueue_many(made))[::10]}

        vip = [(await tagged.enqueue(jobs.noop)).id for _ in range(3)]

    visitor = await browse()
    found, pages = await go_on(visitor, "/jobs?q=meta.n:0+after:1h")
    assert (set(found), len(pages) > 2) == (wanted, True)
    assert "<b>30 jobs</b>" in pages[-1]
    assert sorted(ids_on((await visitor.get("/jobs?q=tag:vip&queue=default")).text)) == sorted(vip)
    assert (await visitor.get("/jobs?q=meta.n:0&at=default&cursor=none")).status_code == 400


async def go_on(visitor: httpx.AsyncClient, path: str) -> tuple[list[str], list[str]]:
    """The ids on all pages of a search, and these pages."""
    found, pages = [], []

    while path:
        page = (await visitor.get(path)).text
        found += ids_on(page)
        pages.append(page)
        following = re.search(r'href="([^"]+)">(Go on|Count on)', page)
        path = html.unescape(following[1]) if following else ""

    return found, pages


async def test_a_search_that_finds_more_than_a_page_shows_each_job_once(queue, visitor) -> None:
    async with Queue("other", connection=queue.connection) as other:
        made = []

        for each in (queue, other):
            made += await each.enqueue_many([Queue.prepare_data(jobs.noop) for _ in range(130)])

        for job in made[:60]:
            await job.cancel()

        for text in ("fn:*noop", "before:2999-01-01", "state:queued", "state:queued state:canceled"):
            found, pages = await go_on(visitor, f"/jobs?q={text}")
            assert len(found) == len(set(found))
            assert set(found) == {job.id for job in (made[60:] if text == "state:queued" else made)}
            assert f"<b>{len(found)} jobs</b>" in pages[-1]

        _, pages = await go_on(visitor, "/matching?verb=delete&q=fn:*noop")
        assert form_of(pages[-1], "delete_matching")["count"] == "260"


async def test_a_job_says_why_it_waits_and_leads_to_its_tags(queue, browse) -> None:
    job = await queue.using(tags=["a&b"]).enqueue(jobs.noop)
    page = (await (await browse()).get(f"/jobs/{job.id}")).text
    assert "Why it does not run" in page
    assert '<code class="whole">aioq worker default</code>' in page
    assert 'href="/jobs?q=tag%3Aa%26b">a&amp;b</a>' in page


def test_a_filter_means_the_same_when_it_is_asked_again() -> None:
    now = Filter.parse("after:1h before:5m state:failed")
    assert Filter.parse(frozen("after:1h before:5m state:failed", now)) == now
    assert frozen("after:2026-01-31T12:00", Filter.parse("after:2026-01-31T12:00")) == "after:2026-01-31T12:00"
    assert Filter.parse(quoted('error:time "out" there')).errors == ("time out there",)
