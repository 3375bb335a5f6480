"""`aioq empty`, `suspend` and `resume`."""

from __future__ import annotations

import json

from tests.cli.tools import Cli


def test_empty(cli: Cli) -> None:
    cli.enqueue("a", "b", queue="mail")
    cli.enqueue("c")
    cli.fail("f", queue="reports")
    done = cli.call("empty", "mail", "mail", "none")
    assert (done.exit_code, done.stdout) == (1, "2 jobs removed from mail queue\n")
    assert done.stderr == "no such queue: none (there are default, mail, reports)\n"
    assert cli.call("empty", "mail").exit_code == 0
    assert cli.queued() == ["c"]
    result = cli.call("empty", "--all")
    assert result.stdout.splitlines() == [
        "1 job removed from default queue",
        "0 jobs removed from mail queue",
        "0 jobs removed from reports queue",
    ]
    assert cli.failed("reports") == ["f"]


def test_empty_of_nothing(cli: Cli) -> None:
    for words in ([], ["--all"]):
        result = cli.call("empty", *words)
        assert (result.exit_code, result.stdout) == (0, "Nothing to do\n")


def test_empty_as_json(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    result = cli.call("empty", "mail", "other", "--json")
    assert (result.exit_code, json.loads(result.stdout)) == (1, {"removed": {"mail": 1}})
    assert result.stderr == "no such queue: other (there is mail)\n"
    assert json.loads(cli.call("empty", "--json").stdout) == {"removed": {}}


def test_all_and_names_are_a_usage_error(cli: Cli) -> None:
    assert cli.call("empty", "--all", "mail").exit_code == 2


def test_suspend_and_resume(cli: Cli) -> None:
    cli.enqueue("a")
    done = cli.call("suspend")
    assert (done.exit_code, done.stdout) == (0, "All workers are suspended.\n")
    cli.work()
    assert cli.status("a") == "queued"
    done = cli.call("resume")
    assert (done.exit_code, done.stdout) == (0, "All workers are resumed.\n")
    cli.work()
    assert cli.status("a") == "finished"


def test_suspend_ends_by_itself(cli: Cli, server) -> None:
    cli.enqueue("a")
    assert cli.call("suspend", "--duration", "1").stdout == "All workers are suspended for 1 second.\n"

    with server.client() as client:
        assert 0 < client.pttl("aioq:suspended") <= 1_000
        assert 0 < client.pttl("aioq:{default}:suspended") <= 1_000
        assert cli.call("suspend", "--duration", "1m30s").stdout == "All workers are suspended for 1m30s.\n"
        assert 60_000 < client.pttl("aioq:suspended") <= 90_000


def test_a_duration_is_at_least_a_second(cli: Cli) -> None:
    for duration in ("0", "-1", "x", "900ms"):
        assert cli.call("suspend", "--duration", duration).exit_code == 2


def test_single_queues_can_be_paused(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    cli.enqueue("b")
    cli.enqueue("c", queue="other")
    result = cli.call("suspend", "--queue", "mail", "--queue", "other", "--duration", "60")
    assert result.stdout == "Queue mail is paused for 60 seconds.\nQueue other is paused for 60 seconds.\n"
    cli.work("mail", "default")
    assert (cli.status("a", "mail"), cli.status("b")) == ("queued", "finished")
    cli.call("resume", "--queue", "other")
    assert cli.call("resume", "--queue", "mail").stdout == "Queue mail is resumed.\n"
    cli.work("mail")
    assert cli.status("a", "mail") == "finished"


def test_a_queue_that_there_is_not_is_neither_paused_nor_resumed(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")

    for verb, done in (("suspend", "Queue mail is paused.\n"), ("resume", "Queue mail is resumed.\n")):
        result = cli.call(verb, "--queue", "typo", "--queue", "mail")
        assert (result.exit_code, result.stdout) == (1, done)
        assert result.stderr == "no such queue: typo (there is mail)\n"

    assert not cli.do(lambda queue: queue.is_paused(), "typo")


def test_a_pause_alone_makes_a_queue_that_can_be_resumed(cli: Cli) -> None:
    cli.do(lambda queue: queue.pause(), "early")
    assert cli.call("resume", "--queue", "early").stdout == "Queue early is resumed.\n"


def test_resume_says_what_still_holds(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    cli.call("suspend")
    cli.call("suspend", "--queue", "mail")
    assert cli.call("resume").stdout == "All workers are resumed.\nQueue mail is still paused.\n"
    cli.call("suspend")
    assert (
        cli.call("resume", "--queue", "mail").stdout
        == "Queue mail is resumed.\nAll workers are still suspended.\n"
    )
    cli.call("resume")
