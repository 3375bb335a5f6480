"""The examples, tested as their authors would test them: with the fixtures of aioq's own plugin."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from aioq.testing import TestKit, run_inline
from examples import jobs
from examples.aiohttp_app import make_app
from examples.database import TABLE, get_session
from examples.fastapi_app import app


@pytest.fixture
def session() -> Iterator[sqlite3.Connection]:
    """A database with one order, in the place of the one that the environment names."""
    session = sqlite3.connect(":memory:", check_same_thread=False)
    session.execute(TABLE)
    session.execute("INSERT INTO orders (item) VALUES ('a bicycle')")
    yield session
    session.close()


@pytest.fixture
async def client(aioq_environment: dict[str, str]) -> AsyncIterator[httpx.AsyncClient]:
    async with app.router.lifespan_context(app):
        transport = httpx.ASGITransport(app=app)

        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            yield client


async def test_words_are_counted() -> None:
    assert await run_inline(jobs.count_words, "to be or not") == 4
    with pytest.raises(ValueError, match="there are no words to count"):
        await run_inline(jobs.count_words, " ")


async def test_a_plain_function_saves_its_meta(aioq_kit: TestKit) -> None:
    assert len(await run_inline(jobs.digest, "text", rounds=1)) == 64
    await aioq_kit.queue().enqueue(jobs.digest, "text", rounds=1)
    (run,) = await aioq_kit.run_until_idle()
    assert run.job.meta["thread"] > 0


async def test_progress_is_saved_page_by_page(aioq_kit: TestKit) -> None:
    await aioq_kit.queue().enqueue(jobs.convert, 2)
    (run,) = await aioq_kit.run_until_idle()
    assert (run.result, run.job.meta) == ("2 pages", {"page": 2})


async def test_a_report_that_comes_late_is_read_at_the_second_try(aioq_kit: TestKit, tmp_path: Path) -> None:
    report = tmp_path / "report.txt"
    job = await aioq_kit.queue().enqueue(jobs.read_report, str(report))
    with pytest.raises(FileNotFoundError, match=r"report\.txt"):
        await aioq_kit.run_until_idle()

    report.write_text("all is well")
    await job.requeue()
    (run,) = await aioq_kit.run_until_idle()
    assert run.result == "all is well"


async def test_a_word_count_that_waits_for_too_long_expires(aioq_kit: TestKit) -> None:
    job = await aioq_kit.queue().enqueue(jobs.count_words, "a b", ttl="1m")
    await aioq_kit.advance(minutes=1)
    assert await aioq_kit.run_until_idle() == []
    assert await job.get_status() == "expired"


async def test_a_handler_and_its_job(client: httpx.AsyncClient, aioq_kit: TestKit, session, monkeypatch) -> None:
    def fake_session() -> sqlite3.Connection:
        return session

    monkeypatch.setitem(app.dependency_overrides, get_session, fake_session)
    aioq_kit.override(get_session, fake_session)

    order = (await client.post("/orders", json="a ship")).json()
    await aioq_kit.assert_enqueued(jobs.charge, order["order"])
    assert (await client.get(f"/orders/{order['order']}")).json() == {"item": "a ship", "paid": False}

    await aioq_kit.run_until_idle()
    assert (await client.get(f"/orders/{order['order']}")).json() == {"item": "a ship", "paid": True}
    assert (await client.get(f"/jobs/{order['job']}/result")).json()["result"] == "a ship is paid"


async def test_the_job_alone_with_a_session_of_the_test(session: sqlite3.Connection) -> None:
    assert await run_inline(jobs.charge, 1, overrides={get_session: lambda: session}) == "a bicycle is paid"
    assert session.execute("SELECT paid FROM orders").fetchall() == [(1,)]


async def test_nobody_waits_for_an_answer_after_a_minute(client: httpx.AsyncClient, aioq_kit: TestKit) -> None:
    job_id = (await client.post("/words", json="to be")).json()["id"]
    await aioq_kit.advance(minutes=1)
    assert (await client.get(f"/jobs/{job_id}")).json()["status"] == "expired"


async def test_the_same_with_aiohttp(aioq_environment: dict[str, str], aioq_kit: TestKit) -> None:
    from aiohttp.test_utils import TestClient, TestServer

    async with TestClient(TestServer(make_app([]))) as client:
        answer = await client.post("/words", data="to be or not")
        await aioq_kit.run_until_idle()
        found = await client.get(f"/jobs/{(await answer.json())['id']}/result")
        assert (await found.json())["result"] == 4
