"""Every page, over HTTP: what it shows of any job, that it writes nothing, and how little it asks for."""

from __future__ import annotations

import os
import pickle
import re
from pathlib import Path

import pytest

from aioq import Queue
from tests import jobs
from tests.web.tools import HOSTILE, PATHS, TOKEN, client, fill, log_in, settings_are_known


async def test_every_page_shows_every_state_and_writes_nothing(queue, browse, raw) -> None:
    ids = await fill(queue)
    before = stored(raw)
    visitor = await browse()

    for path in PATHS:
        answer = await visitor.get(path)
        assert answer.status_code == 200, path
        assert "default" in answer.text or path in ("/workers", "/audit", "/failures")

    for state, job_id in ids.items():
        listed = await visitor.get("/jobs", params={"state": state})
        assert job_id in listed.text, state
        shown = await visitor.get(f"/jobs/{job_id}")
        assert (shown.status_code, f'<span class="state {state}">' in shown.text) == (200, True)

    assert ">took<" in (await visitor.get("/jobs?state=finished")).text
    assert ">took<" not in (await visitor.get("/jobs?state=canceled")).text
    failed = (await visitor.get(f"/jobs/{ids['failed']}")).text
    assert failed.count("ZeroDivisionError: division by zero") >= 3
    assert "return x / 0" in failed
    assert re.search(r"<th scope=\"row\">order</th><td><code>5</code>", failed)
    assert ids["started"] in (await visitor.get(f"/jobs/{ids['deferred']}")).text
    assert ids["deferred"] in (await visitor.get(f"/jobs/{ids['started']}")).text
    assert stored(raw) == before


def stored(raw) -> dict[str, object]:
    """All that is stored, without what ends by itself within seconds."""
    return {key: raw.dump(key) for key in raw.keys() if ":done:" not in key and ":gone:" not in key}


async def test_an_empty_server_says_what_to_do_next(server, browse) -> None:
    visitor = await browse()
    assert "aioq enqueue" in (await visitor.get("/")).text
    assert "aioq worker" in (await visitor.get("/workers")).text
    await Queue("fresh", server.url).enqueue(jobs.noop)
    assert "Nothing was counted in this time." in (await visitor.get("/queues/fresh")).text
    missing = await visitor.get("/queues/none")
    assert (missing.status_code, "There is no queue none." in missing.text) == (404, True)
    gone = await visitor.get("/jobs/none")
    assert (gone.status_code, "No queue has a job none." in gone.text) == (404, True)
    assert (await visitor.get("/no/page")).status_code == 404


@pytest.mark.parametrize("path", [*PATHS, "/login", "/nothing", "/static/live.js"])
async def test_no_page_loads_or_runs_what_is_not_its_own(queue, browse, path: str) -> None:
    await queue.enqueue(jobs.noop)
    answer = await (await browse()).get(path)
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert (answer.headers["x-content-type-options"], answer.headers["x-frame-options"]) == ("nosniff", "DENY")

    if "html" in answer.headers.get("content-type", ""):
        text = answer.text.replace('xmlns="http://www.w3.org/2000/svg"', "")  # a name, which nobody loads
        assert not re.search(r"<style|\sstyle=|\son\w+=|javascript:|https?://", text)
        assert re.findall(r"<script([^>]*)>", answer.text) == [
            f' src="/static/live.js?v={re.search(r"v=([0-9a-f]+)", answer.text)[1]}" defer'
        ]


