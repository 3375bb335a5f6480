"""`aioq failures`, `aioq ls` with a filter, and what is done to all jobs that match."""

from __future__ import annotations

import json

from aioq import Queue, Worker
from tests import jobs
from tests.cli.tools import Cli


async def make(queue: Queue) -> None:
    some = [Queue.prepare_data(jobs.div_by_zero, (each,), tags=["odd"] if each % 2 else []) for each in range(7)]
    await queue.enqueue_many([*some, Queue.prepare_data(jobs.add, (1, 2), job_id="fine")])
    await Worker([queue]).run(burst=True)


def test_failures_are_listed_muted_and_requeued(cli: Cli) -> None:
    cli.do(make)
    (group,) = json.loads(cli.call("failures", "--json").stdout)
    name = group["fingerprint"]
    assert (group["count"], group["function"], group["muted"]) == (7, "tests.jobs.div_by_zero", False)
    assert cli.call("failures", "--queue", "default").stdout.splitlines()[1].split()[:3] == [name, "default", "7"]

    assert cli.call("failures", "mute", name, "--for", "1h").stdout == f"{name}: muted in queue default\n"
    assert json.loads(cli.call("failures", "--json").stdout) == []
    (group,) = json.loads(cli.call("failures", "--all", "--json").stdout)
    assert "@" in group["muted_by"]
    assert cli.call("failures", "unmute", name).exit_code == 0
    assert cli.call("failures", "mute", "0123456789ab").exit_code == 1
    assert cli.call("failures", "mute", "nothing").exit_code == 2

    told = cli.call("requeue", "--queue", "default", "--fingerprint", name, "--dry-run", "--json")
    found = json.loads(told.stdout)
    assert (found["matched"], len(found["sample"]), found["requeued"]) == (7, 5, 0)
    told = cli.call("requeue", "--queue", "default", "--filter", "state:failed tag:odd")
    assert told.stdout.splitlines()[-2:] == ["3 jobs of queue default", "3 jobs requeued"]
    assert json.loads(cli.call("failures", "--json").stdout)[0]["count"] == 4


def test_jobs_are_listed_by_a_filter(cli: Cli) -> None:
    cli.do(make)
    assert len(json.loads(cli.call("ls", "state:failed", "--json").stdout)["jobs"]) == 7
    assert len(json.loads(cli.call("ls", "default", "--tag", "odd", "--json").stdout)["jobs"]) == 3
    found = json.loads(cli.call("ls", "--filter", "fn:*.add", "--json").stdout)
    assert ([job["id"] for job in found["jobs"]], found["is_complete"]) == (["fine"], True)
    assert cli.call("ls", "tag:odd stat:failed").exit_code == 2
    assert cli.call("ls", "state:done").exit_code == 2

    told = cli.call("job", "delete", "--queue", "default", "--filter", "tag:odd", "--json")
    assert json.loads(told.stdout)["deleted"] == 3
    assert cli.call("job", "cancel", "--queue", "default", "--filter", "state:finished").exit_code == 2
    assert cli.call("job", "delete").exit_code == 2


def test_a_job_is_enqueued_with_tags(cli: Cli) -> None:
    told = cli.call("enqueue", "tests.jobs.add", "--tag", "vip", "--tag", "eu", "--job-id", "a")
    assert told.exit_code == 0, told.output
    assert json.loads(cli.call("job", "show", "a", "--json").stdout)["tags"] == ["vip", "eu"]
    assert cli.call("enqueue", "tests.jobs.add", "--tag", "a b").exit_code == 2


def test_without_json_the_jobs_of_each_queue_are_a_table(cli: Cli) -> None:
    cli.do(make)
    cli.enqueue("other", queue="mail")
    told = cli.call("ls", "default", "mail", "fn:tests.jobs.*")
    lines = told.stdout.splitlines()
    assert (lines[0], "mail:" in lines) == ("default:", True)
    assert sum("tests.jobs.div_by_zero" in line for line in lines) == 7
    assert sum(line.split()[:1] == ["other"] for line in lines) == 1
    assert told.stderr.splitlines() == [
        "8 jobs found; 8 of 8 were looked at",
        "1 job found; 1 of 1 were looked at",
    ]
    told = cli.call("ls", "default", "state:failed", "--limit", "2")
    assert told.stderr.startswith("2 jobs found; ")
    assert told.stderr.endswith("; --limit shows more\n")
    assert cli.call("ls", "default", "state:failed", "--desc").exit_code == 2
