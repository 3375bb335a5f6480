"""Facts to sentences: each state and each way into it is explained, and whatever is stored does no harm."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.cli.main import app
from aioq.values.audit import AuditEntry
from aioq.values.explaining import STATES as EXPLAINED
from aioq.values.explaining import explain
from aioq.values.explanation import Explanation, Reason, ReasonKind
from aioq.values.facts import JobFacts, LastRun, LiveWorker, Parent, Place
from aioq.values.failure import Failure
from aioq.values.moments import moment_of
from aioq.values.pause import Pause
from aioq.values.rate import rate_of
from aioq.values.record import JobRecord
from aioq.values.retry_budget import RetryBudget
from aioq.values.states import BORN, STATES, JobStatus

NOW = 1_800_000_000_000
K = ReasonKind
RETRY = b'{"retry":{"max":2,"interval_ms":[60000]}}'


def stored(status: str, **fields: bytes | str | int) -> JobRecord:
    found = {b"status": status.encode(), b"func": b"shop.mail.send"}
    texts = {
        name.encode(): value if isinstance(value, bytes) else str(value).encode() for name, value in fields.items()
    }

    return JobRecord("a1", found | texts)


def listed(ahead: int = 0, lane: str = "main") -> Place:
    return Place(lane, "7-0", True, 0, ahead + 1, "7-0", "9-0", ahead + 3)


def facts(status: str, *, more: dict[str, Any] | None = None, **fields: bytes | str | int) -> JobFacts:
    known: dict[str, Any] = {"workers": 1} | ({"place": listed()} if status == "queued" else {})
    known |= {"parents": (Parent("p", "started"),), "open": 1} if status == "deferred" else {}

    return JobFacts("mail", stored(status, **fields), NOW, **known | (more or {}))


def ran(outcome: str, error: str = "") -> dict[str, Any]:
    failure = Failure(error, "ValueError", error) if error else None

    return {"last_run": LastRun(outcome, "w1", NOW - 5_000, failure)}


def failed_by(kind: str, message: str) -> Failure:
    return Failure("Traceback", f"aioq.errors.{kind}", message)


#: For each way of the table of states: a job that has gone it, and what its explanation begins with.
WAYS: dict[tuple[str, str, str], tuple[JobFacts, ReasonKind]] = {
    ("", "enqueue", "queued"): (facts("queued"), K.AHEAD),
    ("", "enqueue", "scheduled"): (facts("scheduled", due_at=NOW + 60_000), K.DUE),
    ("", "enqueue", "deferred"): (facts("deferred", parents="wp"), K.PARENT),
    ("queued", "claim", "started"): (facts("started", worker="w1", more={"lease_ms": NOW + 1}), K.RUNS),
    ("queued", "expire", "expired"): (facts("expired", ttl=1_000, ended_at=NOW), K.EXPIRED),
    ("queued", "fail", "failed"): (facts("failed", error=Failure("t", "E", "late").pack(), fence=1), K.FAILED),
    ("queued", "cancel", "canceled"): (facts("canceled"), K.CANCELED),
    ("scheduled", "promote", "queued"): (facts("queued", due_at=NOW - 1), K.AHEAD),
    ("scheduled", "cancel", "canceled"): (facts("canceled", due_at=NOW + 5), K.CANCELED),
    ("deferred", "release", "queued"): (facts("queued", parents="wp"), K.AHEAD),
    ("deferred", "release", "scheduled"): (facts("scheduled", parents="wp", due_at=NOW + 5_000), K.DUE),
    ("deferred", "fail", "failed"): (
        facts("failed", waited_for="p p", error=failed_by("DependencyFailed", "job p is failed").pack()),
        K.ENDED_BY_PARENT,
    ),
    ("deferred", "expire", "expired"): (
        facts("expired", parents="wp", deferred_ttl=1_000, ended_at=NOW),
        K.EXPIRED,
    ),
    ("deferred", "cancel", "canceled"): (
        facts("canceled", waited_for="p@other p@other", reason="job p is gone"),
        K.ENDED_BY_PARENT,
    ),
    ("started", "finish", "finished"): (facts("finished", ended_at=NOW - 9_000), K.FINISHED),
    ("started", "fail", "failed"): (
        facts("failed", error=failed_by("JobTimeout", "too long").pack(), fence=3, opts=RETRY),
        K.TIMED_OUT,
    ),
    ("started", "retry", "queued"): (
        facts("queued", fence=1, opts=RETRY, more=ran("failed", "boom")),
        K.ATTEMPT_FAILED,
    ),
    ("started", "retry", "scheduled"): (
        facts("scheduled", fence=1, opts=RETRY, due_at=NOW + 55_000, more=ran("failed", "boom")),
        K.RETRY,
    ),
    ("started", "repeat", "queued"): (
        facts("queued", repeats=2, fence=2, uncounted=2, more=ran("finished")),
        K.AHEAD,
    ),
    ("started", "repeat", "scheduled"): (
        facts("scheduled", repeats=2, fence=2, uncounted=2, due_at=NOW + 5, more=ran("failed", "boom")),
        K.REPEAT,
    ),
    ("started", "give_back", "queued"): (facts("queued", fence=1, more=ran("interrupted")), K.GIVEN_BACK),
    ("started", "reclaim", "queued"): (
        facts(
            "queued", fence=3, deaths="99 w1\n9 w2\n", more={"place": listed(lane="suspects")} | ran("abandoned")
        ),
        K.QUARANTINE,
    ),
    ("started", "reclaim", "failed"): (
        facts("failed", error=failed_by("AbandonedJobError", "lost 3 times").pack()),
        K.WORKER_LOST,
    ),
    ("started", "cancel", "canceled"): (facts("canceled", worker="w1", fence=1), K.CANCELED),
    ("started", "stop", "stopped"): (facts("stopped", worker="w1"), K.STOPPED),
    ("failed", "requeue", "queued"): (facts("queued", fence=1, uncounted=1, more=ran("failed", "boom")), K.AHEAD),
    ("failed", "defer", "deferred"): (facts("deferred", parents="cp", edition=1), K.PARENT),
    ("failed", "cancel", "canceled"): (facts("canceled", error="boom", fence=1), K.CANCELED),
    ("canceled", "requeue", "queued"): (facts("queued", fence=1, uncounted=1), K.AHEAD),
    ("canceled", "defer", "deferred"): (
        facts("deferred", parents="wp", more={"parents": (Parent("p", "failed"),), "open": 1}),
        K.PARENT_UNFINISHED,
    ),
    ("stopped", "requeue", "queued"): (facts("queued", more=ran("stopped")), K.AHEAD),
    ("expired", "requeue", "queued"): (facts("queued", more=ran("expired")), K.AHEAD),
}

#: What else may be true of a job, by the kind of the reason that tells it.
OTHERS: dict[ReasonKind, JobFacts] = {
    K.SUSPENDED: facts("queued", more={"pauses": [Pause(True)]}),
    K.PAUSED: facts("queued", more={"pauses": [Pause(False, "the disk is full", "ann", 60_000)]}),
    K.NO_WORKER: replace(facts("queued"), workers=0, last_lease=("w1", NOW - 300_000)),
    K.NOT_CLAIMING: facts("queued", more={"described": [LiveWorker("w1", "stopping", 1, 8)]}),
    K.BUSY: facts("queued", more={"described": [LiveWorker("w1", "busy", 8, 8)]}),
    K.NOT_ALLOWED: facts("queued", more={"described": [LiveWorker("w1", "idle", 0, 8, ("crm.*",))]}),
    K.NOT_LOADED: facts("failed", error=failed_by("DeserializationError", "no module of 'shop'").pack()),
    K.WORKER_LOST: facts("queued", fence=1, more=ran("abandoned")),
    K.TTL: facts("queued", expires_at=NOW + 30_000),
    K.RETRY_BUDGET: facts(
        "scheduled",
        fence=1,
        opts=RETRY,
        due_at=NOW + 600_000,
        more={"budget": RetryBudget(10, 60, 1, moment_of(str(NOW + 1)))} | ran("failed", "boom"),
    ),
    K.UNDECIDED: facts("deferred", more={"parents": (Parent("p", "finished"),), "open": 1}),
    K.LEASE_ENDED: facts("started", worker="w1", started_at=NOW - 60_000, more={"lease_ms": NOW - 40_000}),
    K.DAMAGED: facts("odd"),
    K.GONE: JobFacts("mail", JobRecord("a1", {}), NOW, is_there=False, is_recent=True),
}

EVERY = [case for case, _ in WAYS.values()] + list(OTHERS.values())


def kinds(found: JobFacts) -> list[ReasonKind]:
    return [each.kind for each in explain(found).reasons]


def reason(found: JobFacts, kind: ReasonKind) -> Reason:
    (only,) = [each for each in explain(found).reasons if each.kind == kind]

    return only


def test_every_state_has_its_row() -> None:
    assert set(EXPLAINED) == set(JobStatus)


def test_every_way_between_states_is_explained() -> None:
    table = {
        (state.value, verb, target.value)
        for state, row in STATES.items()
        for verb, targets in row.verbs.items()
        for target in targets
    }
    assert WAYS.keys() == table | {("", "enqueue", state.value) for state in BORN}


@pytest.mark.parametrize("way", WAYS, ids=" ".join)
def test_a_job_that_has_gone_a_way_tells_it(way: tuple[str, str, str]) -> None:
    found, kind = WAYS[way]
    assert found.record.status == way[2]
    assert kinds(found)[0] == kind


def test_every_kind_of_reason_comes_from_some_facts() -> None:
    for kind, found in OTHERS.items():
        assert kind in kinds(found), kind

    assert {kind for found in EVERY for kind in kinds(found)} == set(ReasonKind)


def test_every_remedy_names_commands_that_exist() -> None:
    from typer.main import get_command

    named = [
        shlex.split(words)
        for found in EVERY
        for each in explain(found).reasons
        for words in re.findall(r"`(aioq [^`]*)`", each.remedy)
    ]
    assert len(named) > 20

    every: Any = get_command(app)

    for words in named:
        command = every
        rest = words[1:]

        while hasattr(command, "commands"):
            command = command.commands[rest.pop(0)]

        options = {option for each in command.params for option in each.opts}
        assert {word for word in rest if word.startswith("--")} <= options, words


# What sentences tell


def test_a_pause_tells_by_whom_why_and_for_how_long() -> None:
    told = reason(OTHERS[K.PAUSED], K.PAUSED)
    assert told.text == "Queue mail is paused by ann: the disk is full (1m left)."
    assert told.remedy == "Let its jobs run: `aioq resume --queue mail`"
    assert reason(OTHERS[K.SUSPENDED], K.SUSPENDED).remedy == "Let them go on: `aioq resume`"


def test_without_a_worker_the_last_one_is_named() -> None:
    told = reason(OTHERS[K.NO_WORKER], K.NO_WORKER)
    assert told.text == "No live worker serves queue mail. The last one was w1; its lease ended 5m ago."
    assert told.remedy == "Start one: `aioq worker mail`"


def test_a_worker_that_may_not_run_the_function_is_named_and_others_are_not_blamed() -> None:
    some = [LiveWorker("w1", "idle", 0, 8, ("crm.*",)), LiveWorker("w2", "idle", 0, 8)]
    told = reason(facts("queued", more={"described": some, "workers": 2}), K.NOT_ALLOWED)
    assert told.text.startswith("Some workers of queue mail may not run shop.mail.send: --allow crm.* ")
    assert told.data["workers"] == ["w1"]
    assert "--allow shop.mail.send" in told.remedy


def test_workers_of_which_nothing_is_known_are_not_taken_for_full() -> None:
    one = [LiveWorker("w1", "busy", 8, 8)]
    assert K.BUSY not in kinds(facts("queued", more={"described": one, "workers": 2}))


def test_quarantine_names_the_dead_workers_and_what_follows() -> None:
    told = reason(WAYS["started", "reclaim", "queued"][0], K.QUARANTINE)
    assert "w1 (with 99 other jobs), w2 (with 9 other jobs)" in told.text
    assert "runs beside few other jobs" in told.text


def test_a_lost_lease_tells_when_it_ended() -> None:
    told = reason(OTHERS[K.LEASE_ENDED], K.LEASE_ENDED)
    assert told.text.startswith("Worker w1, which has run it for 1m, has died or cannot reach the server")
    assert "its lease ended 40s ago" in told.text


def test_a_retry_that_the_budget_holds_back_says_by_how_much() -> None:
    told = reason(OTHERS[K.RETRY_BUDGET], K.RETRY_BUDGET)
    assert told.text == (
        "The retry budget of queue mail is spent: 10 retries in 1m. It holds this one back by about 9m 5s."
    )


def test_a_retry_in_its_usual_pause_is_not_held_back() -> None:
    found = WAYS["started", "retry", "scheduled"][0]
    assert K.RETRY_BUDGET not in kinds(replace(found, budget=RetryBudget(10, 60, 1, moment_of(str(NOW - 1)))))


def test_a_parent_of_another_queue_is_named_with_its_queue() -> None:
    found = facts("deferred", more={"parents": (Parent("p@crm", ""),), "open": 1})
    told = reason(found, K.PARENT)
    assert told.text == "It waits for job p of queue crm. Only that queue knows its state."
    assert told.remedy.endswith("`aioq explain p --queue crm`")


def test_of_many_parents_some_are_named_in_the_order_of_the_call() -> None:
    names = [f"p{number}" for number in range(99, 0, -1)]
    parents = tuple(Parent(name, "queued") for name in sorted(names))
    found = facts(
        "deferred", parents=",".join(f"w{name}" for name in names), more={"parents": parents, "open": 150}
    )
    told = [each for each in explain(found).reasons if each.kind == K.PARENT]
    assert [each.data.get("job") for each in told] == [*names[:10], None]
    assert told[-1].text == "It waits for 140 other jobs, too."


def test_the_end_by_a_parent_names_what_brings_both_back() -> None:
    told = reason(WAYS["deferred", "cancel", "canceled"][0], K.ENDED_BY_PARENT)
    assert "`aioq job requeue p --dependents --queue other`" in told.remedy


def test_an_expected_start_is_told_if_the_rate_is_known_and_jobs_can_start() -> None:
    found = facts("queued", more={"place": listed(120)})
    assert reason(found, K.AHEAD).text == "120 jobs are ahead of it."
    told = reason(replace(found, rate=3), K.AHEAD)
    assert told.text == (
        "120 jobs are ahead of it. It is expected to begin in about 40s (an estimate: lately 3 jobs a second have"
        " begun)."
    )
    assert told.data["expected_at"].timestamp() * 1000 == NOW + 40_000
    stopping = [LiveWorker("w1", "stopping", 1, 8)]

    for other in (
        replace(found, pauses=(Pause(False),)),
        replace(found, workers=0),
        replace(found, described=stopping),
        replace(found, place=listed(120, lane="alone")),
        replace(found, place=listed(0)),
    ):
        told = reason(replace(other, rate=3), K.AHEAD)
        assert "expected" not in told.text
        assert "expected_at" not in told.data


def test_the_rate_goes_by_minutes_in_which_jobs_waited() -> None:
    busy, held, light = {"waiting": 9, "started": 120}, {"waiting": 9}, {"waiting": 0, "started": 60}
    assert rate_of([busy, held, busy, light], 40) == 240 / 160
    assert rate_of([busy, {"started": 1}], 2) == 12  # workers tell every ten seconds
    assert rate_of([light, light, busy, light], 30) == 2
    assert rate_of([busy, {}, busy], 30) is None  # who knows when these minutes began to be busy?
    assert rate_of([{"waiting": 1, "started": 9, "given_back": 3, "lost": 6}, light], 30) is None
    assert rate_of([], 30) is None


def acted(status: str, action: str, reason: str = "", **options: Any) -> JobFacts:
    act = AuditEntry(moment_of(str(NOW - 300_000)), "ann", "web", action, ("a1",), 1, "", reason)

    return replace(facts(status, ended_at=NOW - 300_000), acts=(act,), **options)


def test_who_has_ended_a_job_is_told_if_the_audit_does() -> None:
    told = reason(acted("canceled", "cancel", "order 12 is off"), K.CANCELED)
    assert told.text.startswith("ann canceled it 5m ago, at ")
    assert told.text.endswith(": order 12 is off.")
    assert (told.data["by"], told.data["source"], told.data["reason"]) == ("ann", "web", "order 12 is off")
    assert reason(acted("stopped", "stop"), K.STOPPED).text.startswith("ann stopped its run 5m ago")
    told = reason(acted("gone", "delete", is_there=False), K.GONE)
    assert (told.text, told.remedy) == ("There is no record of it. ann deleted it 5m ago.", "")
    other = reason(acted("canceled", "requeue"), K.CANCELED)
    assert other.text.startswith("Someone canceled it 5m ago")
    assert "by" not in other.data


def test_print_shows_the_reasons_and_what_helps() -> None:
    assert str(explain(OTHERS[K.PAUSED])).splitlines() == [
        "job a1 of queue mail is queued:",
        "- Queue mail is paused by ann: the disk is full (1m left).",
        "  Let its jobs run: `aioq resume --queue mail`",
        "- No job is ahead of it.",
    ]
    assert explain(OTHERS[K.GONE]).head == "job a1 of queue mail is gone"
    assert explain(OTHERS[K.DAMAGED]).head == "job a1 of queue mail is damaged"


# Estimates


def test_a_place_is_exact_as_far_as_entries_were_counted() -> None:
    place = Place("main", "500-0", True, 3, 10, "500-0", "900-0", 50)
    assert (place.is_exact, place.ahead) == (True, 12)


@given(
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 10**15),
    st.integers(0, 10**7),
    st.integers(0, 50),
)
def test_an_estimate_lies_between_what_was_counted_and_what_waits(
    reached: int, own: int, newest: int, waiting: int, before: int
) -> None:
    place = Place("main", f"{own}-1", True, before, 1_001, f"{reached}-0", f"{newest}-2", waiting)
    assert before + 1_001 <= place.ahead <= before + max(1_001, waiting)


def test_the_newest_of_many_is_behind_all_others_and_the_middle_is_about_half() -> None:
    newest = Place("main", "900-0", True, 0, 1_001, "100-0", "900-0", 1_000_000)
    assert newest.ahead == 1_000_000
    assert newest._replace(entry="500-0").ahead == 1_001 + round((1_000_000 - 1_001) / 2)
    assert "(an estimate)" in reason(facts("queued", more={"place": newest}), K.AHEAD).text


# Hostile data

TEXTS = st.text(max_size=30) | st.sampled_from(["`rm -rf`", "\x1b[2J", "a\nb", "\u202e", "' ; x", "9" * 5000])
ACTIONS = ("cancel", "stop", "delete", "odd")
OUTCOMES = ("failed", "retried", "abandoned", "interrupted", "odd")
FIELDS = (
    *("func", "opts", "entry", "fence", "uncounted", "deaths", "worker", "due_at", "expires_at", "started_at"),
    *("ended_at", "ttl", "repeats", "error", "reason", "waited_for", "parents"),
)


@st.composite
def odd_facts(draw: Callable[..., Any]) -> JobFacts:
    """Whatever may be stored of a job: one odd text, and one odd number, in many places."""
    text, number = draw(TEXTS), draw(st.integers(-(10**16), 10**16))
    status = draw(st.sampled_from([*map(str, JobStatus), "odd"]))
    odd = draw(st.lists(st.sampled_from(FIELDS)))
    fields = {name: text.encode(errors="replace") if draw(st.booleans()) else str(number) for name in odd}

    return JobFacts(
        "mail",
        stored(status, **fields),
        draw(st.integers(0, 10**15)),
        pauses=[Pause(False, None, None, abs(number))],
        workers=draw(st.integers(0, 1)),
        last_lease=(text, number),
        described=[LiveWorker(text, draw(st.sampled_from(("idle", "lapsed", text))), 1, 1, tuple(text.split()))],
        place=draw(st.none() | st.just(Place(text, text, True, 1, 1, "1-0", text, abs(number)))),
        lease_ms=draw(st.none() | st.just(number)),
        parents=[
            Parent(text, draw(st.sampled_from((text, "failed", "finished", "gone", ""))), 0),
            Parent("p@q", ""),
        ],
        open=abs(number),
        last_run=LastRun(draw(st.sampled_from(OUTCOMES)), text, number, Failure(text, text, text)),
        rate=draw(st.none() | st.floats()),
        acts=[AuditEntry(moment_of(str(NOW)), text, text, draw(st.sampled_from(ACTIONS)), (), 0, text, text)],
    )


@given(odd_facts())
def test_whatever_is_stored_there_is_a_reason_and_it_is_one_line(found: JobFacts) -> None:
    explanation: Explanation = explain(found)
    assert explanation.reasons

    for each in explanation.reasons:
        assert each.text.isprintable(), each
        assert each.remedy.isprintable(), each
