"""The example web applications, as processes of their own, asked over HTTP; this process brings the worker."""

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from aioq import Queue
from tests.conftest import Server, free_port, port_of_nobody
from tests.pages import blocks
from tests.tools import eventually_sync

ROOT = Path(__file__).parent.parent.parent
COMMANDS = {
    "fastapi": ("uvicorn", "examples.fastapi_app:app", "--host", "127.0.0.1", "--port", "{port}"),
    "aiohttp": ("aiohttp.web", "examples.aiohttp_app:make_app", "-H", "127.0.0.1", "-P", "{port}"),
    "flask": ("flask", "--app", "examples.flask_app", "run", "--port", "{port}"),
    "django": ("gunicorn", "examples.django_app:application", "--threads", "40", "--bind", "127.0.0.1:{port}"),
}


class Web:
    """A client of one running application."""

    def __init__(self, kind: str, url: str) -> None:
        self.kind, self.url = kind, url
        self.orders = Path()

    async def enqueue(self, text: str) -> str:
        body = {"json": text} if self.kind == "fastapi" else {"content": text}
        response = await self.client.post("/words", **body)
        assert response.status_code == 202
        return response.json()["id"]

    async def get(self, path: str, **options) -> httpx.Response:
        return await self.client.get(path, **options)

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.url}/jobs/nope").status_code == 404
        except httpx.ConnectError:
            return False


@pytest.fixture(scope="module", params=sorted(COMMANDS))
def application(request, shared_server: Server, tmp_path_factory) -> Iterator[Web]:
    port = free_port()
    web = Web(request.param, f"http://127.0.0.1:{port}")
    log = tmp_path_factory.mktemp("web") / "log"
    web.orders = log.with_name("orders.db")
    environment = {
        "PYTHONWARNINGS": "error::ResourceWarning",
        "AIOQ_REDIS_URL": shared_server.url,
        "ORDERS": str(web.orders),
    }

    with log.open("wb") as output:
        command = [sys.executable, "-m", *(word.format(port=port) for word in COMMANDS[request.param])]
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=subprocess.STDOUT)

        try:
            eventually_sync(lambda: process.poll() is not None or web.answers(), timeout=20)
            assert process.poll() is None, log.read_text()
            yield web
        finally:
            process.terminate()
            process.wait()

    assert "Traceback" not in log.read_text()
    assert "Warning" not in log.read_text()


@pytest.fixture
async def web(application: Web, server: Server) -> AsyncIterator[Web]:
    async with httpx.AsyncClient(base_url=application.url, timeout=20) as application.client:
        yield application


async def test_a_job_goes_from_queued_to_its_result(web: Web, start_worker) -> None:
    job_id = await web.enqueue("to be or not to be")

    status = await web.get(f"/jobs/{job_id}")
    assert (status.status_code, status.json()["status"], status.json()["meta"]) == (200, "queued", {})
    early = await web.get(f"/jobs/{job_id}/result")
    assert (early.status_code, early.json()) == (202, {"status": "queued"})

    await start_worker()
    result = await web.get(f"/jobs/{job_id}/result", params={"wait": 10})
    assert (result.status_code, result.json()) == (200, {"status": "finished", "result": 6})
    status = await web.get(f"/jobs/{job_id}")
    assert status.json()["status"] == "finished"


async def test_a_handler_and_a_job_ask_for_the_same_session(
    web: Web, start_worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    if web.kind != "fastapi":
        return

    monkeypatch.setenv("ORDERS", str(web.orders))
    made = (await web.client.post("/orders", json="a bicycle")).json()
    assert (await web.get(f"/orders/{made['order']}")).json() == {"item": "a bicycle", "paid": False}

    await start_worker()
    result = await web.get(f"/jobs/{made['job']}/result", params={"wait": 10})
    assert result.json() == {"status": "finished", "result": "a bicycle is paid"}
    assert (await web.get(f"/orders/{made['order']}")).json() == {"item": "a bicycle", "paid": True}
    assert (await web.get("/orders/99")).status_code == 404


async def test_a_failing_job_shows_its_error_and_no_code(web: Web, start_worker) -> None:
    await start_worker()
    job_id = await web.enqueue(" ")
    result = await web.get(f"/jobs/{job_id}/result", params={"wait": 10})
    assert result.status_code == 200
    assert result.json() == {
        "status": "failed",
        "error": "ValueError",
        "message": "there are no words to count",
    }
    assert (await web.get(f"/jobs/{job_id}")).json()["status"] == "failed"


@pytest.mark.parametrize("path", ["/jobs/nope", "/jobs/nope/result", "/jobs/%7Bx%7D%20y/result?wait=1"])
async def test_an_unknown_job_is_404(web: Web, path: str) -> None:
    assert (await web.get(path)).status_code == 404


async def test_requests_that_come_together_are_all_served(web: Web, start_worker, server) -> None:
    await start_worker()
    ids = await asyncio.gather(*(web.enqueue("word " * number) for number in range(1, 41)))
    results = await asyncio.gather(*(web.get(f"/jobs/{each}/result?wait=10") for each in ids))
    assert [result.json()["result"] for result in results] == list(range(1, 41))

    async with Queue("default", server.url) as queue:
        assert await queue.count() == 0


async def test_a_request_that_gives_up_does_no_harm(web: Web, start_worker) -> None:
    job_id = await web.enqueue("one two")

    with pytest.raises(httpx.ReadTimeout):
        await web.get(f"/jobs/{job_id}/result?wait=10", timeout=0.3)

    await start_worker()
    result = await web.get(f"/jobs/{job_id}/result?wait=10")
    assert result.json() == {"status": "finished", "result": 2}


def test_an_application_whose_own_worker_cannot_begin_does_not_begin(tmp_path: Path) -> None:
    for block in blocks(ROOT / "docs/fastapi.md"):
        if block.file == "small_app.py":
            (tmp_path / block.file).write_text(block.code)

    command = [sys.executable, "-m", "uvicorn", "small_app:app", "--port", str(free_port())]
    environment = {"AIOQ_REDIS_URL": f"redis://127.0.0.1:{port_of_nobody()}"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=30
    )
    assert done.returncode == 3
    assert "Application startup failed" in done.stderr
