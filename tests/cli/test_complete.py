"""What a shell is given to complete names of queues and ids of jobs."""

from __future__ import annotations

from pathlib import Path

import pytest
import typer

from aioq.cli import complete
from aioq.embedded import EmbeddedServer, is_running
from tests.cli.tools import Cli

NOWHERE = "redis://127.0.0.1:1"


def completed(cli: Cli, *words: str, url: str = "") -> list[str]:
    """As bash asks, with the last word unfinished."""
    environment = {"_AIOQ_COMPLETE": "complete_bash", "COMP_WORDS": " ".join(("aioq", *words))}
    environment |= {"COMP_CWORD": str(len(words))} | ({"AIOQ_REDIS_URL": url} if url else {})
    done = cli.process(environment=environment)
    assert done.stderr == ""
    return done.stdout.split()


def context(cli: Cli, **params: str) -> typer.Context:
    found = typer.Context(typer.main.get_command(typer.Typer(callback=lambda: None)))
    found.params = {"url": cli.url, **params}
    return found


@pytest.mark.chaos
def test_a_shell_asks(cli: Cli) -> None:
    cli.enqueue("a1", "a2", "b1", queue="mail")
    cli.enqueue("a3", queue="shop")
    assert completed(cli, "ls", "--queue", "m") == ["mail"]
    assert completed(cli, "job", "show", "a") == ["a1", "a2", "a3"]
    assert completed(cli, "job", "cancel", "--queue", "shop", "a") == ["a3"]
    assert completed(cli, "ls", "--queue", "m", url=NOWHERE) == []


def test_names(cli: Cli) -> None:
    assert complete.queue_names(context(cli), "") == []
    cli.enqueue("x", queue="mail")
    cli.enqueue("x", queue="shop")
    assert complete.queue_names(context(cli), "") == ["mail", "shop"]
    assert complete.queue_names(context(cli, prefix="other"), "") == []


def test_ids_of_all_states(cli: Cli) -> None:
    cli.fail("f")
    cli.enqueue("q")
    assert complete.job_ids(context(cli), "") == ["q", "f"]
    assert complete.job_ids(context(cli, queue="none"), "") == []


@pytest.mark.parametrize("url", [NOWHERE, "nonsense", "redis://localhost:port", "embedded://?x"])
def test_errors_are_silent(cli: Cli, url: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert complete.queue_names(context(cli, url=url), "") == []
    assert complete.job_ids(context(cli, url=url, queue="a b"), "") == []
    assert capfd.readouterr() == ("", "")


def test_no_server_is_started_for_it(cli: Cli, folder: Path) -> None:
    url = f"embedded://{folder}/data"
    assert complete.queue_names(context(cli, url=url), "") == []
    assert not (folder / "data").exists()
    server = EmbeddedServer.open(folder / "data")
    assert is_running(url)
    there = Cli(server.url, cli.environment)
    there.enqueue("x", queue="mail")
    assert complete.queue_names(context(cli, url=url), "") == ["mail"]
    server.close()
