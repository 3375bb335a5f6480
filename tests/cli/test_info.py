"""`aioq info`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis

from aioq import JobStatus
from tests.cli.tools import Cli, Running
from tests.conftest import Server
from tests.tools import eventually_sync

STATES = [state.value for state in JobStatus]


@pytest.fixture
def scene(cli: Cli, start: Callable[..., Running]) -> Running:
    """Jobs in several states of two queues, and a worker of one of them."""
    cli.fail("f1", "f2")
    cli.enqueue("done")
    cli.work()
    cli.enqueue("c")
    cli.call("job", "cancel", "c")
    cli.enqueue("m1", "m2", "m3", queue="mail")
    cli.call("suspend", "--queue", "mail", "--by", "ann")
    worker = start("worker", "default", "mail", "-c", "7", "-n", "web")
    worker.says("serves")
    eventually_sync(lambda: json.loads(cli.call("info", "--json").stdout)["workers"])
    return worker


def test_json(cli: Cli, scene: Running) -> None:
    done = cli.call("info", "--json")
    assert (done.exit_code, done.stderr) == (0, "")
    document = json.loads(done.stdout)
    assert document["suspended"] is False
    default, mail = document["queues"]
    none = dict.fromkeys(STATES, 0) | {"callbacks": 0, "workers": 1, "late_workers": [], "retry_budget": None}
    none |= {"paused": False, "pauses": []}
    assert default == none | {"name": "default", "failed": 2, "finished": 1, "canceled": 1}
    pause = {"everywhere": False, "reason": None, "by": "ann", "left": None}
    assert mail == none | {"name": "mail", "paused": True, "pauses": [pause], "queued": 3}
    (worker,) = document["workers"]
    assert worker["name"].startswith("web.")
    assert (worker["pid"], worker["state"], worker["queues"]) == (scene.process.pid, "idle", ["default", "mail"])
    assert (worker["running"], worker["concurrency"], worker["successful"], worker["failed"]) == (0, 7, 0, 0)
    assert set(worker) >= {"hostname", "started_at_ms", "version"}


def test_plain_and_on_a_terminal(cli: Cli, scene: Running) -> None:
    lines = cli.call("info").stdout.splitlines()
    assert lines[0].split() == ["queue", *STATES, "paused"]
    assert lines[1].split() == ["default", "0", "0", "0", "0", "1", "2", "1", "0", "0", "no"]
    assert lines[2].split() == ["mail", "3", "0", "0", "0", "0", "0", "0", "0", "0", "yes"]
    assert lines.pop(3) == "Queue mail is paused by ann."
    assert lines[3] == ""
    heads = "worker  host  pid  state  queues  running  ok  failed  memory"
    assert re.sub(" {2,}", "  ", lines[4]) == heads
    assert lines[5].split()[2:8] == [str(scene.process.pid), "idle", "default,mail", "0/7", "0", "0"]
    status, seen = cli.on_terminal("info")
    assert status == 0
    assert all(len(line) <= 80 for line in seen.splitlines())
    assert seen.split()[:6] == ["queue", "queued", "started", "finished", "failed", "other"]
    assert "1       2  1 canceled" in seen
    assert "paused" in seen
    queues, rest = seen.split("default,")
    assert "mail" in queues
    assert "mail" in rest  # on the next line where the columns beside are wide


def test_choices(cli: Cli, scene: Running) -> None:
    name = json.loads(cli.call("info", "--json").stdout)["workers"][0]["name"]
    raw = ["queue default 0", "queue mail 3", f"worker {name} idle default,mail"]
    assert cli.call("info", "--raw").stdout.splitlines() == raw
    assert cli.call("info", "-r", "-Q").stdout.splitlines() == raw[:2]
    assert cli.call("info", "-r", "-W").stdout.splitlines() == raw[2:]
    assert cli.call("info", "-r", "mail").stdout.splitlines() == raw[1:]
    none = cli.call("info", "-r", "none")
    assert (none.exit_code, none.stdout, none.stderr) == (
        0,
        "queue none 0\n",
        "no such queue: none (there are default, mail)\n",
    )
    assert "worker" not in cli.call("info", "--only-queues").stdout
    assert "queued" not in cli.call("info", "--only-workers").stdout
    by_queue = cli.call("info", "--by-queue", "-W", "default", "none").stdout.splitlines()
    assert by_queue == [f"default: {name} (idle)", "none: -"]
    assert set(json.loads(cli.call("info", "--json", "-Q").stdout)) == {"server", "suspended", "queues"}


def test_blocks_and_lags_of_the_event_loop_are_shown_if_there_are_some(
    cli: Cli, scene: Running, server: Server
) -> None:
    name = json.loads(cli.call("info", "--json").stdout)["workers"][0]["name"]

    with redis.Redis.from_url(server.url) as client:
        client.hset(f"aioq:worker:{name}", mapping={"blocks": 3, "lag_ms": 250, "memory": 50 * 2**20})

    (worker,) = json.loads(cli.call("info", "--json").stdout)["workers"]
    assert (worker["blocks"], worker["lag_ms"], worker["memory"]) == (3, 250, 50 * 2**20)
    heads, row, *_ = cli.call("info", "-W").stdout.splitlines()
    assert heads.split()[-4:] == ["memory", "lag", "ms", "blocks"]
    assert row.split()[-2:] == ["250", "3"]
    assert " 52 MB " in row


def test_an_empty_server(cli: Cli) -> None:
    assert cli.call("info").stdout == f"No queues.\n\nNo workers.\n\nServer: {cli.url}\n"
    assert json.loads(cli.call("info", "--json").stdout) == {
        "server": cli.url,
        "suspended": False,
        "queues": [],
        "workers": [],
        "schemas": {},
    }


def test_a_worker_that_is_missing_is_missed_once(cli: Cli) -> None:
    cli.enqueue("a")
    shown = cli.call("info").stdout
    assert shown.endswith(f"No worker serves queue default: 1 job waits.\n\nServer: {cli.url}\n")
    assert "No workers" not in shown
    assert "Server: " not in cli.call("info", "-Q").stdout + cli.call("info", "-W").stdout


def test_an_embedded_server_is_named_by_its_folder(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Two folders have two servers, and embedded:// is the URL of both."""
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        place = f"embedded://{tmp_path / name / '.aioq'}"
        late = cli.call("enqueue", "a.b", "--wait", "--wait-timeout", "0.1", "-u", "embedded://")
        assert late.stderr.endswith(f"; no worker serves 'default' at {place}\n")
        assert cli.call("info", "-u", "embedded://").stdout.endswith(f"\nServer: {place}\n")
        assert cli.call("worker", "-b", "-u", "embedded://").exit_code == 0
        assert f" serves default at {place}, " in caplog.text


