"""What a program gets that has named no server, where there is none, and what one gets that has."""

from __future__ import annotations

import subprocess
import sys
import traceback
from pathlib import Path

import pytest

from aioq import Connection, Queue
from aioq.embedded import EmbeddedServer
from aioq.errors import ServerUnreachable
from aioq.store.net.refusals import unreachable
from aioq.store.net.translation import advice_on_opening
from tests.conftest import port_of_nobody

PROGRAM = """
import asyncio
from aioq import Queue

async def main():
    async with Queue() as queue:
        await queue.enqueue("jobs.ok", 1)

asyncio.run(main())
"""


@pytest.fixture
def port(monkeypatch: pytest.MonkeyPatch) -> int:
    """A port where nobody listens, which is where a program looks that has named no server."""
    port = port_of_nobody()
    monkeypatch.setattr("aioq.store.net.url.DEFAULT_URL", f"redis://localhost:{port}/0")

    return port


async def raised(*args: str) -> ServerUnreachable:
    async with Queue("default", *args) as queue:
        with pytest.raises(ServerUnreachable) as caught:
            await queue.count()

    return caught.value


async def test_a_program_is_told_what_to_do(port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    error = await raised()
    assert str(error) == (
        f"no server at redis://localhost:{port}/0: Connection refused. Start Redis or Valkey there, or set"
        " AIOQ_REDIS_URL; embedded:// is a server of this folder, which starts by itself"
    )
    monkeypatch.setattr("aioq.store.net.absent.find_spec", lambda _: None)
    assert str(await raised()).endswith(" refused. Start Redis or Valkey there, or set AIOQ_REDIS_URL")


async def test_a_program_is_told_of_the_server_of_its_folder(
    port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    EmbeddedServer.open(tmp_path / ".aioq").close()
    monkeypatch.chdir(tmp_path)
    assert str(await raised()).endswith(
        ". This folder has an embedded one: Queue(connection='embedded://'), or AIOQ_REDIS_URL=embedded://"
    )


async def test_who_has_named_a_server_gets_no_advice(port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    url = f"redis://localhost:{port}/0"
    assert str(await raised(url)) == f"no server at {url}: Connection refused"
    monkeypatch.setenv("AIOQ_REDIS_URL", url)
    assert str(await raised()) == f"no server at {url}: Connection refused"


async def test_what_happened_inside_is_not_shown(port: int) -> None:
    error = await raised()
    shown = "".join(traceback.format_exception(error))
    assert shown.count("Traceback") == 1
    assert "redis/" not in shown
    assert "node.py" not in shown
    assert (await raised("unix:///no/such.sock")).args[0].endswith(": No such file or directory")


def test_a_program_s_last_words(environment: dict[str, str], tmp_path: Path) -> None:
    program = PROGRAM.replace("Queue()", f"Queue(connection='redis://localhost:{port_of_nobody()}')")
    done = subprocess.run(
        [sys.executable, "-c", program],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.stderr.count("\n") < 50
    assert done.stderr.splitlines()[-1].endswith("Connection refused")


def test_tls_that_a_server_may_not_speak(monkeypatch: pytest.MonkeyPatch) -> None:
    error = unreachable("rediss://db:6379/0", TimeoutError("no answer within 5 s"))
    advice = "A server without TLS does not answer: use redis:// for one"
    assert advice_on_opening("rediss://db:6379/0", error) == advice
    assert not advice_on_opening("redis://db:6379/0", error)
    monkeypatch.setenv("REDIS_SSL", "true")
    assert advice_on_opening("rediss://db:6379/0", error) == (
        f"{advice}, and unset REDIS_SSL if that is where it comes from"
    )


async def test_a_server_without_tls(server, tmp_path: Path) -> None:
    connection = Connection(server.tcp_url.replace("redis:", "rediss:") + "?socket_timeout=0.3", patient=False)

    with pytest.raises(ServerUnreachable, match=r"A server without TLS does not answer: use redis:// for one$"):
        await connection.check_server()

    await connection.aclose()
