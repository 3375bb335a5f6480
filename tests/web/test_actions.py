"""What the forms of the pages do, and what they refuse."""

from __future__ import annotations

import pytest

from tests import jobs
from tests.web.tools import HOSTILE, TOKEN, fill, form_of, has_status, log_in


@pytest.fixture
async def visitor(queue, browse):
    made = await browse(token=TOKEN, allow_actions=True)
    await log_in(made)
    return made


async def test_jobs_are_requeued_canceled_stopped_and_deleted(queue, visitor) -> None:
    ids = await fill(queue)

    for state, verb, told, after in (
        ("failed", "requeue", "The job waits in its queue again.", "queued"),
        ("queued", "cancel", "The job is canceled.", "canceled"),
        ("started", "stop", "The run is stopped.", "stopped"),
    ):
        page = (await visitor.get(f"/jobs/{ids[state]}")).text
        form = form_of(page, verb)
        done = await visitor.post("/act", data=form)
        assert told in (await visitor.get(done.headers["location"])).text
        assert await has_status(queue, ids[state], after)
        again = await visitor.post("/act", data=form)  # the button was pressed twice
        assert again.status_code == 303
        assert await has_status(queue, ids[state], after)

    form = form_of((await visitor.get(f"/jobs/{ids['finished']}")).text, "delete")
    assert (await visitor.post("/act", data=form)).headers["location"] == "/?told=deleted"
    assert await queue.fetch_job(ids["finished"]) is None
    assert (await visitor.post("/act", data=form)).headers["location"].endswith("?told=gone")


async def test_only_actions_that_a_state_allows_are_offered(queue, visitor) -> None:
    ids = await fill(queue)
    page = (await visitor.get(f"/jobs/{ids['finished']}")).text
    assert 'value="delete"' in page
    assert not any(f'value="{verb}"' in page for verb in ("requeue", "cancel", "stop"))


async def test_a_queue_is_paused_resumed_and_emptied(queue, visitor) -> None:
    await queue.enqueue(jobs.noop)
    form = form_of((await visitor.get("/queues/default")).text, "pause")
    wrong = await visitor.post("/act", data=form | {"duration": "5x"})
    assert (wrong.status_code, "duration" in wrong.text) == (400, True)
    await visitor.post("/act", data=form | {"duration": "10m"})
    assert await queue.is_paused()
    page = (await visitor.get("/queues/default")).text
    assert "It resumes by itself in 10 min" in page or "It resumes by itself in 9 min" in page
    await visitor.post("/act", data=form_of(page, "resume"))
    assert not await queue.is_paused()
    form = form_of((await visitor.get("/queues/default")).text, "empty")
    refused = await visitor.post("/act", data=form | {"typed": "another"})
    assert (refused.status_code, await queue.count()) == (400, 1)
    done = await visitor.post("/act", data=form | {"typed": "default"})
    assert "1 job that waited: deleted." in (await visitor.get(done.headers["location"])).text
    assert await queue.count() == 0


async def test_all_failed_jobs_of_a_queue_are_requeued(queue, visitor) -> None:
    ids = await fill(queue)
    form = form_of((await visitor.get("/queues/default")).text, "requeue_failed")
    done = await visitor.post("/act", data=form)
    assert "1 job requeued." in (await visitor.get(done.headers["location"])).text
    assert await has_status(queue, ids["failed"], "queued")


async def test_forms_that_ask_for_nothing_known_are_refused(queue, visitor) -> None:
    job = await queue.enqueue(jobs.noop)
    form = form_of((await visitor.get(f"/jobs/{job.id}")).text, "cancel")

    for change in ({"verb": "explode"}, {"queue": "a{b}"}, {"queue": ""}, {"verb": "x" * 70_000}):
        assert (await visitor.post("/act", data=form | change)).status_code in (400, 403)

    for back in ("//evil.example/", "https://evil.example/", "\\\\evil", "/\\evil", "/\t/evil", "/../x", ""):
        done = await visitor.post("/act", data=form | {"back": back})
        assert done.headers["location"].startswith("/?told=")

    done = await visitor.post("/act", data=form | {"back": "/jobs?state=failed&queue=default&told=paused&n=3"})
    assert done.headers["location"] == "/jobs?state=failed&queue=default&told=late"
    assert "<i>" not in (await visitor.get("/?told=<i>&n=<i>")).text


async def test_each_action_leaves_one_row_in_the_audit(queue, browse) -> None:
    hostile = HOSTILE.replace("\x1b", "")
    visitor = await browse(allow=lambda _: "act", who=lambda request: hostile, hosts=None)
    ids = await fill(queue)

    for path, verb, more in (
        (f"/jobs/{ids['failed']}", "requeue", {}),
        (f"/jobs/{ids['queued']}", "cancel", {}),
        (f"/jobs/{ids['started']}", "stop", {}),
        (f"/jobs/{ids['finished']}", "delete", {}),
        ("/queues/default", "pause", {"duration": "10m", "reason": hostile}),
        ("/queues/default", "resume", {}),
        ("/queues/default", "empty", {"typed": "default"}),
    ):
        form = form_of((await visitor.get(path)).text, verb) | more
        assert (await visitor.post("/act", data=form)).status_code == 303

        if verb != "resume":
            await visitor.post("/act", data=form | {"typed": "another"})  # it does nothing any more, or is refused

    rows = [each for each in await queue.audit() if each.action != "pause"]
    assert [each.action for each in rows] == ["empty", "resume", "delete", "stop", "cancel", "requeue"]
    assert {(each.by, each.source) for each in rows} == {(hostile, "web")}
    page = (await visitor.get("/audit?queue=default")).text
    assert "<script>alert" not in page and "&lt;script&gt;" in page
    assert ids["failed"] in page
    assert "Nobody has done anything" in (await visitor.get("/audit?queue=<i>")).text
    link = f"/audit?queue=default&amp;job={ids['canceled']}"
    assert link in (await visitor.get(f"/jobs/{ids['canceled']}")).text
    assert "Nobody has done anything to job" in (await visitor.get(link.replace("&amp;", "&"))).text

    for query in (f"queue=default&job={ids['queued']}", f"job={ids['queued']}"):
        page = (await visitor.get(f"/audit?{query}")).text
        assert ">cancel</td>" in page
        assert ">stop</td>" not in page
        assert ">resume</td>" not in page

    assert "<script>alert" not in (await visitor.get("/audit", params={"job": HOSTILE})).text


async def test_without_a_name_it_is_that_of_the_session_and_not_its_cookie(queue, visitor) -> None:
    job = await queue.enqueue(jobs.noop)
    await visitor.post("/act", data=form_of((await visitor.get(f"/jobs/{job.id}")).text, "cancel"))
    (row,) = await queue.audit()
    assert row.by.startswith("session ")
    assert not any(part in row.by for part in visitor.cookies["aioq_session"].split("."))


async def test_a_failure_that_nobody_has_cannot_be_muted(queue, visitor) -> None:
    await queue.enqueue(jobs.noop)
    form = form_of((await visitor.get("/queues/default")).text, "pause")

    for verb in ("mute", "unmute"):
        given = form | {"verb": verb, "fingerprint": "0" * 12, "duration": "", "by": "ann"}
        answer = await visitor.post("/act", data=given)
        assert (answer.status_code, "told=no_failure" in answer.headers["location"]) == (303, True), verb

    await visitor.post("/act", data=form | {"duration": " "})
    assert await queue.is_paused()
    page = (await visitor.get("/")).text
    assert "Queue default is paused" in page
    assert "; 1 job in it waits." in page
