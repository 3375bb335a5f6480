"""`aioq doctor`."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest
import redis

from aioq.doctor import KINDS
from tests.cli.tools import Cli
from tests.conftest import Server


@pytest.fixture
def damaged(cli: Cli, raw: redis.Redis) -> None:
    """Five jobs that no lane has, an entry of nothing, and a sound queue."""
    cli.enqueue(*(f"j{number}" for number in range(5)))
    cli.enqueue("m", queue="mail")
    raw.delete("aioq:{default}:lane:main")
    raw.xadd("aioq:{default}:lane:main", {"id": "ghost"})


def test_sound_queues(cli: Cli) -> None:
    cli.enqueue("a")
    done = cli.call("doctor")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "Queue default: 1 job examined, nothing found\n" in done.stdout
    assert done.stdout.endswith("\nThe data is sound.\n")


def test_a_server_without_queues_and_a_queue_that_is_not_there(cli: Cli) -> None:
    done = cli.call("doctor")
    assert done.exit_code == 0
    assert "No queues." in done.stdout
    done = cli.call("doctor", "maill")
    assert done.exit_code == 1
    assert "Queue maill: no such queue" in done.stdout
    assert done.stdout.endswith("\nNot sound: 1 queue missing.\n")
    document = json.loads(cli.call("doctor", "maill", "--json").stdout)
    assert document["sound"] is False
    assert document["queues"] == [{"name": "maill", "listed": False, "format": None, "jobs": 0, "findings": []}]


def test_queues_are_found_by_their_keys_when_the_list_is_lost(cli: Cli, raw: redis.Redis) -> None:
    cli.enqueue("a")
    cli.enqueue("b", queue="mail:2/x")
    cli.enqueue("c", queue="gone")
    cli.do(lambda queue: queue.delete(), "gone")
    raw.delete("aioq:queues")
    done = cli.call("doctor")
    assert done.exit_code == 1
    assert "Queue default: 1 job examined, 1 finding\n  queue-not-listed (1): " in done.stdout
    assert "Queue mail:2/x: 1 job examined, 1 finding\n  queue-not-listed (1): " in done.stdout
    assert "gone" not in done.stdout

    assert cli.call("doctor", "--repair").exit_code == 0
    assert raw.smembers("aioq:queues") == {"default", "mail:2/x"}
    assert cli.call("doctor").exit_code == 0


def test_damage_is_named_explained_and_repaired(cli: Cli, damaged: None) -> None:
    done = cli.call("doctor")
    assert done.exit_code == 1
    assert "\nQueues are stored in format 1\n" in done.stdout
    assert "Queue default: 5 jobs examined, 6 findings" in done.stdout
    assert "  job-without-index (5): " in done.stdout
    assert "      ... and 2 more (--json lists all)" in done.stdout
    assert "Means:" in done.stdout
    assert "Queue mail: 1 job examined, nothing found" in done.stdout
    assert "Not sound: 6 findings left. `aioq doctor --repair` repairs" in done.stdout

    assert cli.call("doctor", "mail").exit_code == 0

    done = cli.call("doctor", "--repair")
    assert done.exit_code == 0
    assert "  job-without-index (5, repaired): " in done.stdout
    assert "Means:" not in done.stdout
    assert done.stdout.endswith("The data is sound. 6 repaired.\n")

    assert cli.call("doctor").exit_code == 0
    assert sorted(cli.queued()) == [f"j{number}" for number in range(5)]


def test_what_cannot_be_repaired_remains(cli: Cli, raw: redis.Redis) -> None:
    cli.enqueue("a")
    raw.set("aioq:{default}:odd", "x", ex=60)
    done = cli.call("doctor", "--repair")
    assert done.exit_code == 1
    assert done.stdout.endswith("Not sound: 1 finding left.\n")


def test_json(cli: Cli, damaged: None) -> None:
    done = cli.call("doctor", "--json", "default")
    assert done.exit_code == 1
    document = json.loads(done.stdout)
    assert document["sound"] is False
    (queue,) = document["queues"]
    assert (queue["name"], queue["format"], queue["jobs"]) == ("default", 1, 5)
    assert len(queue["findings"]) == 6
    assert queue["findings"][0] == {
        "queue": "default",
        "kind": "job-without-index",
        "name": "j0",
        "words": "it is queued, and is in no lane",
        "repaired": False,
    }
    assert {"name", "level", "value", "words", "server"} == set(document["server"][0])


@pytest.mark.chaos
@pytest.mark.parametrize("columns", [80, 120])
def test_the_screen_holds_it(cli: Cli, damaged: None, columns: int) -> None:
    status, seen = cli.on_terminal("doctor", columns=columns)
    assert status == 1
    assert all(len(line) <= columns for line in seen.splitlines()), seen
    assert "ghost" in seen


def test_a_bad_setting_is_a_problem(own_server: Callable[..., Server], environment: dict[str, str]) -> None:
    server = own_server("--maxmemory", "100mb", "--maxmemory-policy", "allkeys-lru")
    done = Cli(server.url, environment).call("doctor")
    assert done.exit_code == 1
    assert "PROBLEM maxmemory-policy (allkeys-lru)" in done.stdout
    assert "1 problem of the server" in done.stdout


def test_no_server_and_a_wrong_option(cli: Cli) -> None:
    done = cli.call("doctor", "-u", "redis://127.0.0.1:1/0")
    assert (done.exit_code, done.stdout) == (1, "")
    assert len(done.stderr.splitlines()) == 1
    assert cli.call("doctor", "--nonsense").exit_code == 2


def test_the_page_names_every_kind(request: pytest.FixtureRequest) -> None:
    page = (request.config.rootpath / "docs/doctor.md").read_text()
    assert [kind for kind in KINDS if f"| `{kind}` |" not in page] == []


def test_of_many_sound_queues_only_the_number_is_told(cli: Cli, raw: redis.Redis) -> None:
    for at in range(21):
        cli.enqueue("x", queue=f"q{at:02}")

    done = cli.call("doctor")
    assert done.stdout.splitlines()[-3:] == [
        "21 queues: 21 jobs examined, nothing found",
        "",
        "The data is sound.",
    ]
    raw.set("aioq:{q03}:odd", "x", ex=60)
    cli.enqueue("x", queue="one-more")
    done = cli.call("doctor")
    assert "Queue q03: 1 job examined, 1 finding\n" in done.stdout
    assert "The other 21 queues: 21 jobs examined, nothing found\n" in done.stdout
    assert "q04" not in done.stdout
    assert len(json.loads(cli.call("doctor", "--json").stdout)["queues"]) == 22


def test_a_bar_is_shown_on_a_terminal_and_nowhere_else(cli: Cli) -> None:
    cli.enqueue("x")
    cli.enqueue("y", queue="mail")
    assert cli.call("doctor").stderr == ""
    _, seen = cli.on_terminal("doctor")
    assert "Examining 2 queues" in seen
    assert "4/4" in seen
