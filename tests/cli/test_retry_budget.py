"""`aioq retry-budget`, and what `aioq info` says of a budget."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from tests.cli.tools import Cli


def test_it_is_set_shown_and_removed(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    cli.enqueue("b")
    done = cli.call("retry-budget", "mail", "--limit", "100", "--per", "1m", "--at-once", "20")
    assert (done.exit_code, done.stdout) == (0, "Queue mail: at most 100 retries in 1 minute, 20 at once.\n")
    assert cli.call("retry-budget").stdout.splitlines() == [
        "Queue default: any number of retries.",
        "Queue mail: at most 100 retries in 1 minute, 20 at once.",
    ]
    assert json.loads(cli.call("retry-budget", "--json").stdout) == {
        "budgets": {"default": None, "mail": {"limit": 100, "per": 60.0, "at_once": 20, "next_at": None}}
    }
    assert cli.call("retry-budget", "mail", "--off").stdout == "Queue mail: any number of retries.\n"
    assert cli.call("retry-budget", "mail", "--limit", "1").stdout == (
        "Queue mail: at most 1 retry in 1 second, 1 at once.\n"
    )


def test_info_says_that_retries_are_held_back(cli: Cli, server) -> None:
    cli.enqueue("a")
    cli.call("retry-budget", "default", "--limit", "60", "--per", "1h")
    assert "held back" not in cli.call("info").stdout
    ahead = (datetime.now(UTC).timestamp() + 7_110) * 1000  # all tokens are back in two hours
    server.bare.hset("aioq:{default}:retry_budget", "spent_until", f"{ahead:.3f}")
    line = (
        "Retries of queue default are held back: at most 60 retries in 1 hour, 60 at once;"
        " the next one is held back for 59 minutes"
    )
    assert line in cli.call("info").stdout
    (queue,) = json.loads(cli.call("info", "--json").stdout)["queues"]
    assert (queue["retry_budget"]["limit"], queue["retry_budget"]["per"]) == (60, 3600.0)
    assert datetime.fromisoformat(queue["retry_budget"]["next_at"]) > datetime.now(UTC)


def test_a_queue_that_is_not_there_is_named(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    done = cli.call("retry-budget", "none", "mail", "--limit", "5")
    assert (done.exit_code, done.stderr) == (1, "no such queue: none (there is mail)\n")
    assert done.stdout == "Queue mail: at most 5 retries in 1 second, 5 at once.\n"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--limit", "5"], "name the queues"),
        (["mail", "--limit", "0"], "--limit"),
        (["mail", "--per", "1m"], "it needs --limit"),
        (["mail", "--at-once", "2"], "it needs --limit"),
        (["mail", "--limit", "5", "--per", "0"], "--per"),
        (["mail", "--limit", "5", "--off"], "cannot be combined with --limit"),
    ],
)
def test_what_cannot_be_is_a_usage_error(cli: Cli, words: list[str], said: str) -> None:
    cli.enqueue("a", queue="mail")
    done = cli.call("retry-budget", *words)
    assert done.exit_code == 2
    assert said in done.stderr
    assert cli.call("retry-budget").stdout == "Queue mail: any number of retries.\n"
