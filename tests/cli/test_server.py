"""`aioq server`, and the other commands on an embedded server."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from pathlib import Path

from tests.cli.tools import Cli, Running, processes_of
from tests.tools import eventually_sync


def test_it_serves_until_a_signal(cli: Cli, start: Callable[..., Running], folder: Path) -> None:
    place = folder / "db"
    running = start("server", str(place))
    running.says("server.sock")
    url = running.stdout.strip()
    assert url == f"unix://{place}/server.sock?db=0"
    assert cli.call("enqueue", "tests.jobs.noop", "--job-id", "x", "-u", url).exit_code == 0
    same = f"embedded://{place}"
    assert json.loads(cli.call("ls", "--json", "-u", same).stdout)["jobs"][0]["id"] == "x"
    second = start("server", str(place), "--json")
    second.says("}")
    facts = json.loads(second.stdout)
    assert (facts["url"], facts["directory"]) == (url, str(place))
    assert any("valkey-server" in line for line in processes_of(place))

    for each, number in ((running, signal.SIGTERM), (second, signal.SIGINT)):
        each.signal(number)
        assert (each.ends(), each.stderr) == (0, "")

    eventually_sync(lambda: not processes_of(place), describe="the end of the server")


def test_an_unusable_directory_is_one_line(cli: Cli, folder: Path) -> None:
    file = folder / "file"
    file.touch()

    for words in (["server", str(file)], ["info", "-u", f"embedded://{file}"]):
        result = cli.call(*words)
        assert (result.exit_code, result.stdout) == (1, "")
        assert result.stderr == f"Error: {file} is not a directory, or is below a file\n"
