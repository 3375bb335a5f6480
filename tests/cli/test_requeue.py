"""`aioq requeue`. The numbers are those of the acceptance cases of RQ's command of that name."""

from __future__ import annotations

import asyncio
import json

import pytest
import redis

from aioq import JobStatus, Queue
from aioq.cli.requeue import Source
from aioq.values.states import allows
from tests.cli.tools import Cli
from tests.conftest import port_of_nobody
from tests.store.tools import put


def test_the_states_to_requeue_from_are_those_of_the_table() -> None:
    assert [each.value for each in Source] == [state for state in JobStatus if allows(state, "requeue")]


def test_h01_given_jobs_are_requeued_in_the_given_order_and_no_other(cli: Cli) -> None:
    cli.fail("foo", "bar", "baz", queue="myqueue")
    done = cli.process("requeue", "--queue", "myqueue", "-u", cli.url, "bar", "foo")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == "Requeueing 2 jobs from failed registry\nbar: requeued\nfoo: requeued\n"
    assert cli.queued("myqueue") == ["bar", "foo"]
    assert cli.failed("myqueue") == ["baz"]


def test_h02_all_jobs_are_requeued(cli: Cli) -> None:
    cli.fail("a", "b", "c")
    result = cli.call("requeue", "--queue", "default", "--all")
    assert (result.exit_code, result.stderr) == (0, "")
    assert result.stdout == "Requeueing 3 jobs from failed registry\n3 jobs requeued\n"
    assert cli.queued() == ["a", "b", "c"]
    assert cli.failed() == []


def test_h03_nothing_to_do(cli: Cli) -> None:
    cli.enqueue("a")

    for words in ([], ["--all"], ["-a"]):
        result = cli.call("requeue", "--queue", "default", *words)
        assert (result.exit_code, result.stdout, result.stderr) == (0, "Nothing to do\n", "")


def test_h04_a_queue_must_be_named(cli: Cli) -> None:
    result = cli.call("requeue", "--all")
    assert result.exit_code == 2
    assert result.stderr == "Error: give ids, or --queue with --all\n"


def test_what_is_refused_is_not_announced(cli: Cli) -> None:
    cli.enqueue("done")
    cli.work()
    result = cli.call("requeue", "done", "nope")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "done: not failed (finished)\nnope: not found\n"


def test_q_is_quiet_here(cli: Cli) -> None:
    cli.fail("a")
    result = cli.call("requeue", "-q", "default", "a")
    assert result.stderr == "default: not found; a queue has this name: --queue default\n"
    assert cli.status("a") == "queued"


def test_h05_a_bad_id_does_not_stop_the_others(cli: Cli) -> None:
    cli.fail("a", "b")
    result = cli.call("requeue", "--queue", "default", "a", "nope", "b")
    assert result.exit_code == 1
    assert result.stdout == "Requeueing 3 jobs from failed registry\na: requeued\nb: requeued\n"
    assert result.stderr == "nope: not found\n"
    assert cli.queued() == ["a", "b"]


def test_ids_of_which_nothing_is_stored_are_told_as_missing_and_listed_no_more(cli: Cli) -> None:
    cli.fail("a", "b", "c", "d")

    with redis.Redis.from_url(cli.url) as client:
        client.delete("aioq:{default}:job:b", "aioq:{default}:job:d")

    result = cli.call("requeue", "--queue", "default", "b")
    assert (result.exit_code, result.stderr) == (1, "b: not found\n")
    assert cli.failed() == ["a", "c", "d"]
    result = cli.call("requeue", "--queue", "default", "--all", "--json")
    assert result.exit_code == 1
    told = json.loads(result.stdout)
    assert told["requeued"] == ["a", "c"]
    assert list(told["refused"]) == ["d"]
    assert told["refused"]["d"].startswith("missing: the failed registry listed it")
    assert (cli.queued(), cli.failed()) == (["a", "c"], [])


def test_h06_a_job_in_another_state_does_not_stop_the_others(cli: Cli) -> None:
    cli.fail("b")
    cli.enqueue("waits")
    result = cli.call("requeue", "--queue", "default", "waits", "b")
    assert result.exit_code == 1
    assert result.stdout == "Requeueing 2 jobs from failed registry\nb: requeued\n"
    assert result.stderr == "waits: not failed (queued)\n"
    assert cli.queued() == ["waits", "b"]


