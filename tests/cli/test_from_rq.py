"""Command lines and environments as they come from RQ."""

from __future__ import annotations

import re

import pytest
from typer.main import get_command

from aioq import InvalidInput, Queue
from aioq.cli.from_rq import VARIABLES
from aioq.cli.main import app
from aioq.store.net.source import address_of
from aioq.store.net.url import default_url
from tests.cli.tools import Cli
from tests.conftest import Server


def test_a_worker_s_unit_file_comes_over(cli: Cli) -> None:
    cli.enqueue("a")
    words = "--with-scheduler --worker-ttl 420 --maintenance-interval 600 --job-monitoring-interval 30 -S json"
    words += " --disable-job-desc-logging -w rq.Worker -j rq.job.Job --queue-class rq.Queue -d -ds round_robin"
    done = cli.process("worker", "--burst", *words.split(), "-c", "3")
    assert (done.returncode, done.stdout) == (0, "")
    notes = re.findall(r"^(--[\w-]+) has no effect here: \w.*$", done.stderr, re.M)
    assert set(notes) == {
        "--worker-class",
        "--job-class",
        "--queue-class",
        "--with-scheduler",
        "--worker-ttl",
        "--maintenance-interval",
        "--job-monitoring-interval",
        "--disable-job-desc-logging",
        "--disable-default-exception-handler",
        "--dequeue-strategy",
    }
    assert "1 run of jobs: 1 finished" in done.stderr


def test_short_names_of_rq(cli: Cli) -> None:
    done = cli.call(
        "info", "-w", "rq.Worker", "-j", "rq.job.Job", "-S", "json", "--connection-class", "redis.Redis"
    )
    assert done.exit_code == 0
    assert done.stderr.count(" has no effect here: ") == 4
    assert "worker-class" not in cli.call("info", "--help").stdout


def test_notes_do_not_disturb_what_is_read_by_programs(cli: Cli) -> None:
    done = cli.call("info", "--json", "-w", "rq.Worker")
    assert done.stdout.startswith("{")


def test_the_serializer_counts_where_a_job_is_written(cli: Cli) -> None:
    assert cli.call("enqueue", "tests.jobs.noop", "a", "--job-id", "x", "-S", "json").exit_code == 0
    assert cli.job("x").record.serializer.name == "json"
    assert cli.call("enqueue", "tests.jobs.noop", "-S", "yaml").exit_code == 2


@pytest.mark.parametrize(
    "words", [("worker", "-c", "settings"), ("info", "-c", "conf.rq"), ("worker", "--config", "x")]
)
def test_a_module_of_settings_is_explained(cli: Cli, words: tuple[str, ...]) -> None:
    done = cli.call(*words)
    assert (done.exit_code, done.stdout) == (2, "")
    told = " ".join(done.stderr.split())
    assert f"'{words[-1]}': unlike RQ, aioq reads no settings module" in told
    assert "Give the server with -u or AIOQ_REDIS_URL" in told
    assert ("the queues as arguments" in told) == (words[0] == "worker")


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("enqueue a.b --enqueue-at-front yes", "aioq has no --enqueue-at-front; its name is --at-front"),
        (
            "worker --sentry-dsn x",
            "aioq has no --sentry-dsn: the module of a job can set up Sentry: import it with --import",
        ),
        (
            "cron config.py",
            (
                "aioq has no command cron, as RQ has: the system's cron can call `aioq enqueue`; a function can"
                " enqueue itself again with enqueue_in"
            ),
        ),
    ],
)
def test_what_would_be_missed_is_refused_by_its_name(cli: Cli, words: str, told: str) -> None:
    done = cli.call(*words.split())
    assert (done.exit_code, done.stdout, done.stderr) == (2, "", f"Error: {told}\n")


@pytest.mark.parametrize("text", ["0", "-3", "2.5", "9" * 30, ""])
def test_a_concurrency_that_is_none(cli: Cli, text: str) -> None:
    done = cli.call("worker", f"--concurrency={text}")
    assert done.exit_code == 2
    assert "expected a whole number of at least 1" in done.stderr


@pytest.mark.parametrize("name", VARIABLES)
def test_variables_that_nothing_reads_are_told_once(cli: Cli, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, "value")
    assert cli.call("info").stderr.count(f"{name} is not read: ") == 1


@pytest.mark.parametrize(
    ("environment", "url"),
    [
        ({}, "redis://localhost:6379/0"),
        ({"REDIS_HOST": "db"}, "redis://db:6379/0"),
        ({"REDIS_PORT": "7000", "REDIS_DB": "2"}, "redis://localhost:7000/2"),
        ({"REDIS_HOST": "::1", "REDIS_PASSWORD": "p/@#"}, "redis://:p%2F%40%23@[::1]:6379/0"),
        ({"REDIS_HOST": "db", "REDIS_USERNAME": "u", "REDIS_PASSWORD": "p"}, "redis://u:p@db:6379/0"),
        ({"REDIS_HOST": "db", "REDIS_SSL": "True"}, "rediss://db:6379/0"),
        ({"REDIS_HOST": "db", "REDIS_SSL": "no"}, "redis://db:6379/0"),
        ({"REDIS_HOST": "db", "REDIS_URL": "redis://other"}, "redis://other"),
        # Set by Kubernetes for a service called redis.
        ({"REDIS_PORT": "tcp://10.0.0.1:6379"}, "redis://localhost:6379/0"),
        ({"REDIS_HOST": "db", "REDIS_PORT": "tcp://10.0.0.1:6379"}, "redis://db:6379/0"),
    ],
)
def test_the_server_in_parts(environment: dict[str, str], url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    assert default_url() == url
    assert address_of(None).kwargs.get("password") == environment.get("REDIS_PASSWORD")


def test_parts_that_cannot_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_DB", "first")

    with pytest.raises(InvalidInput, match="expected a number as the database, not 'first'"):
        address_of(None)


@pytest.mark.parametrize("port", ["abc", "6379x", "redis:6379", "-1", "٣"])
def test_a_port_that_is_none(cli: Cli, port: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_PORT", port)
    told = f"the variable REDIS_PORT={port!r}: expected the number of a port, such as 6379"

    with pytest.raises(InvalidInput, match=re.escape(told)):
        Queue()

    done = cli.call("info", environment={"REDIS_PORT": port})
    assert (done.exit_code, done.stderr) == (2, f"Error: {told}\n")


def test_commands_take_the_server_in_parts(cli: Cli, server: Server) -> None:
    cli.enqueue("x", queue="mail")
    done = cli.call("info", "-r", "-Q", environment={"REDIS_HOST": "127.0.0.1", "REDIS_PORT": str(server.port)})
    assert done.stdout == "queue mail 1\n"


def test_hidden_options_take_no_name_of_aioq_s_own() -> None:
    for command in get_command(app).commands.values():
        names = [name for each in command.params for name in (*each.opts, *each.secondary_opts)]
        assert len(names) == len(set(names)), command.name
