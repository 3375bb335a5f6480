"""Jobs are found by their ids alone."""

from __future__ import annotations

import json

import pytest
import redis

from aioq import Connection
from aioq.store import Directory
from aioq.store.directory import IDS_PER_ROUND_TRIP
from tests.cli.tools import Cli

KEPT = "Finished jobs are kept for 500 seconds unless result_ttl says otherwise"


def test_show_finds_a_job_in_any_queue(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    assert "queue:       mail\n" in cli.call("job", "show", "a").stdout
    assert json.loads(cli.call("job", "show", "a", "--json").stdout)["queue"] == "mail"


def test_show_says_where_there_is_none(cli: Cli) -> None:
    assert cli.call("job", "show", "a").stderr == f"Error: no queue has a job a. {KEPT}\n"
    cli.enqueue("a", queue="mail")
    cli.enqueue("b", queue="shop")
    done = cli.call("job", "show", "c")
    assert (done.exit_code, done.stderr) == (1, f"Error: no queue has a job c (there are mail, shop). {KEPT}\n")
    done = cli.call("job", "show", "a", "--queue", "shop")
    told = "Error: queue shop has no job a; another queue has one: --queue mail\n"
    assert (done.exit_code, done.stdout, done.stderr) == (1, "", told)


def test_show_of_an_id_that_several_queues_have(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    cli.enqueue("a", queue="shop")
    shown = cli.call("job", "show", "a").stdout
    assert [line.split()[1] for line in shown.splitlines() if line.startswith("queue:")] == ["mail", "shop"]
    shown = json.loads(cli.call("job", "show", "a", "--json").stdout)
    assert [each["queue"] for each in shown] == ["mail", "shop"]
    assert json.loads(cli.call("job", "show", "a", "--queue", "shop", "--json").stdout)["queue"] == "shop"


@pytest.mark.parametrize(
    ("verb", "word"),
    [(("job", "cancel"), "canceled"), (("job", "delete"), "deleted"), (("requeue",), "requeued")],
)
def test_verbs_act_on_a_job_of_one_queue_only(cli: Cli, verb: tuple[str, ...], word: str) -> None:
    for queue in ("mail", "shop"):
        (cli.fail if word == "requeued" else cli.enqueue)("both", f"only-{queue}", queue=queue)

    done = cli.call(*verb, "only-shop", "both", "nope", "only-mail")
    assert done.exit_code == 1
    assert f"only-shop: {word}\nonly-mail: {word}\n" in done.stdout
    assert done.stderr == "both: in 2 queues: add --queue mail or --queue shop\nnope: not found\n"
    before = "failed" if word == "requeued" else "queued"
    assert (cli.status("both", "mail"), cli.status("both", "shop")) == (before, before)
    assert cli.call(*verb, "both", "--queue", "shop").exit_code == 0
    assert cli.status("both", "mail") == before


def test_json_says_in_which_queue_a_job_was_found(cli: Cli) -> None:
    cli.enqueue("a", queue="mail")
    told = json.loads(cli.call("job", "cancel", "a", "nope", "--json").stdout)
    assert told == {"queues": {"a": "mail"}, "canceled": ["a"], "refused": {"nope": "not found"}}


def test_ids_in_many_round_trips(cli: Cli) -> None:
    ids = [f"job-{number}" for number in range(2 * IDS_PER_ROUND_TRIP + 1)]
    cli.fail(*ids, queue="mail")
    assert json.loads(cli.call("requeue", *ids, "--json").stdout)["requeued"] == ids


def test_requeue_needs_a_queue_or_ids(cli: Cli) -> None:
    for words in ([], ["--all"]):
        done = cli.call("requeue", *words)
        assert done.exit_code == 2
        assert done.stderr == "Error: give ids, or --queue with --all\n"


async def test_holders(connection: Connection, raw: redis.Redis) -> None:
    assert await Directory(connection).holders(["a"]) == {"a": []}
    assert await Directory(connection).holders([]) == {}
    raw.sadd("aioq:queues", "b", "a")
    raw.hset("aioq:{a}:job:x", "status", "failed")
    raw.hset("aioq:{b}:job:x", "status", "failed")
    assert await Directory(connection).holders(["y", "x"]) == {"y": [], "x": ["a", "b"]}
    raw.flushall()
