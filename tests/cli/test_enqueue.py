"""`aioq enqueue` and its little language of arguments."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import typer

from aioq.cli.arguments import read_arguments
from tests.cli.tools import Cli


@pytest.mark.parametrize(
    ("words", "args", "kwargs"),
    [
        ([], (), {}),
        (["abc"], ("abc",), {}),
        (["1"], ("1",), {}),
        ([""], ("",), {}),
        (["two words\nand lines"], ("two words\nand lines",), {}),
        (["k=v"], (), {"k": "v"}),
        (["k="], (), {"k": ""}),
        (["k=a=b"], (), {"k": "a=b"}),
        ([":1"], (1,), {}),
        ([':{"a": [null, true]}'], ({"a": [None, True]},), {}),
        (["k:=[1, 2.5]"], (), {"k": [1, 2.5]}),
        (["%(1, None)"], ((1, None),), {}),
        (["%{1, 2}"], ({1, 2},), {}),
        (["k%='text'"], (), {"k": "text"}),
        (["% 7"], (7,), {}),
        ([':"@home"'], ("@home",), {}),
        (["http://localhost/?a=b"], ("http://localhost/?a=b",), {}),
        (["1=2"], ("1=2",), {}),
        (["=x"], ("=x",), {}),
        (["größe=3"], (), {"größe": "3"}),
        (
            ["you@example.org", "subject=Hello", "copies:=3"],
            ("you@example.org",),
            {"subject": "Hello", "copies": 3},
        ),
    ],
)
def test_arguments(words: list[str], args: tuple[object, ...], kwargs: dict[str, object]) -> None:
    assert read_arguments(words) == (args, kwargs)


def test_arguments_from_files(tmp_path: Path) -> None:
    file = tmp_path / "value"
    file.write_text("[1, 2]\n")
    assert read_arguments([f"@{file}", f":@{file}", f"%@{file}"]) == (("[1, 2]\n", [1, 2], [1, 2]), {})
    assert read_arguments([f"a=@{file}", f"b:=@{file}", f"c%=@{file}"]) == (
        (),
        {"a": "[1, 2]\n", "b": [1, 2], "c": [1, 2]},
    )


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([":{"], "':{' is not JSON"),
        (["k:=nope"], "'k:=nope' is not JSON"),
        (["%x"], "'%x' is not a Python literal"),
        (["%["], "is not a Python literal"),
        (["%" + "[" * 500], "is not a Python literal"),
        (["k=1", "k:=2"], "'k' is given twice"),
        (["@/does/not/exist"], "the file cannot be read"),
        (["@"], "the file cannot be read"),
    ],
)
def test_arguments_that_cannot_be_read(words: list[str], error: str) -> None:
    with pytest.raises(typer.BadParameter, match=error.replace("(", r"\(")):
        read_arguments(words)


def test_a_call_is_enqueued(cli: Cli) -> None:
    done = cli.process("enqueue", "tests.jobs.add", ":1", "y:=2", "--job-id", "x")
    told = "No worker serves queue default. Start one: aioq worker default\n"
    assert (done.returncode, done.stderr) == (0, told)
    assert done.stdout == "Enqueued tests.jobs.add(1, y=2) with job-id 'x'.\n"
    job = cli.job("x")
    assert (job.func_name, job.args, job.kwargs, job.status) == ("tests.jobs.add", (1,), {"y": 2}, "queued")


def test_all_options_reach_the_job(cli: Cli) -> None:
    words = ["--job-id", "x", "-q", "mail", "--timeout", "5m", "--result-ttl", "0", "--ttl", "43"]
    words += ["--failure-ttl", "-1", "--description", "a text", "--meta", 'n:s={"a": 1}', "--meta", "flag=true"]
    words += ["--retry-max", "3", "--retry-interval", "10", "--retry-interval", "1m"]
    assert cli.call("enqueue", "tests.jobs.noop", *words).exit_code == 0
    job = cli.job("x", "mail")
    assert (job.timeout, job.result_ttl, job.ttl, job.failure_ttl) == (300, 0, 43, -1)
    assert (job.description, job.meta) == ("a text", {"n:s": {"a": 1}, "flag": True})
    assert job.record.retry is not None
    assert (job.record.retry.max, job.record.retry.interval_ms) == (3, (10_000, 60_000))


def test_an_argument_may_have_the_name_of_an_option(cli: Cli) -> None:
    cli.call("enqueue", "tests.jobs.noop", "ttl=x", "args:=[1]", "meta=y", "--job-id", "x")
    job = cli.job("x")
    assert (job.kwargs, job.ttl, job.meta) == ({"ttl": "x", "args": [1], "meta": "y"}, None, {})


def test_at_front(cli: Cli) -> None:
    cli.enqueue("a")
    cli.call("enqueue", "tests.jobs.noop", "--job-id", "b", "--at-front")
    assert cli.queued() == ["b", "a"]


def test_scheduled_jobs(cli: Cli) -> None:
    cli.call("enqueue", "tests.jobs.noop", "--job-id", "soon", "--schedule-in", "5m")
    cli.call("enqueue", "tests.jobs.noop", "--job-id", "later", "--schedule-at", "2100-01-31T08:00Z")
    soon, later = cli.job("soon"), cli.job("later")
    assert soon.is_scheduled
    assert abs(soon.scheduled_at - datetime.now(UTC) - timedelta(minutes=5)) < timedelta(seconds=20)
    assert later.scheduled_at == datetime(2100, 1, 31, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("words", "error"),
    [
        ([":{"], "Invalid value for ARGS: ':{' is not JSON"),
        (["a=1", "a=2"], "Invalid value for ARGS: 'a' is given twice"),
        (["--schedule-in", "5s", "--schedule-at", "2030-01-01"], "'--schedule-at': it cannot be combined"),
        (["--schedule-at", "tomorrow"], "Invalid value for '--schedule-at'"),
        (["--retry-interval", "5"], "'--retry-interval': it needs --retry-max"),
        (["--retry-max", "-1"], "--retry-max=-1: expected a whole number of at least 0"),
        (["--wait-timeout", "5"], "'--wait-timeout': it needs --wait"),
        (["--meta", "a"], "'--meta': 'a': expected name=json"),
        (["--meta", "=1"], "'--meta': '=1': expected name=json"),
        (["--meta", "a=b"], "'--meta': 'a=b' is not JSON"),
        (["-1"], "No such option"),
    ],
)
def test_usage_errors(cli: Cli, words: list[str], error: str) -> None:
    result = cli.call("enqueue", "tests.jobs.noop", *words)
    assert result.exit_code == 2
    assert error in result.stderr
    assert cli.queued() == []


@pytest.mark.parametrize(
    ("words", "error"),
    [
        (["noop"], "'noop' is not a dotted name"),
        (["tests.jobs.noop", "--ttl", "0"], "--ttl='0'"),
        (["tests.jobs.noop", "--timeout", "soon"], "--timeout='soon'"),
        (["tests.jobs.noop", "--job-id", "a b"], "job_id='a b'"),
        (["tests.jobs.noop", "--schedule-in", "soon"], "--schedule-in='soon'"),
        (["tests.jobs.noop", "-q", "{q}"], "queue name '{q}'"),
        (["tests.jobs.noop", "--retry-max", "1", "--retry-interval", "x"], "--retry-interval='x'"),
    ],
)
def test_values_that_the_queue_refuses_are_one_line(cli: Cli, words: list[str], error: str) -> None:
    result = cli.call("enqueue", *words)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"Error: {error}")
    assert result.stderr.count("\n") == 1


def test_an_id_of_a_live_job_is_refused(cli: Cli) -> None:
    cli.enqueue("x")
    result = cli.call("enqueue", "tests.jobs.noop", "--job-id", "x")
    assert result.exit_code == 1
    assert result.stderr.startswith("Error: queue 'default' has a job x")


def test_quiet_and_json(cli: Cli) -> None:
    assert cli.call("enqueue", "tests.jobs.noop", "--quiet").output == ""
    document = json.loads(cli.call("enqueue", "tests.jobs.noop", "--job-id", "x", "--json").stdout)
    assert document == {"id": "x", "queue": "default", "function": "tests.jobs.noop", "status": "queued"}
    document = json.loads(cli.call("enqueue", "tests.jobs.noop", "--schedule-in", "1h", "--json").stdout)
    assert document["status"] == "scheduled"


def test_wait_prints_the_result_or_the_failure(cli: Cli, start: Callable[..., object]) -> None:
    start("worker")
    result = cli.call("enqueue", "tests.jobs.add", ":1", ":2", "--wait", "--wait-timeout", "10", "--quiet")
    assert (result.exit_code, result.stdout) == (0, "3\n")
    result = cli.call("enqueue", "tests.jobs.add", "ab", "c", "--wait", "--job-id", "x")
    assert result.stdout == "Enqueued tests.jobs.add('ab', 'c') with job-id 'x'.\nabc\n"
    result = cli.call("enqueue", "tests.jobs.add", "%(1,)", "%(2,)", "--wait", "--json", "--job-id", "y")
    assert json.loads(result.stdout) == {
        "id": "y",
        "queue": "default",
        "function": "tests.jobs.add",
        "status": "finished",
        "result": [1, 2],
    }
    result = cli.call("enqueue", "tests.jobs.add", "%{1}.__class__", ":2", "--wait")
    assert result.exit_code == 2
    result = cli.call("enqueue", "tests.jobs.div_by_zero", ":1", "--wait", "--quiet", "--job-id", "x")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "Error: job x: ZeroDivisionError: division by zero\n"
    result = cli.call("enqueue", "tests.jobs.div_by_zero", ":1", "--wait", "--json")
    document = json.loads(result.stdout)
    assert (result.exit_code, document["status"]) == (1, "failed")
    assert document["error"].endswith("ZeroDivisionError: division by zero\n")
    assert (document["error_type"], document["error_message"]) == ("ZeroDivisionError", "division by zero")
    result = cli.call("enqueue", "tests.cli.jobs.decline", "--wait", "--quiet", "--job-id", "y")
    assert result.stderr == "Error: job y: tests.cli.jobs.DeclinedError: 402 \\x1b[1mdeclined\n"


def test_wait_gives_up(cli: Cli) -> None:
    result = cli.call("enqueue", "tests.jobs.noop", "--wait", "--wait-timeout", "50ms", "--job-id", "x", "--quiet")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "Error: job x: it has not ended within the timeout of 0.05 seconds;"
        f" no worker serves 'default' at {cli.url}\n"
    )
    result = cli.call("enqueue", "tests.jobs.noop", "--wait", "--wait-timeout", "0.05", "--json")
    assert (result.exit_code, json.loads(result.stdout)["status"]) == (1, "queued")

    for wrong in ("-1", "soon"):
        assert cli.call("enqueue", "tests.jobs.noop", "--wait", "--wait-timeout", wrong).exit_code == 2

    assert len(cli.queued()) == 2
