"""Where a command works: the first word of the keys, and the directories that jobs are imported from."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from aioq import Connection, InvalidInput, Queue
from aioq.cli.common import CommandError, make_importable
from tests import jobs
from tests.cli.tools import Cli
from tests.conftest import Server


@pytest.fixture
def shop(server: Server) -> Iterator[None]:
    """A job under the prefix `shop`; nothing else is there."""

    async def enqueue() -> None:
        async with Queue("default", server.url, prefix="shop") as queue:
            await queue.enqueue(jobs.noop, job_id="x")

    asyncio.run(enqueue())
    yield

    with server.client() as client:
        client.flushall()


@pytest.mark.usefixtures("shop")
def test_each_command_reaches_queues_with_a_prefix(cli: Cli) -> None:
    there = ("--prefix", "shop")
    assert json.loads(cli.call("ls", "--json", *there).stdout)["total"] == 1
    assert json.loads(cli.call("ls", "--json").stdout)["total"] == 0
    assert cli.call("job", "cancel", "x", *there).stdout == "x: canceled\n"
    assert cli.call("requeue", "--queue", "default", "x", "--from", "canceled", *there).exit_code == 0
    assert cli.call("suspend", "--queue", "default", *there).stdout == "Queue default is paused.\n"
    assert cli.call("resume", "--queue", "default", *there).exit_code == 0
    assert cli.call("enqueue", "tests.jobs.noop", "--job-id", "y", *there).exit_code == 0
    assert "default: 2 jobs examined" in cli.call("doctor", *there).stdout
    assert cli.call("worker", "--burst", *there).exit_code == 0
    (queue,) = json.loads(cli.call("info", "--json", *there).stdout)["queues"]
    assert queue["finished"] == 2
    assert cli.call("info").stdout.startswith("No queues.")


@pytest.mark.usefixtures("shop")
def test_the_prefix_of_the_environment(cli: Cli, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIOQ_PREFIX", "shop")
    assert json.loads(cli.call("ls", "--json").stdout)["total"] == 1
    assert json.loads(cli.call("ls", "--json", "--prefix", "aioq").stdout)["total"] == 0
    assert cli.call("ls", "--prefix", "a b").exit_code == 2

    async def count() -> list[int]:
        """In code it counts, too."""
        async with Queue("default", server.url) as one, Queue("default", server.url, prefix="aioq") as other:
            return [await one.count(), await other.count()]

    assert asyncio.run(count()) == [1, 0]


@pytest.mark.usefixtures("shop")
async def test_all_queues_of_a_prefix(server: Server) -> None:
    assert await Queue.all(server.url) == []
    (queue,) = await Queue.all(server.url, prefix="shop")
    assert await queue.count() == 1
    await queue.aclose()
    connection = Connection(server.url, prefix="shop")
    (queue,) = await Queue.all(connection)
    assert await queue.count() == 1

    with pytest.raises(InvalidInput, match="the connection has the prefix 'shop'"):
        await Queue.all(connection, prefix="other")

    with pytest.raises(InvalidInput, match="the connection has the prefix 'shop'"):
        Queue("default", connection, prefix="other")

    await connection.aclose()


def test_the_directories_that_code_is_imported_from(cli: Cli, tmp_path: Path) -> None:
    (tmp_path / "moneys.py").write_text("class Money: pass\ndef earn(): return Money()\n")
    assert cli.call("enqueue", "moneys.earn", "--job-id", "x").exit_code == 0
    assert cli.process("worker", "--burst", "-P", str(tmp_path)).returncode == 0
    assert "moneys.Money object" in cli.process("job", "show", "x", "-P", str(tmp_path)).stdout
    assert "No module named 'moneys'" in cli.call("job", "show", "x").stdout


def test_a_directory_that_was_removed_is_told_and_nothing_is_imported_from_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    gone, there = tmp_path / "gone", tmp_path / "there"
    gone.mkdir()
    there.mkdir()
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.chdir(gone)
    gone.rmdir()
    make_importable([there])
    assert sys.path[0] == str(there)
    assert str(gone) not in sys.path
    assert capsys.readouterr().err == "The current directory was removed; nothing is imported from it\n"

    with pytest.raises(CommandError, match="--path lib: the current directory was removed"):
        make_importable([there, Path("lib")])
