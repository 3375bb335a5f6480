"""`aioq stats`: tables and sparklines that are readable in 80 columns, without colours and without Unicode."""

from __future__ import annotations

import json
import subprocess

import pytest
import redis

from aioq import Queue
from aioq.cli.sparkline import sparkline
from aioq.store.keys import Keys
from tests.cli.tools import Cli


@pytest.fixture
def busy(cli: Cli, raw: redis.Redis) -> Cli:
    """A queue that has had some to do for an hour and a half."""
    cli.enqueue("a")
    keys, (seconds, _) = Keys.of("default"), raw.time()
    this_minute = int(seconds) // 60

    for ago in range(90):
        hour, field = divmod(this_minute - ago, 60)
        words = f"started=60 finished={50 + ago} failed=3 retried=2 w20=40 w31=3 r25=50 run_ms=9000"
        words += f" waiting={100 + 10 * ago} age_ms={1000 * ago} running=4 scheduled=0 added={(90 - ago) * 70}"
        raw.hset(keys.minutes + b"%d" % hour, str(field), words)
        raw.pexpire(keys.minutes + b"%d" % hour, 3_600_000)

    return cli


def test_tables_for_80_columns(busy: Cli) -> None:
    lines = busy.call("stats", "default").stdout.splitlines()
    assert lines[0] == "Queue default, the last 1h by the minute"
    rows = {words[0]: words[1:] for line in lines[1:] if (words := line.split())}
    assert rows["failed"][0] == str(61 * 3)
    assert rows["finished"][0] == str(sum(50 + ago for ago in range(61)))
    assert rows["waiting"][0] == "1"
    assert set(rows["failed"][2]) == {"█"}
    assert len(rows["finished"][2]) == 40
    assert rows["finished"][2][0] == "█"
    assert rows["wait"][:3] == ["8.99ms", "107ms", "122ms"]
    assert lines[-2].startswith("1 job waits, the oldest one for ")
    assert lines[-2].endswith("; none runs; 0 workers.")
    assert lines[-1].startswith("If it goes on like this, none waits in ")
    assert max(map(len, lines)) <= 80


def test_json_has_every_period(busy: Cli) -> None:
    (found,) = json.loads(busy.call("stats", "--json", "--last", "90m").stdout)["queues"]
    assert (found["queue"], found["step"], len(found["periods"])) == ("default", "minute", 91)
    assert found["total"]["failed"] == 90 * 3
    assert found["periods"][-2]["wait"]["count"] == 43
    assert found["backlog"] == {
        "waiting": 1,
        "running": 0,
        "scheduled": 0,
        "workers": 0,
        "oldest_age": found["backlog"]["oldest_age"],
    }
    hours = json.loads(busy.call("stats", "--json", "--last", "30d").stdout)["queues"][0]
    assert (hours["step"], len(hours["periods"])) == ("hour", 721)


def test_a_terminal_without_unicode(busy: Cli) -> None:
    done: subprocess.CompletedProcess[str] = busy.process("stats", environment={"PYTHONIOENCODING": "ascii"})
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.isascii()
    assert "@" * 40 in done.stdout


def test_nothing_to_show_and_what_cannot_be(cli: Cli) -> None:
    assert cli.call("stats").stdout == "No queues.\n"
    assert cli.call("stats", "nowhere").exit_code == 1
    assert cli.call("stats", "--last", "soon").exit_code == 2
    assert 'expected "minute" or "hour"' in cli.call("stats", "--step", "day").stderr
    cli.enqueue("a")
    assert "No job waits" not in cli.call("stats").stdout
    assert "1 job waits" in cli.call("stats", "--last", "5m").stdout


def test_two_queues_are_told_one_below_the_other(busy: Cli) -> None:
    busy.enqueue("b", queue="mail")
    busy.do(Queue.empty, "mail")
    told = busy.call("stats", "--last", "5m").stdout
    first, _, second = told.partition("\n\n")
    assert first.startswith("Queue default, ")
    assert second.startswith("Queue mail, ")
    assert "No job waits" in second


def test_a_sparkline_shows_the_highest_of_what_it_has_no_room_for() -> None:
    assert sparkline([], 40) == ""
    assert sparkline([0, 0], 40) == "··"
    assert sparkline([0.001, 8, None, 0], 40) == "▁█ ·"
    assert sparkline([0, 1, None, None, 8, 0], 3) == "▁ █"
    assert sparkline([0, 1, 8], 40, encoding=None) == ".:@"
