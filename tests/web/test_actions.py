"""What the forms of the pages do, and what they refuse."""

from __future__ import annotations

import pytest

from tests import jobs
from tests.web.tools import TOKEN, fill, form_of, has_status, log_in


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

    for back in ("//evil.example/", "https://evil.example/", "\\\\evil", ""):
        done = await visitor.post("/act", data=form | {"back": back})
        assert done.headers["location"].startswith("/?told=")

    assert "<i>" not in (await visitor.get("/?told=<i>&n=<i>")).text