async def test_hostile_texts_stay_texts(queue, browse, raw) -> None:
    job = await queue.enqueue(jobs.add, HOSTILE, y=HOSTILE, meta={HOSTILE: HOSTILE}, description=HOSTILE)
    key = f"aioq:{{default}}:job:{job.id}"
    raw.hset(key, "func", HOSTILE)
    raw.hset(key, "error", f"{HOSTILE}\n{HOSTILE}")
    raw.hset(key, "worker", HOSTILE)
    raw.hset(key, "reason", HOSTILE)
    raw.sadd("aioq:workers", HOSTILE)
    raw.hset(f"aioq:worker:{HOSTILE}", mapping={"hostname": HOSTILE, "queues": HOSTILE, "version": HOSTILE})
    visitor = await browse()

    for path in [
        *PATHS,
        f"/jobs/{job.id}",
        f"/jobs?q={HOSTILE[:8]}",
        "/jobs?state=<script>&queue=<script>&at=<script>",
    ]:
        answer = await visitor.get(path)
        assert answer.status_code == 200, path
        assert "<script>alert" not in answer.text
        assert "<img" not in answer.text
        assert "49" not in re.sub(r"[0-9a-f]{12}", "", answer.text) or "{{7*7}}" in answer.text
        assert "\x1b" not in answer.text

    assert "&lt;script&gt;alert" in (await visitor.get(f"/jobs/{job.id}")).text
    raw.flushall()


class Bomb:
    """Unpickling it would make a folder."""

    def __init__(self, place: str) -> None:
        self.place = place

    def __reduce__(self):
        return os.mkdir, (self.place,)


@pytest.mark.parametrize("secret", [None, "a secret of the queue that is long"])
async def test_no_page_unpickles_anything(queue, browse, raw, tmp_path: Path, secret: str | None) -> None:
    ids = await fill(queue)
    bomb = b"p" + pickle.dumps((None, (Bomb(str(tmp_path / "made")),), {}))
    assert pickle.loads(bomb[1:]) is not None
    (tmp_path / "made").rmdir()

    for job_id in ids.values():
        raw.hset(f"aioq:{{default}}:job:{job_id}", mapping={"data": bomb, "result": bomb, "meta.x": bomb})

    visitor = await browse(secret=secret)

    for path in [
        *PATHS,
        *(f"/jobs/{job_id}" for job_id in ids.values()),
        *(f"/jobs?state={state}" for state in ids),
    ]:
        answer = await visitor.get(path)
        assert answer.status_code == 200
        assert "mkdir" in answer.text or not path.startswith("/jobs/") or secret

    assert not (tmp_path / "made").exists()


async def test_damaged_jobs_are_shown_as_far_as_they_can_be_read(queue, browse, raw) -> None:
    ids = await fill(queue)
    damages = ({"status": "odd"}, {"data": b"\xff\x00"}, {"error": b"\xff{"}, {"opts": b"["}, {"created_at": "x"},
               {"started_at": "9" * 15, "ended_at": "-1"}, {"parents": "x@y@z,,w"}, {"func": b"\xff"})  # fmt: skip
    visitor = await browse()

    for job_id, damage in zip([*ids.values()], damages, strict=False):
        raw.hset(f"aioq:{{default}}:job:{job_id}", mapping=damage)
        raw.rpush(f"aioq:{{default}}:attempts:{job_id}", "no json")
        assert (await visitor.get(f"/jobs/{job_id}")).status_code == 200, damage

    for path in [*PATHS, *(f"/jobs?state={state}" for state in ids)]:
        assert (await visitor.get(path)).status_code == 200

    raw.flushall()


async def test_long_lists_come_page_by_page_and_each_job_once(queue, browse) -> None:
    async with Queue("other", connection=queue.connection) as other:
        made = [(await each.enqueue(jobs.noop)).id for each in (queue, other) for _ in range(70)]

    visitor = await browse()
    path, found = "/jobs?state=queued", []

    while path:
        text = (await visitor.get(path)).text
        found += re.findall(r'class="dim id">(\w+)<', text)
        following = re.search(r'href="([^"]+)">Next page', text)
        path = following[1].replace("&amp;", "&") if following else ""

    assert found == made


async def test_a_search_finds_an_id_in_any_queue_and_functions_in_steps(queue, browse) -> None:
    job = await queue.enqueue(jobs.add, 1, 2, job_id="mine")
    await queue.enqueue(jobs.noop)
    visitor = await browse()
    answer = await visitor.get("/jobs", params={"q": "mine"})
    assert (answer.status_code, answer.headers["location"]) == (303, f"/jobs/{job.id}")
    listed = (await visitor.get("/jobs", params={"q": "JOBS.add"})).text
    assert re.findall(r'class="dim id">(\w+)<', listed) == ["mine"]
    none = (await visitor.get("/jobs", params={"q": "nobody"})).text
    assert "No job fits." in none