def test_an_id_that_is_given_twice_counts_once(cli: Cli) -> None:
    cli.fail("a")
    result = cli.call("requeue", "--queue", "default", "a", "a")
    assert (result.exit_code, result.stdout) == (0, "Requeueing 1 job from failed registry\na: requeued\n")


def test_h08_all_and_ids_together_are_a_usage_error(cli: Cli) -> None:
    cli.fail("a")
    result = cli.call("requeue", "--queue", "default", "--all", "a")
    assert result.exit_code == 2
    assert "'--all': it cannot be combined with a" in result.stderr
    assert cli.failed() == ["a"]


@pytest.mark.chaos
def test_h09_a_job_that_fails_again_meanwhile_is_requeued_once(cli: Cli, start) -> None:
    ids = [f"job-{number}" for number in range(700)]
    cli.fail(*ids)
    worker = start("worker")
    worker.says("serves default")
    assert cli.call("requeue", "--queue", "default", "--all").stdout.endswith("700 jobs requeued\n")
    worker.process.terminate()
    assert worker.ends() == 0
    cli.work()

    async def earlier_runs(queue: Queue) -> list[int]:
        return [len(await queue.store.reads.attempts(job_id)) for job_id in ids]

    assert set(cli.do(earlier_runs)) == {1}
    assert {job.status for job in cli.do(lambda queue: queue.fetch_many(ids))} == {"failed"}


@pytest.mark.chaos
def test_h10_an_unreachable_server_is_one_line(cli: Cli) -> None:
    url = f"redis://127.0.0.1:{port_of_nobody()}"
    done = cli.process("requeue", "--queue", "default", "-u", url, "a")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"Error: no server at {url}")
    assert done.stderr.count("\n") == 1


@pytest.mark.chaos
def test_h13_many_jobs_take_few_round_trips(cli: Cli, server) -> None:
    ids = [f"job-{number}" for number in range(1_100)]
    cli.fail(*ids)

    with server.client() as client:

        def scripts() -> int:
            called = client.info("commandstats")["cmdstat_evalsha"]
            return int(called["calls"]) - int(called["failed_calls"])  # it did not know some yet

        before = scripts()
        assert (
            len(json.loads(cli.call("requeue", "--queue", "default", "--all", "--json").stdout)["requeued"])
            == 1_100
        )
        assert scripts() - before == 1 + 2 * 3
        before = scripts()
        assert (
            len(json.loads(cli.call("requeue", "--queue", "default", *ids, "--json").stdout)["refused"]) == 1_100
        )
        assert scripts() - before == 3


def test_h14_in_a_pipe_there_is_no_progress_bar(cli: Cli) -> None:
    cli.fail("a", "b")
    result = cli.call("requeue", "--queue", "default", "--all")
    assert (result.stdout, result.stderr) == ("Requeueing 2 jobs from failed registry\n2 jobs requeued\n", "")


def test_h14_on_a_terminal_there_is_one(cli: Cli) -> None:
    cli.fail("a", "b")
    status, seen = cli.on_terminal("requeue", "--queue", "default", "--all")
    assert status == 0
    assert "2/2" in seen


def test_h14_quiet_prints_only_what_went_wrong(cli: Cli) -> None:
    cli.fail("a", "b")
    result = cli.call("requeue", "--queue", "default", "a", "nope", "-q")
    assert (result.exit_code, result.stdout, result.stderr) == (1, "", "nope: not found\n")
    assert cli.call("requeue", "--queue", "default", "--all", "--quiet").output == ""


def test_h14_json(cli: Cli) -> None:
    cli.fail("a", "b", "c")
    result = cli.call("requeue", "--queue", "default", "a", "nope", "--json")
    assert (result.exit_code, result.stderr) == (1, "")
    assert json.loads(result.stdout) == {"queue": "default", "requeued": ["a"], "refused": {"nope": "not found"}}
    result = cli.call("requeue", "--queue", "default", "--all", "--json")
    assert json.loads(result.stdout) == {"queue": "default", "requeued": ["b", "c"], "refused": {}}
    result = cli.call("requeue", "--queue", "default", "--all", "--json")
    assert json.loads(result.stdout) == {"queue": "default", "requeued": [], "refused": {}}


