"""`aioq group ls` and `aioq group show`; `aioq job show` names the group."""

from __future__ import annotations

import json

from aioq import Queue, Worker
from tests import jobs
from tests.cli.tools import Cli


async def make(queue: Queue) -> None:
    calls = [Queue.prepare_data(jobs.add, (1, 2)), Queue.prepare_data(jobs.div_by_zero, (1,), job_id="x")]
    await queue.enqueue_group(calls, name="done")
    await Worker([queue]).run(burst=True)
    await queue.enqueue_group(calls[:1] * 3, name="open", ttl=-1)


def test_groups_are_listed(cli: Cli) -> None:
    cli.do(make)
    listed = cli.call("group", "ls").stdout.splitlines()
    assert listed[0].split() == ["group", "queue", "members", "ended", "unfinished", "ended_at"]
    assert [line.split()[:5] for line in listed[1:]] == [
        ["done", "default", "2", "2", "1"],
        ["open", "default", "3", "0", "0"],
    ]
    assert [each["group"] for each in json.loads(cli.call("group", "ls", "default", "--json").stdout)] == [
        "done",
        "open",
    ]


def test_a_group_is_shown(cli: Cli) -> None:
    cli.do(make)
    shown = cli.call("group", "show", "done").stdout
    assert "members:    2\nended:      2\nunfinished: 1\nfinished:   1\nfailed:     1\n" in shown
    found = json.loads(cli.call("group", "show", "done", "--queue", "default", "--json").stdout)
    assert (found["members"], found["failed"], found["gone"]) == (2, 1, 0)
    assert found["ended_at"] > found["created_at"]
    assert json.loads(cli.call("group", "show", "open", "--json").stdout)["ended_at"] is None
    assert json.loads(cli.call("job", "show", "x", "--json").stdout)["group"] == "done"


def test_a_group_that_there_is_not(cli: Cli) -> None:
    cli.do(make)
    result = cli.call("group", "show", "nobody")
    assert (result.exit_code, result.stderr) == (1, "Error: no queue has a group nobody (there is default)\n")
    result = cli.call("group", "show", "nobody", "--queue", "other")
    assert (result.exit_code, result.stderr) == (1, "Error: queue other has no group nobody\n")