async def test_an_id_in_several_queues_shows_all_of_them(queue, browse) -> None:
    async with Queue("other", connection=queue.connection) as other:
        await queue.enqueue(jobs.add, 1, 1, job_id="twice")
        await other.enqueue(jobs.add, 2, 2, job_id="twice")

    visitor = await browse()
    first = (await visitor.get("/jobs/twice")).text
    assert "Other queues have a job of this id, too" in first
    assert "add(2, 2)" in (await visitor.get("/jobs/twice?queue=other")).text


async def test_lists_stay_short_and_few_calls_whatever_jobs_hold(queue, browse, raw) -> None:
    for _ in range(60):
        await queue.enqueue(jobs.add, "x" * 500_000, 2)

    visitor = await browse()
    await visitor.get("/")
    await settings_are_known()

    for path in PATHS:
        raw.config_resetstat()
        answer = await visitor.get(path)
        sent = raw.info("stats")["total_net_output_bytes"]
        calls = sum(
            int(each["calls"]) for name, each in raw.info("commandstats").items() if name.endswith("evalsha")
        )
        assert answer.status_code == 200
        assert sent < 60_000, path
        assert calls <= 9, path

    assert "tests.jobs.add(…)" in (await visitor.get("/jobs")).text


async def test_of_a_long_audit_the_rows_that_name_a_job_are_shown_with_a_command_for_all(
    queue, browse, raw
) -> None:
    await queue.enqueue(jobs.noop)
    told = '["ann","code","cancel","",""]'
    rows = {f'["w{number}",1,"j{number % 1900}"]\n{told}': 1e12 + number for number in range(2_100)}
    raw.zadd(queue.store.keys.audit, rows)
    raw.pexpire(queue.store.keys.audit, 90_000_000)
    visitor = await browse()
    found = (await visitor.get("/audit", params={"queue": "default", "job": "j150"})).text
    assert found.count(">cancel</td>") == 2
    assert "aioq audit default --job=j150 --limit 10000" in found
    none = (await visitor.get("/audit", params={"queue": "default", "job": "$(reboot)"})).text
    assert "lately." in none
    assert "aioq audit default &#39;--job=$(reboot)&#39; --limit 10000" in none


async def test_a_server_that_is_away_is_a_page_that_says_so_and_it_recovers(own_server) -> None:
    own = own_server()

    async with client(own.url, base="http://127.0.0.1") as visitor:
        assert (await visitor.get("/")).status_code == 200
        own.stop(kill=True)
        away = await visitor.get("/queues", timeout=40)
        assert (away.status_code, "data-recovers" in away.text) == (503, True)
        own.start()
        assert (await visitor.get("/queues")).status_code == 200


async def test_arguments_are_hidden_before_they_leave_the_process(queue, browse) -> None:
    ids = await fill(queue)
    await queue.enqueue(jobs.add, "a password", y="another", meta={"card": "4111"})

    def hide(function: str, name: str, text: str) -> str:
        if name == "error":
            raise ValueError(function)
        return "•••"

    visitor = await browse(redact=hide)
    (job_id,) = [each.id for each in await queue.jobs() if each.id != ids["queued"]]
    pages = [(await visitor.get(path)).text for path in (*PATHS, f"/jobs/{job_id}", f"/jobs/{ids['failed']}")]
    assert not any(
        word in page for page in pages for word in ("a password", "another", "4111", "by zero", "x / 0")
    )
    assert "tests.jobs.add(•••, y=•••)" in pages[PATHS.index("/jobs")]
    assert "(hidden)" in pages[-1]


async def test_a_live_token_is_not_in_any_page(queue, browse) -> None:
    visitor = await browse(token=TOKEN, allow_actions=True)
    await log_in(visitor)

    for path in PATHS[:2]:
        text = (await visitor.get(path)).text
        assert TOKEN not in text
        assert "the-form-token-of-this-visitor" not in text
