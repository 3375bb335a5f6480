"""`aioq job show`, `cancel`, `stop`, `delete`, and `aioq ls`."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import redis

from aioq import Dependency, Group, JobStatus, Queue, Repeat, Retry, Webhook, Worker, current_job
from aioq.cli.words import duration, repeat, retry
from aioq.values.repeat import shown_series
from tests import jobs
from tests.cli.jobs import decline
from tests.cli.tools import Cli, Running
from tests.tools import eventually_sync

#: Most jobs that are not found have finished a while ago.
KEPT = "Finished jobs are kept for 500 seconds unless result_ttl says otherwise"


def shown(cli: Cli, job_id: str, *words: str) -> dict[str, object]:
    result = cli.call("job", "show", job_id, "--json", *words)
    assert result.exit_code == 0
    return json.loads(result.stdout)


def test_show_on_a_terminal_is_for_people(cli: Cli) -> None:
    async def fail(queue: Queue) -> None:
        rule = Retry(2, jitter="full")
        await queue.using(job_id="x", retry=rule, ttl=90, result_ttl=-1).enqueue(decline)
        await Worker([queue]).run(burst=True)

    cli.do(fail)
    assert shown(cli, "x")["retry"] == {"max": 2, "jitter": "full"}
    status, seen = cli.on_terminal("job", "show", "x")
    lines = dict(re.findall(r"^(\w+): +(.*)$", seen.partition("earlier run")[0], re.MULTILINE))
    assert status == 0
    assert lines["retry"] == "2 more attempts, at once"
    assert (lines["timeout"], lines["ttl"]) == ("3 minutes", "1 minute 30 seconds")
    assert (lines["result_ttl"], lines["failure_ttl"]) == ("for ever", "1 year")
    assert re.fullmatch(r"\d+s ago, \d{4}-\d\d-\d\d \d\d:\d\d:\d\d", lines["ended_at"])
    assert "deliveries" not in lines
    assert re.search(r"^error_message: +\S", seen.partition("earlier run")[2], re.MULTILINE)
    assert not re.search(r"^\w+:\S", seen, re.MULTILINE)

    piped = cli.call("job", "show", "x").stdout
    assert re.search(r"^failure_ttl: +31536000$", piped, re.MULTILINE)
    assert re.search(r"^ended_at: +\d{4}-\d\d-\d\dT[\d:.]+\+00:00$", piped, re.MULTILINE)
    assert '"jitter": "full"' in piped
    assert not re.search(r"^\w+:\S", piped, re.MULTILINE)


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ({"max": 1}, "1 more attempt, at once"),
        (
            {"max": 6, "interval_ms": [200], "backoff": 2.0, "jitter": "full"},
            "6 more attempts, 0.2 s \u00d7 2, full jitter",
        ),
        ({"max": 3, "interval_ms": [10_000, 60_000]}, "3 more attempts, 10 s, then 60 s"),
        (
            {"max": 2, "interval_ms": [1_000], "jitter": 0.1, "max_interval_ms": 3_600_000, "at_front": True},
            "2 more attempts, 1 s, ± 10 %, at most 1 hour, at the front",
        ),
        (
            {"max": 2, "on": ["a.B"], "not_on": ["c.D", "E"]},
            "2 more attempts, at once, only for a.B, not for c.D or E",
        ),
    ],
)
def test_a_retry_in_words(rule: dict[str, object], told: str) -> None:
    assert retry(rule) == told


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        (Repeat(1), "1 more run, at once"),
        (
            Repeat(3, [10, 60], on_failure="continue"),
            "3 more runs, after 10 s, then 60 s, whether they fail or not",
        ),
        (Repeat(2, cron="@daily", timezone="Asia/Tokyo"), "2 more runs, at @daily in Asia/Tokyo"),
        (
            Repeat(until=datetime(2030, 1, 31, 18).astimezone(), cron="0 3 * * *"),
            "more runs, at 0 3 * * * in UTC, until 2030-01-31 18:00:00",
        ),
    ],
)
def test_a_series_in_words(rule: Repeat, told: str) -> None:
    assert repeat(shown_series(rule.to_dict())) == told


def test_show_tells_of_a_series(cli: Cli) -> None:
    async def work(queue: Queue) -> None:
        await queue.using(job_id="x", repeat=Repeat(2, [0, 3600])).enqueue(jobs.add, 7, 1)
        await Worker([queue]).run(burst=True)

    cli.do(work)
    facts = shown(cli, "x")
    assert (facts["status"], facts["repeat"]) == ("scheduled", {"times": 2, "interval_ms": [0, 3_600_000]})
    assert (facts["repeats"], facts["repeats_left"]) == (2, 0)
    assert [(run["outcome"], run["result"]) for run in facts["runs"]] == [("finished", 8)] * 2
    status, seen = cli.on_terminal("job", "show", "x")
    assert status == 0
    assert re.search(r"^repeat: +2 more runs, after 0 s, then 3600 s$", seen, re.MULTILINE)

    cli.enqueue("plain")
    assert "repeat" not in cli.call("job", "show", "plain").stdout


def test_ls_takes_queues_as_arguments(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    cli.enqueue("b", queue="reports")
    assert cli.call("ls", "mail").stdout == cli.call("ls", "--queue", "mail").stdout
    both = cli.call("ls", "mail", "reports").stdout.splitlines()
    assert (both[0], both[2].split()[0], both[3], both[5].split()[0]) == ("mail:", "a", "reports:", "b")
    found = json.loads(cli.call("ls", "mail", "--queue", "reports", "--json").stdout)
    assert [(each["queue"], each["total"]) for each in found] == [("mail", 1), ("reports", 1)]
    assert json.loads(cli.call("ls", "mail", "--json").stdout)["queue"] == "mail"


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (0.25, "0.25 seconds"),
        (60, "1 minute"),
        (500, "8 minutes 20 seconds"),
        (90_061, "1 day 1 hour"),
        (31_536_000, "1 year"),
    ],
)
def test_a_duration_in_words(seconds: float, told: str) -> None:
    assert duration(seconds) == told


def test_show_prints_everything(cli: Cli) -> None:
    async def fail(queue: Queue) -> None:
        await queue.using(job_id="x", meta={"n": [1, {}]}, retry=Retry(1), description="a text").enqueue(
            jobs.div_by_zero, 7
        )
        await Worker([queue]).run(burst=True)

    cli.do(fail)
    facts = shown(cli, "x")
    assert (facts["id"], facts["queue"], facts["status"]) == ("x", "default", "failed")
    assert (facts["function"], facts["args"], facts["kwargs"]) == ("tests.jobs.div_by_zero", [7], {})
    assert (facts["description"], facts["meta"], facts["retry"]) == ("a text", {"n": [1, {}]}, {"max": 1})
    assert (facts["attempt"], facts["timeout"], facts["result_ttl"], facts["ttl"]) == (2, 180, 500, None)
    assert facts["error"].endswith("ZeroDivisionError: division by zero\n")
    assert facts["started_at"] >= facts["created_at"]
    assert facts["unreadable"] == []
    (run,) = facts["runs"]
    assert (run["outcome"], run["worker"]) == ("failed", facts["worker"])
    done = cli.call("job", "show", "x")
    assert (done.exit_code, done.stderr) == (0, "")
    assert "\nstatus:        failed\n" in done.stdout
    assert "args:          [7]\n" in done.stdout
    assert 'meta:          {"n": [1, {}]}\n' in done.stdout
    assert done.stdout.count("    ZeroDivisionError: division by zero") == 2
    assert "earlier run, failed\n" in done.stdout


def test_show_of_a_finished_job_has_its_result(cli: Cli) -> None:
    cli.enqueue("x", func=jobs.add, args=((1,), (2,)))
    cli.work()
    assert shown(cli, "x")["result"] == [1, 2]
    assert "result:      [1, 2]" in cli.call("job", "show", "x").stdout


def test_show_of_values_that_json_does_not_have(cli: Cli) -> None:
    cli.enqueue("x", func="tests.jobs.any", args=({1, 2}, float("nan"), timedelta(1)))
    assert shown(cli, "x")["args"] == ["{1, 2}", "nan", "datetime.timedelta(days=1)"]


def test_show_works_without_the_job_s_code(cli: Cli, server) -> None:
    cli.enqueue("x", func="no.such.module.function", args=(1,))

    with server.client() as client:
        client.hset("aioq:{default}:job:x", mapping={"data": "pdamaged", "meta.m": "?", "meta.n": "j1"})

    facts = shown(cli, "x")
    assert (facts["function"], facts["args"], facts["meta"]) == (
        "no.such.module.function",
        None,
        {"m": None, "n": 1},
    )
    assert len(facts["unreadable"]) == 2
    assert cli.call("job", "show", "x").exit_code == 0
    assert "no.such.module.function" in cli.call("ls").stdout


def test_show_does_not_send_control_characters(cli: Cli) -> None:
    cli.do(lambda queue: queue.using(job_id="x", description="\x1b[31mred\rnext\nline").enqueue(jobs.noop))

    for words in (("job", "show", "x"), ("ls",)):
        text = cli.call(*words).stdout
        assert "\x1b" not in text
        assert "\r" not in text
        assert "\\x1b[31mred" in text


def test_show_of_no_job(cli: Cli) -> None:
    result = cli.call("job", "show", "nope", "--queue", "mail")
    assert (result.exit_code, result.stdout, result.stderr) == (
        1,
        "",
        f"Error: queue mail has no job nope. {KEPT}\n",
    )


def test_cancel(cli: Cli) -> None:
    cli.enqueue("a", "b")
    done = cli.call("job", "cancel", "a", "nope", "a", "b")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "a: canceled\nb: canceled\n", "nope: not found\n")
    assert (cli.status("a"), cli.status("b")) == ("canceled", "canceled")
    result = cli.call("job", "cancel", "a")
    assert (result.exit_code, result.stderr) == (1, "a: already canceled\n")
    cli.enqueue("c")
    cli.work()
    result = cli.call("job", "cancel", "c")
    assert (result.exit_code, result.stderr) == (1, "c: not canceled (finished)\n")


def test_stop(cli: Cli, start: Callable[..., Running]) -> None:
    cli.enqueue("runs", func=jobs.sleep, args=(60,))
    cli.enqueue("waits", queue="mail")
    start("worker")
    eventually_sync(lambda: cli.status("runs") == "started")
    done = cli.call("job", "stop", "runs")
    assert (done.exit_code, done.stdout) == (0, "runs: stopped\n")
    assert cli.status("runs") == "stopped"
    result = cli.call("job", "stop", "waits", "--queue", "mail")
    assert (result.exit_code, result.stderr) == (1, "waits: not stopped (queued)\n")


def test_delete(cli: Cli) -> None:
    cli.enqueue("a", "b")
    done = cli.call("job", "delete", "a", "nope")
    assert (done.exit_code, done.stdout, done.stderr) == (1, "a: deleted\n", "nope: not found\n")
    assert cli.queued() == ["b"]


@pytest.mark.parametrize(("verb", "word"), [("cancel", "canceled"), ("delete", "deleted")])
def test_verbs_as_json(cli: Cli, verb: str, word: str) -> None:
    cli.enqueue("a", queue="mail")
    result = cli.call("job", verb, "a", "nope", "--queue", "mail", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {"queue": "mail", word: ["a"], "refused": {"nope": "not found"}}


def test_verbs_need_an_id(cli: Cli) -> None:
    for verb in ("show", "cancel", "stop", "delete"):
        assert cli.call("job", verb).exit_code == 2


def listed(cli: Cli, *words: str) -> list[str]:
    return [job["id"] for job in json.loads(cli.call("ls", "--json", *words).stdout)["jobs"]]


def test_ls(cli: Cli) -> None:
    cli.fail("f1", "f2", "f3")
    cli.enqueue("q1", "q2")
    cli.do(lambda queue: queue.enqueue_in(60, jobs.noop, job_id="s1"))
    assert listed(cli) == ["q1", "q2", "s1", "f1", "f2", "f3"]
    assert listed(cli, "--status", "failed") == ["f1", "f2", "f3"]
    assert listed(cli, "--status", "failed", "--desc") == ["f3", "f2", "f1"]
    assert listed(cli, "--limit", "3", "--offset", "1") == ["q2", "s1", "f1"]
    assert listed(cli, "--limit", "2", "--offset", "4") == ["f2", "f3"]
    assert listed(cli, "--offset", "6") == []
    assert listed(cli, "--queue", "none") == []


def test_ls_as_json(cli: Cli) -> None:
    cli.fail("f")
    document = json.loads(cli.call("ls", "--json", "--limit", "1").stdout)
    (job,) = document["jobs"]
    assert (document["queue"], document["total"]) == ("default", 1)
    assert (job["id"], job["status"], job["function"]) == ("f", "failed", "tests.jobs.div_by_zero")
    assert (job["error"], job["attempt"]) == ("ZeroDivisionError: division by zero", 1)
    assert (job["error_type"], job["error_message"]) == ("ZeroDivisionError", "division by zero")


def test_the_error_of_a_job_is_its_class_and_first_line_everywhere(cli: Cli) -> None:
    told = "tests.cli.jobs.DeclinedError", "402 \x1b[1mdeclined"
    cli.do(lambda queue: queue.enqueue(decline, job_id="f", retry=1))
    cli.work()
    row = cli.call("ls", "--status", "failed").stdout.splitlines()[1]
    assert row.endswith("tests.cli.jobs.DeclinedError: 402 \\x1b[1mdeclined")
    (job,) = json.loads(cli.call("ls", "--json").stdout)["jobs"]
    assert (job["error_type"], job["error_message"]) == told
    facts = json.loads(cli.call("job", "show", "f", "--json").stdout)
    (earlier,) = facts["runs"]

    for each in (facts, earlier):
        assert (each["error_type"], each["error_message"]) == told
        assert each["error"].endswith("https://errors.example/402\n")

    lines = cli.call("job", "show", "f").stdout.splitlines()
    assert [line.split() for line in lines if line.startswith("error_message:")] == [
        ["error_message:", "402", "\\x1b[1mdeclined"]
    ] * 2


def test_ls_in_a_pipe(cli: Cli) -> None:
    cli.fail("f")
    head, line = cli.call("ls").stdout.splitlines()
    assert head.split() == ["id", "status", "since/due", "call", "note"]
    assert line.startswith("f   failed  20")
    assert line.endswith("tests.jobs.div_by_zero(1)  ZeroDivisionError: division by zero")
    none = cli.call("ls", "--queue", "none")
    assert (none.exit_code, none.stdout.split()) == (0, ["id", "status", "since/due", "call", "note"])
    assert none.stderr.startswith("no such queue: none")


def test_ls_says_how_many_there_are_where_it_does_not_show_all(cli: Cli) -> None:
    cli.enqueue("a", "b", "c")
    some = cli.call("ls", "--limit", "2")
    assert [line.split()[0] for line in some.stdout.splitlines()] == ["id", "a", "b"]
    assert some.stderr == "2 of 3 jobs; --limit and --offset show others\n"
    assert cli.call("ls", "--offset", "2").stderr == "1 of 3 jobs; --limit and --offset show others\n"
    assert cli.call("ls", "--limit", "3").stderr == ""
    assert "2 of 3 jobs" in cli.on_terminal("ls", "--limit", "2")[1]
    assert listed(cli, "--limit", "2", "--desc") == ["c", "b"]


def test_ls_on_a_terminal_of_80_columns(cli: Cli) -> None:
    long = "id-of-a-job-with-" + "x" * 20
    cli.fail(long)
    status, seen = cli.on_terminal("ls")
    assert status == 0
    assert all(len(line) <= 80 for line in seen.splitlines())
    assert long in seen
    assert "1 of 1 job" in seen


@pytest.mark.chaos
def test_a_list_says_what_its_times_are(cli: Cli) -> None:
    cli.do(lambda queue: queue.enqueue_in(7_199, jobs.noop, job_id="later"))
    seen = cli.on_terminal("ls")[1].split()
    assert seen[:6] == ["id", "status", "due", "job", "later", "scheduled"]
    assert seen[6:9] == ["in", "1h", "59m"]
    cli.fail("f")
    assert cli.on_terminal("ls")[1].split()[:4] == ["id", "status", "since/due", "job"]
    assert cli.on_terminal("ls", "--status", "failed")[1].split()[2] == "ended"


@pytest.mark.chaos
def test_colours_only_where_they_are_wanted(cli: Cli) -> None:
    cli.fail("f")

    for words in (("ls",), ("job", "show", "f")):
        assert "\x1b[31mfailed" in cli.on_terminal(*words, colours=True)[1]
        assert "\x1b[31m" not in cli.on_terminal(*words, colours=True, environment={"NO_COLOR": "1"})[1]
        assert "\x1b" not in cli.call(*words).stdout


def test_ls_of_every_state_there_is(cli: Cli) -> None:
    for state in JobStatus:
        assert cli.call("ls", "--status", state.value).exit_code == 0

    assert cli.call("ls", "--status", "lost").exit_code == 2


def test_ls_of_more_jobs_than_one_round_trip_loads(cli: Cli) -> None:
    ids = [f"job-{number}" for number in range(1_100)]
    cli.enqueue(*ids)
    assert listed(cli, "--limit", "2000") == ids
    assert listed(cli, "--limit", "600", "--offset", "450") == ids[450:1_050]


def test_ls_tells_of_ids_of_which_nothing_is_stored(cli: Cli) -> None:
    cli.fail("a", "b", "c")

    with redis.Redis.from_url(cli.url) as client:
        client.delete("aioq:{default}:job:b")

    result = cli.call("ls", "--status", "failed")
    assert result.exit_code == 0
    assert result.stderr.startswith("b: missing: it is listed")
    assert [line.split()[0] for line in result.stdout.splitlines()[1:]] == ["a", "c"]
    told = json.loads(cli.call("ls", "--status", "failed", "--json").stdout)
    assert (told["total"], told["missing"], [each["id"] for each in told["jobs"]]) == (3, ["b"], ["a", "c"])


def test_ls_loads_nothing(cli: Cli, raw: redis.Redis, tmp_path: Path) -> None:
    """Arguments that write a file when they are unpickled, and a class that is not there."""
    cli.enqueue("x", "y", func="shop.mail.send", args=("you",))
    bomb = f"cbuiltins\nopen\n(S'{tmp_path}/made'\nS'w'\ntR".encode()
    raw.hset("aioq:{default}:job:x", "data", b"p\x80\x05N" + bomb + b"(cno.such\nClass\no\x86}\x87.")
    calls = ["shop.mail.send(<builtins.open>, <no.such.Class>)", "shop.mail.send('you')"]
    assert [job["call"] for job in json.loads(cli.call("ls", "--json").stdout)["jobs"]] == calls
    assert all(text in cli.call("ls").stdout for text in calls)
    assert shown(cli, "y")["call"] == calls[1]
    assert not (tmp_path / "made").exists()


def test_what_a_job_has_to_do_with_others_is_shown(cli: Cli) -> None:
    async def relate(queue: Queue) -> None:
        job = await queue.using(job_id="x").enqueue(adding)
        mail = Queue("mail", queue.connection)
        await queue.using(job_id="y", depends_on=job).enqueue(jobs.noop)
        await mail.using(job_id="z", depends_on=Dependency(job, on_failure="run")).enqueue(jobs.noop)
        await Worker(queue).run(max_jobs=1)
        await Group.create(queue, "all").enqueue_many(mail, [Queue.prepare_data(jobs.noop, job_id="m")])

    cli.do(relate)
    known = {name: shown(cli, "x")[name] for name in ("dependents", "children", "child_of", "group")}
    assert known == {
        "dependents": ["y", "z@mail (run on failure)"],
        "children": ["c"],
        "child_of": None,
        "group": None,
    }
    assert shown(cli, "c")["child_of"] == "x"
    assert shown(cli, "m")["group"] == "all@default"
    assert "child_of:" in cli.call("job", "show", "c").stdout


async def adding() -> None:
    await current_job().add_child(jobs.noop, job_id="c")


def test_callbacks_are_listed_where_they_are_asked_for(cli: Cli) -> None:
    async def cancel(queue: Queue) -> None:
        job = await queue.using(job_id="x", on_canceled="shop.tell", on_success="shop.done").enqueue(jobs.noop)
        await job.cancel()

    cli.do(cancel)
    assert shown(cli, "x")["callbacks"] == {"on_success": "shop.done", "on_canceled": "shop.tell"}
    listed = json.loads(cli.call("ls", "--json").stdout)
    assert [each["id"] for each in listed["jobs"]] == ["x"]
    listed = json.loads(cli.call("ls", "--callbacks", "--json").stdout)
    (callback,) = listed["jobs"]
    assert (listed["total"], callback["function"], callback["status"]) == (1, "shop.tell", "queued")
    assert shown(cli, callback["id"])["follows"] == "x"
    assert "1 callback" in cli.on_terminal("info")[1]
    assert json.loads(cli.call("info", "--json").stdout)["queues"][0]["callbacks"] == 1
    assert "cannot be combined with --status" in cli.call("ls", "--callbacks", "--status", "failed").stderr


def test_a_job_is_enqueued_with_a_webhook(cli: Cli) -> None:
    url = "https://example.com/jobs?a=b"
    words = ["enqueue", "tests.jobs.noop", "--job-id", "x", "--webhook", f"failed,canceled={url}"]
    cli.call(*words, "--webhook-secret", "billing")
    assert shown(cli, "x")["webhooks"] == [
        {"url": url, "events": ["failed", "canceled"], "timeout": 10.0, "secret": "billing"}
    ]
    assert f'"url": "{url}"' in cli.call("job", "show", "x").stdout
    assert "expected EVENTS=URL" in cli.call("enqueue", "tests.jobs.noop", "--webhook", url).stderr
    assert "'done' is no event" in cli.call("enqueue", "tests.jobs.noop", "--webhook", f"done={url}").stderr
    assert "it needs --webhook" in cli.call("enqueue", "tests.jobs.noop", "--webhook-secret", "billing").stderr
    assert "Webhook(secret)" in cli.call(*words, "--webhook-secret", "A B").stderr
    cli.call("job", "cancel", "x")
    (sender,) = json.loads(cli.call("ls", "--callbacks", "--json").stdout)["jobs"]
    assert sender["id"].endswith(".on_canceled.1")
    assert sender["call"] == f"aioq.worker.webhook.send({url!r})"
    assert shown(cli, sender["id"])["follows"] == "x"


def test_headers_of_webhooks_are_not_shown(cli: Cli) -> None:
    async def cancel(queue: Queue) -> None:
        hook = Webhook("https://example.com", "canceled", headers={"Authorization": "hunter2"})
        job = await queue.using(job_id="x", webhooks=hook).enqueue(jobs.noop)
        await job.cancel()

    cli.do(cancel)
    (sender,) = json.loads(cli.call("ls", "--callbacks", "--json").stdout)["jobs"]
    assert shown(cli, sender["id"])["args"] == ["https://example.com"]
    said = [cli.call("job", "show", "x"), cli.call("job", "show", sender["id"]), cli.call("ls", "--callbacks")]
    assert not any("hunter2" in each.stdout for each in said)


def test_a_job_is_enqueued_with_a_callback(cli: Cli) -> None:
    cli.call("enqueue", "tests.jobs.noop", "--job-id", "x", "--on-failure", "shop.tell")
    assert shown(cli, "x")["callbacks"] == {"on_failure": "shop.tell"}
    assert (
        "on_success: 'nothing' is not a dotted name"
        in cli.call("enqueue", "tests.jobs.noop", "--on-success", "nothing").stderr
    )
