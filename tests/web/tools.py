"""Clients of a dashboard, and what they read on its pages."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from html import unescape

import httpx

from aioq import Queue, Repeat, Retry
from aioq.web import dashboard
from aioq.web.board import ASKING
from tests import jobs
from tests.tools import RunningWorker, eventually

TOKEN = "a-token-that-is-long-enough"

#: Texts that would do something if they were not shown as texts.
HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>'\"&{{7*7}}\x1b[31m"

PATHS = ("/", "/queues", "/queues/default", "/jobs", "/failures", "/workers", "/audit")


@asynccontextmanager
async def client(
    server: str | Queue,
    *,
    base: str = "http://localhost",
    headers: dict[str, str] | None = None,
    **options: object,
) -> AsyncIterator[httpx.AsyncClient]:
    app = dashboard(server, **options)
    transport = httpx.ASGITransport(app=app)

    async with httpx.AsyncClient(transport=transport, base_url=base, headers=headers) as made:
        yield made

    await app.aclose()


async def settings_are_known() -> None:
    """Wait until the server has told its settings. Dashboards ask for them once a minute, beside their pages."""
    asking = [each for each in asyncio.all_tasks() if each.get_name() == ASKING]
    await asyncio.gather(*asking)


async def log_in(visitor: httpx.AsyncClient) -> None:
    answer = await visitor.post("/login", data={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")


def form_of(page: str, verb: str) -> dict[str, str]:
    """The fields of the form on a page that does this."""
    for form in re.findall(r"<form method=\"post\".*?</form>", page, re.DOTALL):
        fields = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', form))

        if fields.get("verb") == verb:
            return {name: unescape(value) for name, value in fields.items()}

    raise AssertionError(f"no form for {verb}")


async def fill(queue: Queue) -> dict[str, str]:
    """A job in each state; their ids by their states."""
    ids = {}
    canceled = await queue.enqueue(jobs.noop)
    await canceled.cancel()
    ids["canceled"] = canceled.id
    ids["expired"] = (await queue.enqueue(jobs.noop, ttl=0.001)).id

    async with RunningWorker([queue.name], connection=queue.connection.url, concurrency=4):
        done = await queue.enqueue(jobs.add, 1, 2, result_ttl=600, repeat=Repeat(1))
        failed = await queue.enqueue(jobs.div_by_zero, 7, retry=Retry(1), meta={"order": 5})
        long = await queue.enqueue(jobs.sleep, 60)
        await done.result(20)
        await eventually(lambda: has_status(queue, failed.id, "failed"))
        await eventually(lambda: has_status(queue, long.id, "started"))
        await long.stop()
        ids |= {"finished": done.id, "failed": failed.id, "stopped": long.id}

    await queue.store.duty.join("w", 600_000)
    held = await queue.enqueue(jobs.sleep, 60)
    await queue.connection.call(queue.store.duty.claim_command("w", 1))
    child = await queue.enqueue(jobs.add, 3, 4, depends_on=held)
    ids |= {"started": held.id, "deferred": child.id}
    ids["scheduled"] = (await queue.enqueue_in(3600, jobs.noop)).id
    ids["queued"] = (await queue.enqueue(jobs.add, 1, y=2, at_front=True)).id

    return ids


async def has_status(queue: Queue, job_id: str, status: str) -> bool:
    job = await queue.fetch_job(job_id)
    return job is not None and job.status == status
