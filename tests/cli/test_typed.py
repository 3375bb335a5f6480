"""Typed jobs and own serializers from the command line."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.cli.tools import Cli, Running
from tests.tools import eventually_sync

MODULE = "tests.client.typed_jobs"
ORDER = 'order:={"items":[{"name":"tea","price":"2.50"}],"at":"2026-03-01T08:00:00Z"}'
CUSTOMER = 'customer:={"id":"00000000-0000-0000-0000-000000000005","mail":"you@example.org"}'


@pytest.fixture(autouse=True)
def _forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("aioq.values.serializer._own", {})


def test_arguments_as_json_become_instances_and_the_result_is_json(
    cli: Cli, start: Callable[..., Running]
) -> None:
    start("worker").says("serves")
    words = ("enqueue", "-S", "typed", f"{MODULE}.charge", ORDER, CUSTOMER, 'labels:=["a"]', "--wait", "--json")
    done = cli.call(*words, "--job-id", "x")
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)["result"]
    assert result["total"] == "2.50"
    assert result["path"] == "/bills/a"

    shown = json.loads(cli.call("job", "show", "x", "--json").stdout)
    assert shown["kwargs"]["customer"]["mail"] == "you@example.org"
    assert shown["result"] == result
    assert shown["call"].startswith(f"{MODULE}.charge(order={{'items': [{{'name': 'tea', ")


@pytest.mark.chaos
def test_a_wrong_argument_is_the_job_s_failure_with_its_path(cli: Cli, start: Callable[..., Running]) -> None:
    start("worker").says("serves")
    wrong = 'order:={"items":[{"name":"tea"}],"at":"2026-03-01T08:00:00Z"}'
    done = cli.process("enqueue", "-S", "typed", f"{MODULE}.charge", wrong, CUSTOMER, "--retry-max", "3", "--wait")
    assert done.returncode == 1
    assert "order.items[0]: Object missing required field `price`" in done.stderr
    done = cli.process("enqueue", "-S", "typed", f"{MODULE}.charge", "%(1, 2)", CUSTOMER)
    assert done.returncode != 0
    assert "args[0]: a tuple would come back as a list" in done.stderr


def test_the_types_of_tasks_are_shown(cli: Cli, start: Callable[..., Running]) -> None:
    start("worker", "default", "--import", MODULE, "--serializer", "typed").says("serves")
    found = eventually_sync(lambda: json.loads(cli.call("info", "--json").stdout)["schemas"])
    assert found[f"{MODULE}.loose"]["required"] == ["order"]
    assert json.loads(cli.call("info", "default", "--json").stdout)["schemas"] == found
    assert "schemas" not in json.loads(cli.call("info", "--json", "--only-queues").stdout)
    assert "order" not in cli.call("info").stdout


def test_a_serializer_of_one_s_own_is_named_by_its_place(cli: Cli) -> None:
    place = f"{MODULE}:Packed"
    assert cli.call("enqueue", "tests.jobs.add", ":1", ":2", "-S", place, "--job-id", "x").exit_code == 0
    assert cli.job("x").record.serializer.name == "packed"
    done = cli.process("worker", "--burst", "-S", place)
    assert "1 finished" in done.stderr, done.stderr
    assert json.loads(cli.call("job", "show", "x", "--json").stdout)["result"] == 3


@pytest.mark.parametrize("words", [("worker", "--burst"), ("enqueue", "tests.jobs.noop")])
@pytest.mark.parametrize("place", ["nowhere:Codec", "tests.jobs:noop", "yaml"])
def test_what_is_no_serializer_is_refused(cli: Cli, words: tuple[str, ...], place: str) -> None:
    done = cli.call(*words, "--serializer", place)
    assert done.exit_code != 0
    assert f"serializer='{place}'" in done.stderr
    assert "Traceback" not in done.stderr
