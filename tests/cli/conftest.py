"""The command line, in this process (fast) and as a process of its own (real), on the session's server."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cli.tools import Cli, Running
from tests.conftest import Server


@pytest.fixture
def cli(server: Server, environment: dict[str, str]) -> Cli:
    """Commands on the session's server."""
    return Cli(server.url, environment)


@pytest.fixture
def start(cli: Cli, tmp_path: Path) -> Iterator[Callable[..., Running]]:
    """Starts commands that go on; they are killed at the end of the test if they still run."""
    running: list[Running] = []

    def begin(*words: str, **options: object) -> Running:
        running.append(Running(cli, words, tmp_path / f"output-{len(running)}", **options))
        return running[-1]

    yield begin

    for each in running:
        each.destroy()


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder with a short name: it may hold a socket."""
    place = Path(tempfile.mkdtemp(prefix="aioq-", dir="/tmp"))
    yield place
    shutil.rmtree(place, ignore_errors=True)
