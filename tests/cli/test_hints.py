"""What commands say when there is no server, no data or no worker."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from aioq.embedded import EmbeddedServer, holds_data
from tests.cli.tools import Cli
from tests.conftest import Server
from tests.tools import eventually_sync

NOWHERE = "redis://127.0.0.1:1"


@pytest.fixture
def here(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The current directory of a command; nothing is in it."""
    monkeypatch.chdir(folder)
    yield folder
    monkeypatch.undo()


def serve(place: Path) -> None:
    """A server that has run there."""
    EmbeddedServer.open(place).close()


def test_no_server(cli: Cli, here: Path) -> None:
    for words in (["info"], ["doctor"], ["job", "show", "x"], ["worker", "--burst"]):
        result = cli.call(*words, "-u", NOWHERE)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == (
            f"Error: no server at {NOWHERE}: Connection refused. Start Redis or Valkey there,"
            " or add -u embedded://\n"
        )

    assert list(here.iterdir()) == []


def test_no_server_elsewhere(cli: Cli, here: Path) -> None:
    assert "tart Redis" not in cli.call("info", "-u", "redis://nowhere.invalid:1").stderr


def test_no_server_where_a_folder_has_one(cli: Cli, here: Path) -> None:
    serve(here / ".aioq")

    for url in (NOWHERE, "redis://nowhere.invalid:1"):
        assert cli.call("info", "-u", url).stderr.endswith(
            ". This folder has an embedded one: add -u embedded://\n"
        )


def test_no_server_and_no_program_for_one(cli: Cli, here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.store.net.absent.find_spec", lambda _: None)
    assert cli.call("info", "-u", NOWHERE).stderr.endswith(". Start Redis or Valkey there\n")


@pytest.mark.parametrize(
    "words",
    [
        ("info",),
        ("ls",),
        ("doctor",),
        ("resume",),
        ("empty", "--all"),
        ("requeue", "x"),
        ("job", "show", "x"),
        ("job", "cancel", "x"),
    ],
)
def test_nothing_is_made_where_there_is_no_data(cli: Cli, here: Path, words: tuple[str, ...]) -> None:
    for url in ("embedded://", f"embedded://{here}"):
        result = cli.call(*words, "-u", url)
        assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (1, "", 1)
        assert result.stderr.startswith("Error: there is no data of an embedded server in ")

    assert list(here.iterdir()) == []


def test_reading_starts_a_server_where_there_is_data(cli: Cli, here: Path) -> None:
    assert cli.call("enqueue", "tests.jobs.noop", "-u", "embedded://").exit_code == 0
    assert (here / ".aioq/.gitignore").read_text() == "*\n"
    assert holds_data("embedded://")
    assert cli.call("ls", "-u", "embedded://").exit_code == 0
    eventually_sync(lambda: not (here / ".aioq/server.pid").exists())
    assert "No worker serves queue default: 1 job waits." in cli.call("info", "-u", "embedded://").stdout


def test_a_folder_that_was_removed(cli: Cli, folder: Path) -> None:
    """The hint must not fail where nobody can tell what the folder has."""
    before = Path.cwd()
    gone = folder / "gone"
    gone.mkdir()
    os.chdir(gone)
    gone.rmdir()

    try:
        assert cli.call("info", "-u", NOWHERE).stderr.endswith("or add -u embedded://\n")
    finally:
        os.chdir(before)


def test_no_worker(cli: Cli) -> None:
    done = cli.call("enqueue", "tests.jobs.noop", "-q", "mail")
    assert done.stderr == "No worker serves queue mail. Start one: aioq worker mail\n"
    assert cli.call("enqueue", "tests.jobs.noop", "-q", "mail", "--quiet").output == ""
    assert cli.call("enqueue", "tests.jobs.noop", "-q", "mail", "--json").stderr == ""
    assert "No worker serves queue mail: 3 jobs wait.\n" in cli.call("info").stdout
    assert "No worker" not in cli.call("info", "--raw").stdout
    cli.work("mail")
    assert "No worker serves" not in cli.call("info").stdout


def test_a_producer_that_may_not_look_enqueues_all_the_same(cli: Cli, own_server: Callable[..., Server]) -> None:
    server = own_server()

    with server.client() as client:
        client.execute_command("ACL", "SETUSER", "default", "-zcount")

    assert cli.call("enqueue", "tests.jobs.noop", "-u", server.url).stderr == ""


def test_no_worker_for_many_queues(cli: Cli) -> None:
    for number in range(12):
        cli.enqueue("x", queue=f"q{number:02}")

    lines = [line for line in cli.call("info").stdout.splitlines() if line.startswith("No worker serves")]
    assert len(lines) == 11
    assert lines[-1] == "No worker serves 2 other queues in which jobs wait."


async def test_a_worker_that_serves_is_not_missed(cli: Cli, start_worker) -> None:
    await start_worker("default")
    assert cli.process("enqueue", "tests.jobs.noop").stderr == ""
