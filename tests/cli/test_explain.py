"""`aioq explain`, and what `aioq suspend` tells of a pause."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest

from aioq import Job, Queue
from tests import jobs
from tests.cli.tools import Cli


def explained(cli: Cli, *words: str) -> dict[str, Any]:
    result = cli.call("explain", *words, "--json")
    assert result.exit_code == 0, result.output

    return json.loads(result.stdout)


def test_a_job_that_waits_tells_why_and_what_helps(cli: Cli) -> None:
    cli.enqueue("first", "second", queue="mail")
    assert cli.call("explain", "second").stdout == (
        "job second of queue mail is queued:\n"
        "- No live worker serves queue mail.\n"
        "  Start one: `aioq worker mail`\n"
        "- 1 job is ahead of it.\n"
    )


def test_a_remedy_can_be_carried_out_as_it_stands(cli: Cli) -> None:
    cli.fail("x", queue="mail")
    remedy = explained(cli, "x")["reasons"][0]["remedy"]
    words = re.findall(r"`aioq ([^`]*)`", remedy)
    assert words == ["job show x --queue mail", "job requeue x --queue mail"]

    for each in words:
        assert cli.call(*each.split()).exit_code == 0

    assert cli.status("x", "mail") == "queued"


def test_json_has_kinds_and_data_as_plain_values(cli: Cli) -> None:
    cli.do(lambda queue: queue.enqueue_in(3600, jobs.noop, job_id="later"))
    found = explained(cli, "later")
    assert (found["id"], found["queue"], found["status"]) == ("later", "default", "scheduled")
    assert [each["kind"] for each in found["reasons"]] == ["due", "no_worker"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+\+00:00", found["reasons"][0]["data"]["due_at"])


def test_an_id_in_two_queues_is_explained_in_both(cli: Cli) -> None:
    cli.enqueue("x", queue="mail")
    cli.enqueue("x", queue="news")
    assert [each["queue"] for each in explained(cli, "x")] == ["mail", "news"]
    assert explained(cli, "x", "--queue", "news")["queue"] == "news"


def test_a_job_that_never_was_is_an_error_and_one_that_went_just_now_is_told(cli: Cli) -> None:
    never = cli.call("explain", "never")
    assert never.exit_code == 1
    assert "no queue has a job never" in never.stderr

    async def enqueue_and_delete(queue: Queue) -> Job[Any]:
        job = await queue.enqueue(jobs.noop)
        await job.delete()

        return job

    gone = cli.call("explain", cli.do(enqueue_and_delete).id, "--queue", "default")
    assert gone.exit_code == 1
    assert "It went a moment ago." in gone.stdout


def test_who_has_canceled_or_deleted_a_job_is_told(cli: Cli) -> None:
    cli.enqueue("x", "y", queue="mail")
    cli.enqueue("z", queue="news")
    by_ann = {"AIOQ_REDIS_URL": cli.url, "AIOQ_ACTOR": "ann@desk"}

    for words in (("cancel", "x"), ("delete", "y")):
        assert cli.call("job", *words, environment=by_ann).exit_code == 0

    assert cli.call("explain", "x").stdout.startswith("job x of queue mail is canceled:\n- ann@desk canceled it ")
    gone = cli.call("explain", "y")
    assert gone.exit_code == 1
    assert re.fullmatch(
        r"job y of queue mail is gone:\n- There is no record of it. ann@desk deleted it \S+ ago.\n", gone.stdout
    )


def test_lines_fit_into_a_terminal(cli: Cli) -> None:
    cli.fail("a-rather-long-name-of-a-job", queue="mail")
    status, seen = cli.on_terminal("explain", "a-rather-long-name-of-a-job", columns=80)
    assert status == 0
    assert max(map(len, seen.splitlines())) <= 80
    assert "`aioq job requeue a-rather-long-name-of-a-job --queue mail`" in seen


def test_a_job_whose_code_and_arguments_cannot_be_loaded_is_explained(cli: Cli) -> None:
    async def enqueue(queue: Queue) -> None:
        await queue.enqueue("no.such.module.function", object_that_only_exists_here(), job_id="x")

    cli.do(enqueue)
    assert [each["kind"] for each in explained(cli, "x")["reasons"]] == ["no_worker", "ahead"]
    cli.work()
    (reason,) = explained(cli, "x")["reasons"]
    assert reason["kind"] == "not_loaded"
    assert "no module of 'no.such.module.function'" in reason["text"]
    assert "`aioq worker default --path DIRECTORY`" in reason["remedy"]


def object_that_only_exists_here() -> object:
    return subprocess.CompletedProcess([], 0)


def test_who_suspends_and_why_is_told(cli: Cli) -> None:
    cli.enqueue("x", queue="mail")
    cli.call("suspend", "--queue", "mail", "--reason", "the mail server moves", "--by", "ann", "--duration", "1h")
    told = explained(cli, "x")["reasons"][0]
    assert told["kind"] == "paused"
    assert re.fullmatch(
        r"Queue mail is paused by ann: the mail server moves \((59m 5\ds|1h) left\)\.", told["text"]
    )
    assert told["text"].rpartition(" (")[0] in cli.call("info").stdout
    (pause,) = json.loads(cli.call("info", "--json").stdout)["queues"][0]["pauses"]
    assert pause.pop("left") > 3_500
    assert pause == {"everywhere": False, "reason": "the mail server moves", "by": "ann"}


def test_a_suspension_names_the_user_and_holds_for_new_queues(cli: Cli) -> None:
    cli.enqueue("x", queue="mail")
    cli.call("suspend", "--reason", "upgrade")
    cli.enqueue("y", queue="later")

    for job_id in ("x", "y"):
        told = explained(cli, job_id)["reasons"][0]
        assert told["kind"] == "suspended"
        assert re.fullmatch(r"All workers are suspended by \S+@\S+: upgrade\.", told["text"])

    assert cli.call("info").stdout.startswith(f"{told['text']}\n")


@pytest.mark.parametrize("reason", ["", "two\nlines", "x" * 501])
def test_a_reason_that_is_no_line_is_refused(cli: Cli, reason: str) -> None:
    cli.enqueue("x", queue="mail")
    refused = cli.call("suspend", "--queue", "mail", "--reason", reason)
    assert refused.exit_code == 2
    assert "expected one line of 1 to 500 characters" in refused.stderr
    assert not cli.do(lambda queue: queue.is_paused(), "mail")