def test_all_of_a_queue_that_there_is_not(cli: Cli) -> None:
    for words in (["--all"], ["--all", "--json"]):
        result = cli.call("requeue", "--queue", "typo", *words)
        assert (result.exit_code, result.stdout, result.stderr) == (1, "", "no such queue: typo\n")


def test_h15_the_url_may_come_from_the_environment(cli: Cli) -> None:
    cli.enqueue("a")
    none = {"AIOQ_REDIS_URL": "", "REDIS_URL": "", "RQ_REDIS_URL": ""}

    for name in none:
        result = cli.call("requeue", "--queue", "default", "--all", environment=none | {name: cli.url})
        assert (result.exit_code, result.output) == (0, "Nothing to do\n")


def test_only_jobs_of_the_state_that_is_asked_for_are_requeued(cli: Cli) -> None:
    cli.fail("f")
    cli.enqueue("c")
    assert cli.call("job", "cancel", "c").exit_code == 0
    result = cli.call("requeue", "--queue", "default", "f", "c")
    assert (result.exit_code, result.stderr) == (1, "c: not failed (canceled)\n")
    result = cli.call("requeue", "--queue", "default", "--from", "canceled", "f", "c")
    assert (result.exit_code, result.stderr) == (1, "f: not canceled (queued)\n")
    assert result.stdout == "Requeueing 2 jobs from canceled registry\nc: requeued\n"
    assert cli.call("requeue", "--queue", "default", "--from", "finished", "-a").exit_code == 2


def test_at_front_and_retries(cli: Cli) -> None:
    cli.fail("a", "b")
    cli.enqueue("first")
    cli.call("requeue", "--queue", "default", "--at-front", "--keep-retries", "a")
    cli.call("requeue", "--queue", "default", "b")
    assert cli.queued() == ["a", "first", "b"]
    assert (cli.job("a").attempt, cli.job("b").attempt) == (1, 0)


@pytest.mark.chaos
def test_an_id_that_cannot_be_decoded_does_not_stop_the_others(cli: Cli) -> None:
    cli.call("enqueue", "no.such.function", "--job-id", "good")
    cli.call("worker", "--burst")

    for words in (
        ("requeue", "--queue", "default", b"\xff", b"good"),
        ("job", "delete", b"\xff\xfe", b"good"),
    ):
        done = cli.process(*words)
        assert done.returncode == 1
        assert "not found" in done.stderr
        assert "good" in done.stdout
        assert "Traceback" not in done.stderr

    done = cli.process("job", "show", b"\xff")
    assert done.returncode in (1, 2)
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.chaos
def test_neither_does_it_for_other_commands(cli: Cli) -> None:
    cli.enqueue("good")
    done = cli.process("job", "cancel", b"\xff\xfe", b"good")
    assert done.returncode == 1
    assert "not found" in done.stderr
    assert "good" in done.stdout
    assert "Traceback" not in done.stderr

    for words in (("empty", b"\xff"), ("info", b"\xff")):
        done = cli.process(*words)
        assert done.returncode in (1, 2)
        assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("words", [["requeue"], ["job", "requeue"]])
def test_dependents_that_an_end_has_ended_come_back(cli: Cli, words: list[str]) -> None:
    cli.fail("a")
    store = Queue("default", cli.url).store
    asyncio.run(put(store, "b", parents="ca"))
    done = cli.call(*words, "a", "--dependents", "--json")
    assert json.loads(done.stdout)["dependents"] == {"b": "deferred"}
    assert json.loads(done.stdout)["requeued"] == ["a"]


def test_dependents_do_not_go_with_all(cli: Cli) -> None:
    cli.fail("a")
    result = cli.call("requeue", "--queue", "default", "--all", "--dependents")
    assert (result.exit_code, result.stderr) == (2, "Error: --dependents: give ids; it does not go with --all\n")


def test_a_job_of_any_state_that_allows_it_is_requeued(cli: Cli) -> None:
    cli.fail("a")
    cli.enqueue("b")
    cli.call("job", "cancel", "a")
    result = cli.call("job", "requeue", "a", "b", "--at-front")
    assert (result.exit_code, result.stdout) == (1, "a: requeued\n")
    assert result.stderr == "b: not requeued (queued)\n"