def test_a_suspension_is_said(cli: Cli) -> None:
    cli.call("suspend")
    assert cli.call("info").stdout.startswith("All workers are suspended.\n")
    cli.call("resume")


def test_it_only_reads(cli: Cli, server) -> None:
    cli.fail("f")
    cli.enqueue("late", queue="mail")

    with server.client() as client:
        before = {key: client.dump(key) for key in client.scan_iter()}
        cli.call("info", "default", "mail", "none", "--json")
        cli.call("info")
        assert {key: client.dump(key) for key in client.scan_iter()} == before


def test_interval_on_a_terminal_looks_again_until_ctrl_c(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    status, seen = cli.on_terminal("info", "-i", "0.1", until=b"mail")
    assert status == 0
    assert "Traceback" not in seen


def test_interval_in_a_pipe(cli: Cli, start: Callable[..., Running]) -> None:
    cli.enqueue("a", queue="mail")
    running = start("info", "-i", "0.1", "-r", "-Q")
    eventually_sync(lambda: running.stdout.count("queue mail 1\n") > 1)
    running.signal(2)
    assert (running.ends(), running.stderr) == (0, "")


def test_options_that_do_not_go_together(cli: Cli) -> None:
    assert cli.call("info", "-Q", "-W").exit_code == 2
    assert cli.call("info", "-i", "1", "--json").exit_code == 2
    assert cli.call("info", "-i", "0").exit_code == 2


def test_a_queue_that_cannot_be_read_does_not_hide_the_others(cli: Cli, raw: redis.Redis) -> None:
    for name in ("a", "b", "c"):
        cli.enqueue("x", queue=name)

    raw.delete("aioq:{b}:scheduled")
    raw.set("aioq:{b}:scheduled", "x", ex=60)
    done = cli.call("info", "--json")
    document = json.loads(done.stdout)
    assert (done.exit_code, [each["name"] for each in document["queues"]]) == (1, ["a", "c"])
    assert "holds a key of aioq with a value of another type" in document["away"]["queue b"]
    done = cli.call("info")
    assert done.exit_code == 1
    assert "left out: queue b: " in done.stderr
