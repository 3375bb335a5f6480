"""Who may read and who may act: hosts, tokens, roles, and forms of other sites."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI
from starlette.requests import Request

from aioq.errors import InvalidInput
from aioq.web import dashboard
from tests import jobs
from tests.web.tools import TOKEN, form_of, log_in


async def test_only_names_of_this_machine_are_answered_without_a_token(queue, browse) -> None:
    visitor = await browse()

    for host, code in (("localhost", 200), ("127.0.0.1:8642", 200), ("[::1]:80", 200), ("evil.example", 421),
                       ("localhost.evil.example", 421), ("[", 421), ("", 421)):  # fmt: skip
        answer = await visitor.get("/", headers={"host": host})
        assert answer.status_code == code, host
        assert ("Queues" in answer.text) == (code == 200)

    everywhere = await browse(token=TOKEN, hosts=["0.0.0.0", "named.example"])

    for host, code in (("10.1.2.3:8642", 303), ("named.example", 303), ("evil.example", 421)):
        assert (await everywhere.get("/", headers={"host": host})).status_code == code


async def test_it_only_shows_unless_actions_are_allowed(queue, browse) -> None:
    job = await queue.enqueue(jobs.noop)
    visitor = await browse()
    assert '<form method="post"' not in (await visitor.get(f"/jobs/{job.id}")).text
    answer = await visitor.post("/act", data={"verb": "delete", "queue": "default", "id": job.id})
    assert (answer.status_code, await queue.fetch_job(job.id)) == (403, job)


async def test_with_a_token_nothing_is_shown_without_it(queue, browse) -> None:
    job = await queue.enqueue(jobs.noop)
    visitor = await browse(token=TOKEN)

    for path in ("/", "/jobs", f"/jobs/{job.id}", "/live/", "/nothing"):
        answer = await visitor.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path

    wrong = await visitor.post("/login", data={"token": "another"})
    assert (wrong.status_code, "That is not the token." in wrong.text) == (403, True)
    assert (await visitor.get("/")).status_code == 303
    await log_in(visitor)
    assert (await visitor.get("/")).status_code == 200
    cookie = visitor.cookies["aioq_session"]
    assert TOKEN not in cookie
    await visitor.post("/logout")
    assert (await visitor.get("/")).status_code == 303

    for forged in (cookie[:-1] + "0" * (cookie[-1] != "0"), "x.9999999999.", "", cookie.replace(".1", ".9", 1)):
        answer = await visitor.get("/", headers={"cookie": f"aioq_session={forged}"})
        assert answer.status_code == 303, forged

    assert (await visitor.get("/", headers={"authorization": f"Bearer {TOKEN}"})).status_code == 200
    assert (await visitor.get("/", headers={"authorization": "Bearer x"})).status_code == 303


async def test_the_cookie_is_for_this_site_and_no_script(queue, browse) -> None:
    visitor = await browse(token=TOKEN, base="https://localhost")
    answer = await visitor.post("/login", data={"token": TOKEN})
    words = {each.strip().lower() for each in answer.headers["set-cookie"].split(";")}
    assert {"httponly", "samesite=strict", "secure", "path=/"} <= words


@pytest.mark.parametrize(
    "change",
    [
        {"headers": {"sec-fetch-site": "cross-site"}},
        {"headers": {"sec-fetch-site": "same-site"}},
        {"headers": {"origin": "https://evil.example"}},
        {"headers": {"origin": "null"}},
        {"form": {"form_token": ""}},
        {"form": {"form_token": "0" * 64}},
        {"cookie": True},
    ],
    ids=str,
)
async def test_a_form_of_another_site_does_nothing(queue, browse, change: dict[str, object]) -> None:
    job = await queue.enqueue(jobs.noop)
    visitor = await browse(token=TOKEN, allow_actions=True)
    await log_in(visitor)
    form = form_of((await visitor.get(f"/jobs/{job.id}")).text, "cancel") | change.get("form", {})

    if "cookie" in change:  # of another login
        visitor.cookies.clear()
        await log_in(visitor)

    answer = await visitor.post("/act", data=form, headers=change.get("headers", {}))
    assert answer.status_code == 403
    assert await job.get_status() == "queued"


async def test_an_application_says_who_may_do_what(queue, server) -> None:
    job = await queue.enqueue(jobs.noop)
    app = FastAPI()
    dash = dashboard(queue, allow=lambda request: request.headers.get("x-role", "none"))
    app.mount("/deep/queues", dash)
    transport = httpx.ASGITransport(app=app)

    async with httpx.AsyncClient(transport=transport, base_url="http://shop.example") as visitor:
        assert (await visitor.get("/deep/queues/")).status_code == 403
        visitor.headers["x-role"] = "read"
        page = (await visitor.get(f"/deep/queues/jobs/{job.id}")).text
        assert 'href="/deep/queues/queues/default"' in page
        assert 'src="/deep/queues/static/live.js' in page
        assert 'name="verb"' not in page
        found = await visitor.get("/deep/queues/jobs", params={"q": job.id})
        assert found.headers["location"] == f"/deep/queues/jobs/{job.id}"
        assert (await visitor.get("/deep/queues/static/style.css")).status_code == 200
        visitor.headers["x-role"] = "act"
        form = form_of((await visitor.get(f"/deep/queues/jobs/{job.id}")).text, "cancel")
        done = await visitor.post("/deep/queues/act", data=form)
        assert done.headers["location"] == f"/deep/queues/jobs/{job.id}?told=canceled"
        assert "The job is canceled." in (await visitor.get(done.headers["location"])).text

    assert await job.get_status() == "canceled"
    await dash.aclose()
    assert await queue.count() == 0  # the queue's connection is the application's


async def test_a_callback_may_wait_and_a_wrong_answer_is_an_error(queue, browse) -> None:
    async def role(request: Request) -> str:
        return "read"

    assert (await (await browse(allow=role)).get("/")).status_code == 200

    with pytest.raises(InvalidInput, match="allow: expected 'none', 'read' or 'act' as its answer, not True"):
        await (await browse(allow=lambda _: True)).get("/")


def test_what_cannot_be_safe_is_refused() -> None:
    for options, text in (
        ({"token": "short"}, "token: expected at least 16 characters, not 5"),
        ({"allow_actions": True}, "allow_actions: actions need a token"),
        ({"token": TOKEN, "allow": lambda _: "act"}, "token and allow: give one of them"),
    ):
        with pytest.raises(InvalidInput, match=text):
            dashboard("redis://localhost:1", **options)


async def test_an_aiohttp_application_mounts_it_with_an_adapter(queue) -> None:
    from aiohttp import web
    from aiohttp.test_utils import TestClient, TestServer
    from aiohttp_asgi import ASGIResource

    await queue.enqueue(jobs.noop, job_id="mine")
    app = web.Application()
    app.router.register_resource(ASGIResource(dashboard(queue), root_path="/queues"))

    async with TestClient(TestServer(app)) as visitor:
        answer = await visitor.get("/queues/jobs/mine")
        assert (answer.status, 'href="/queues/queues/default"' in await answer.text()) == (200, True)
        assert (await visitor.get("/queues/")).status == 200


async def test_the_login_is_for_names_and_forms_of_this_site_alone(queue, browse) -> None:
    visitor = await browse(token=TOKEN, hosts=["localhost"])
    page = await visitor.get("/login")
    assert (page.status_code, 'name="token"' in page.text) == (200, True)
    away = {"sec-fetch-site": "cross-site"}
    refused = await visitor.post("/login", data={"token": TOKEN}, headers=away)
    assert (refused.status_code, "The form did not come from this page." in refused.text) == (403, True)
    assert (await visitor.get("/login", headers={"host": "evil.example"})).status_code == 421
    await log_in(visitor)
    await visitor.post("/logout", headers=away)  # another site must not log anybody out
    assert (await visitor.get("/")).status_code == 200
