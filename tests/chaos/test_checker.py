from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aioq.store.keys import SharedKeys

from .bodies import fence_of, result_of
from .checker import check
from .history import NO_FENCE, TAKEN, Event, Kind, append, dump, load
from .promises import BY_A_JOB


def whole(job: str = "a", at: float = 0, **options: object) -> list[Event]:
    """A job that is enqueued, runs once and finishes, within four seconds."""
    return [
        Event(at, "invoke", "enqueue", job, **options),  # type: ignore[arg-type]
        Event(at + 1, "ok", "enqueue", job),
        Event(at + 2, "begin", job=job, fence=1),
        Event(at + 3, "end", job=job, fence=1),
        Event(at + 3.5, "commit", job=job, fence=1),
        Event(at + 99, "final", "finished", job),
    ]


def without(kind: str) -> list[Event]:
    return [event for event in whole() if event.kind != kind]


def again(first: str = "", pid: int = 7, **options: object) -> list[Event]:
    """A job that runs twice: from 2 to 3 if its first run ends at all, and again at 9."""
    begun = [
        Event(0, "invoke", "enqueue", "a", **options),  # type: ignore[arg-type]
        Event(1, "ok", "enqueue", "a"),
        Event(2, "begin", job="a", fence=1, pid=pid),
        Event(9, "begin", job="a", fence=2, pid=8),
        Event(10, "commit", job="a", fence=2),
        Event(99, "final", "finished", "a"),
    ]
    return begun + ([Event(3, "end", first, "a", fence=1, pid=pid)] if first else [])


def unserved(job: str, at: float) -> list[Event]:
    """An enqueue on a queue whose shard lives, which does not come back."""
    return [Event(at, "invoke", "enqueue", job, queue="two"), Event(at + 30, "info", "enqueue", job)]


PLANTED = {
    "I1": without("begin"),
    "I2": [*whole(), Event(100, "final", "queued", "a")],
    "I3": [*whole(), Event(4, "commit", job="a", fence=2)],
    "I4": [*without("commit"), Event(4, "begin", job="a", fence=2)],
    "I5": [*whole("a", unique="u"), *whole("b", 0.5, unique="u")],
    "I6": [*whole("a", limit=("k", 1)), *whole("b", 0.5, limit=("k", 1))],
    "I7": whole(due=2.5),
    "I8": [*whole(), Event(2, "begin", callback="g"), Event(3, "begin", callback="g")],
    "I9": [*whole(), Event(5, "fault", "kill", redelivers=True), Event(6, "begin", job="a", fence=1)],
    "I10": [*whole(), Event(100, "key", "aioq:{q}:job:a")],
    "I11": [*whole("a", 0.5, sequence="s"), Event(0, "invoke", "enqueue", "b", sequence="s"),
            Event(9, "begin", job="b", fence=1), Event(99, "final", "finished", "b")],
    "I12": [*whole("a", slot="noon"), *whole("b", 9, slot="noon")],
    "I0": [*whole(), Event(0, "damaged", "{")],
    "I13": [*whole(), Event(5, "commit", job="a", fence=NO_FENCE)],
    "I14": [event for event in whole() if event.kind != "invoke"],
    "I15": [*whole(), Event(5, "invoke", "cancel", "a", pid=9)],
    "I16": [*whole(), Event(5, "fault", "worker-term", pid=7, until=20, within=9.5)],
    "I17": [*without("end")[:2], Event(2, "begin", job="a", fence=1, pid=7), Event(3, "end", "killed", "b", pid=7),
            Event(98, "final", "failed", "a"), Event(98, "info", "buried", "a")],
    "I18": [*whole(kills=True), Event(98, "info", "buried", "a")],
    "I19": [Event(0, "fault", "shard-away", until=60, away=("one",)),
            *(event for each in range(6) for event in unserved(f"j{each}", 20 + each))],
    "I20": [Event(0, "fault", "shard-away", until=60, away=("one",)), Event(5, "start", "w", pid=9)],
    "I26": [*without("end"), Event(9, "invoke", "group", "a"), Event(9.5, "ok", "group", "a")],
    "I27": [*without("end"), Event(4, "end", "returned", "a", fence=1), Event(3, "commit", TAKEN, "a", fence=1)],
    "I22": [*whole("a", 3), *whole("b", after="a")],
    "I28": [*whole("a"), *whole("c", 0.5, child_of="a"), *whole("b", 1, after="a")],
    "I29": [*whole("a"), Event(3, "end", "returned", "a", fence=1), Event(0, "invoke", "enqueue", "b", after="a"),
            Event(1, "ok", "enqueue", "b"), Event(2, "ok", "requeue", "b"), Event(99, "final", "canceled", "b")],
    "I24": [*again("returned", repeats=2)],
    "I21": [*whole(), Event(4, "invoke", "result", "a"), Event(64, "info", "result", "a")],
    "I23": [*again("raised", retries=9, deadline=0.5), Event(25, "begin", job="a", fence=3)],
    "I30": [*whole("a", 3), Event(6.5, "end", "returned", "a", fence=1), *whole("b", 6, after="a", patience=0.1),
            Event(2, "ok", "enqueue", "b")],
    "I31": [*whole(), Event(100, "counted", "finished", fence=1), Event(100, "counted", "failed", fence=1)],
    "I32": [*whole(), Event(4, "invoke", "cancel", "a", actor="ann"), Event(5, "ok", "cancel", "a")],
    "I33": whole(tags="x"),
    "I25": [*whole(called=True), Event(4, "call", "on_failure", "a", fence=1)],
}  # fmt: skip


def test_a_history_without_faults_is_clean() -> None:
    assert check([*whole("a"), *whole("b", 1), Event(200, "key", SharedKeys().queues)]) == []


@pytest.mark.parametrize("rule", PLANTED)
def test_each_rule_can_be_broken(rule: str) -> None:
    assert rule in {violation.rule for violation in check(PLANTED[rule])}


def test_the_statistics_tell_at_least_what_workers_have_recorded_that_nothing_has_hit() -> None:
    history = [*whole(), Event(3, "end", "returned", "a", fence=1, pid=7)]
    none, one = (Event(100, "counted", "finished", fence=count) for count in (0, 1))
    assert check([*history, one]) == []
    assert [violation.rule for violation in check([*history, none])] == ["I31"]
    assert check([*history, none, Event(5, "fault", "worker-kill", pid=7, redelivers=True)]) == []
    assert check([*history, none, Event(5, "fault", "cut", until=6)]) == []


def test_an_act_that_was_answered_has_one_row() -> None:
    asked = [*whole(), Event(4, "invoke", "cancel", "a", actor="ann")]
    row = Event(99, "told", "cancel", "a", actor="ann", queue="q")
    answered = [*asked, Event(5, "ok", "cancel", "a")]
    assert rules([*answered, row]) == rules([*answered, flushed(5.5)]) == []
    assert rules([*answered, row, row]) == rules([*answered, replace(row, actor="eve")])[:1] == ["I32"]
    unknown = [*asked, Event(5, "info", "cancel", "a")]
    assert rules(unknown) == rules([*unknown, row]) == []
    assert rules([*whole(), Event(4, "invoke", "cancel", "a"), Event(5, "ok", "cancel", "a"), row]) == ["I32"]


def test_a_job_is_found_by_its_tags_and_by_no_others() -> None:
    x, y = (Event(99, "tagged", tag, "a") for tag in "xy")
    assert rules([*whole(tags="x,y"), x, y]) == rules([*whole(), flushed(3.2)]) == []
    assert rules([*whole(tags="x,y"), x]) == rules([*whole(tags="x"), x, y]) == rules([*whole(), x]) == ["I33"]
    assert rules([*whole(tags="x")[:-1], x, Event(3, "end", "returned", "a", fence=1)]) != ["I33"]


def test_a_series_has_no_more_runs_than_it_was_told() -> None:
    history = [
        *again("returned", repeats=1),
        Event(9.5, "end", "returned", "a", fence=2),
        Event(9.6, "begin", job="a", fence=3, pid=8),
        Event(9.7, "end", "returned", "a", fence=3),
    ]
    assert "I4" in {violation.rule for violation in check(history)}


def test_a_job_of_another_queue_must_have_returned_too() -> None:
    early = [*whole("a", 3, queue="two"), *whole("b", queue="one", after="a")]
    assert [violation.rule for violation in check(early)] == ["I22"]
    first = [
        replace(event, name="returned") if event.kind == "end" else event for event in whole("a", queue="two")
    ]
    assert check([*first, *whole("b", 5, queue="one", after="a")]) == []


def test_the_end_of_a_job_has_its_callback_and_its_webhook() -> None:
    called, sent = Event(4, "call", "on_success", "a", fence=1), Event(4, "call", "job.finished", "a")

    assert check([*whole(called=True), called, sent, sent]) == []
    assert [violation.rule for violation in check([*whole(called=True), called])] == ["I25"]
    assert [violation.rule for violation in check([*whole(called=True), sent])] == ["I25"]
    assert [violation.rule for violation in check(whole(called=True))] == ["I25"]
    assert check([*whole(called=True), flushed(3.2)]) == []
    assert check([*whole(called=True), Event(99, "final", "failed", "a.1.on_success")]) == []


def killed(at: float, pid: int = 0) -> Event:
    return Event(at, "fault", "worker-kill", pid=pid, redelivers=True)


@pytest.mark.parametrize(("faults", "rules"), [(2, ["I1"]), (3, [])])
def test_a_job_that_never_ran_has_failed_for_three_faults(faults: int, rules: list[str]) -> None:
    failed = [Event(98, "final", "failed", "a"), Event(98, "info", "buried", "a")]
    asked = [event for event in whole() if event.kind in ("invoke", "ok")]
    history = [*asked, *failed, *(killed(10 * (each + 1)) for each in range(faults))]
    assert [violation.rule for violation in check(history)] == rules


@pytest.mark.parametrize(
    "history",
    [
        [*again(), killed(2.5, 7)],
        [*again("returned"), killed(3.4, 7)],
        [*again("raised", retries=1)],
        [*again("returned", repeats=1), Event(9.5, "end", "returned", "a", fence=2)],
        [*again("raised"), Event(5, "invoke", "requeue", "a")],
        # It ended while the server was away, and was never recorded.
        [*again("returned"), Event(2.5, "fault", "server-kill", until=6), killed(7, 7)],
        [*again("cancelled"), Event(2.5, "fault", "partition", pid=7, until=8.5, redelivers=True)],
    ],
)
def test_a_run_that_has_its_reason_is_no_violation(history: list[Event]) -> None:
    assert check(history) == []


def test_a_run_that_raised_and_was_never_recorded_uses_no_retry() -> None:
    third = [Event(9.5, "end", "raised", "a", fence=2, pid=8), Event(9.9, "begin", job="a", fence=3)]
    history = [event for event in again("raised", retries=1) if event.kind != "commit"] + third
    assert [violation.rule for violation in check(history)] == ["I4"]
    assert check([*history, killed(3.1, 7)]) == []


@pytest.mark.parametrize(
    "history",
    [
        [*again()],
        [*again(), killed(2.5, 6)],  # another worker
        [*again(), killed(9.5, 7)],  # too late
        [*again(), killed(0.5, 7)],  # too soon
        [*again("returned"), killed(6, 7)],  # it had ended long before
        [*again(), Event(2.5, "fault", "server-kill", until=6)],  # a server that keeps its data is no reason
        [*again("raised"), killed(8, 6)],  # it may not be retried
        [*again("returned", retries=3)],
    ],
)
def test_a_run_without_a_reason_breaks_the_rule(history: list[Event]) -> None:
    assert [violation.rule for violation in check(history)] == ["I4"]


def flushed(at: float, seconds: float = 1) -> Event:
    return Event(at, "fault", "server-kill", loses=seconds)


def test_what_a_server_lost_is_no_violation() -> None:
    assert check([*without("begin")[:2], flushed(1.5)]) == []
    assert "I3" not in {violation.rule for violation in check([*PLANTED["I3"], flushed(4.5)])}
    assert check([*PLANTED["I9"], flushed(6.5)]) == []


def test_a_loss_excuses_nothing_that_was_written_long_before_it() -> None:
    assert "I1" in {violation.rule for violation in check([*whole()[:-1], flushed(9)])}
    assert "I3" in {violation.rule for violation in check([*PLANTED["I3"], flushed(9)])}
    assert "I9" in {violation.rule for violation in check([*PLANTED["I9"], flushed(9)])}
    assert check([*whole()[:-1], flushed(9, float("inf"))]) == []


def test_what_may_be_left_has_the_name_that_the_package_gives_it() -> None:
    assert check([*whole(), Event(100, "key", SharedKeys().queues)]) == []


def test_the_shortest_example_comes_first_with_the_events_of_its_job_alone() -> None:
    first = check([*whole("b"), *PLANTED["I1"], Event(100, "final", "queued", "b")])[0]

    assert {event.job for event in first.events} == {"a"}


def test_an_example_tells_only_what_matters() -> None:
    first = str(check(PLANTED["I1"])[0]).splitlines()

    assert first[:3] == [
        "I1: confirmed, and never ran",
        "      0.000 invoke enqueue job=a",
        "      1.000 ok enqueue job=a",
    ]


def test_a_history_survives_its_text_and_a_line_that_was_cut_off() -> None:
    history = whole(limit=("k", 1))

    assert load(dump(history) + '{"at": 1') == history


def test_a_result_of_a_run_that_was_followed_by_another_breaks_the_rule() -> None:
    later = [Event(2.5, "fault", "kill", redelivers=True), Event(3.2, "begin", job="a", fence=2)]

    assert "I3" in {violation.rule for violation in check([*whole(), *later])}
    # Two who read the same result read one result.
    assert check([*whole(), Event(5, "commit", job="a", fence=1)]) == []


def test_events_of_many_writers_are_whole(tmp_path: Path) -> None:
    events = [Event(at, "begin", job=f"j{at}", fence=1) for at in range(500)]

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda event: append(tmp_path / "effects", event), events))

    assert load((tmp_path / "effects").read_text()) == events


def dropped(soon: float, ended: str = "raised") -> list[Event]:
    """A job of which nothing is left: it began when it was confirmed, and ended so many seconds later."""
    return [
        Event(0, "invoke", "enqueue", "a", brief=True),
        Event(1, "ok", "enqueue", "a"),
        Event(1, "begin", job="a", fence=1, pid=7),
        Event(1 + soon, "end", ended, "a", fence=1, pid=7),
    ]


def rules(history: list[Event]) -> list[str]:
    return [violation.rule for violation in check(history)]


def test_a_brief_job_may_leave_no_record_but_must_have_had_its_end() -> None:
    assert rules(dropped(1)) == []
    assert rules(dropped(1)[:-1]) == ["I1"]  # it began, and nobody knows more
    assert rules(dropped(1)[:2]) == ["I1"]  # it never ran
    assert rules([*dropped(1)[:-1], *(killed(10 * (each + 1)) for each in range(3))]) == []
    assert "I2" in rules([replace(event, brief=False) for event in dropped(1)])


def test_a_body_that_ran_twice_has_happened_twice_though_no_record_is_left() -> None:
    """The call was repeated when the first job had been forgotten: the fence begins anew, or at a later clock."""
    assert {"I4", "I9"} <= set(rules([*dropped(1), Event(4, "begin", job="a", fence=1, pid=8)]))
    assert "I4" in rules([*dropped(1), Event(4, "begin", job="a", fence=2, pid=8)])


def test_a_call_that_its_killed_process_has_made_needs_no_answer() -> None:
    asked = [*whole(), Event(5, "invoke", "cancel", "a", pid=9)]
    assert rules(asked) == ["I15"]
    assert rules([*asked, Event(6, "info", "cancel", "a", pid=9)]) == []
    assert rules([*asked, Event(6, "fault", "producer-kill", pid=9)]) == []
    assert rules([*asked, Event(6, "fault", "worker-kill", pid=9)]) == []
    assert rules([*asked, Event(6, "fault", "worker-kill", pid=8)]) == ["I15"]
    assert rules([*asked, Event(6, "fault", "worker-freeze", pid=9)]) == ["I15"]
    assert rules([*asked, Event(6, "ok", "cancel", "a", pid=8)]) == ["I15"]  # that is another one's answer


def test_a_scheduled_job_may_come_sooner_by_as_much_as_the_clock_was_set() -> None:
    early = whole(due=2.5)
    assert rules([*early, Event(1.5, "fault", "clock-step", until=20, shift=10)]) == []
    assert rules([*early, Event(1.5, "fault", "clock-step", until=20, shift=0.1)]) == ["I7"]
    assert rules([*early, Event(3, "fault", "clock-step", until=20, shift=10)]) == ["I7"]


def buried(*more: Event, pid: int = 7, **options: Any) -> list[Event]:
    """A job that failed with its third worker, whose process was `pid`."""
    return [
        Event(0, "invoke", "enqueue", "a", **options),
        Event(1, "ok", "enqueue", "a"),
        *(Event(10.0 * number, "begin", job="a", fence=number, pid=pid + number - 3) for number in (1, 2, 3)),
        *(killed(10.0 * number + 1, pid + number - 3) for number in (1, 2)),
        Event(98, "final", "failed", "a"),
        Event(98, "info", "buried", "a"),
        *more,
    ]


def test_who_fails_with_its_workers_was_killed_itself_or_kills() -> None:
    by_another = Event(31, "end", "killed", "b", fence=1, pid=7)
    assert rules(buried(killed(31, 7))) == []
    assert rules(buried(by_another)) == ["I17"]
    assert rules(buried(by_another, killed(31, 7))) == []
    assert rules(buried(by_another, kills=True)) == []


def test_a_last_run_may_end_before_it_begins_to_write_events() -> None:
    by_another = Event(31, "end", "killed", "b", fence=1, pid=7)
    unseen = [replace(event, pid=8) if event.name == "buried" else event for event in buried(by_another)]
    assert rules([*unseen, killed(40, 8)]) == []
    assert rules([*unseen, killed(40, 9)]) == ["I17"]


def test_who_kills_its_workers_fails_and_not_too_soon() -> None:
    twice = [event for event in buried(kills=True) if event.fence != 3 and event.kind != "fault"]
    own = [
        Event(11, "fault", BY_A_JOB, pid=5, redelivers=True),
        Event(21, "fault", BY_A_JOB, pid=6, redelivers=True),
    ]
    assert rules([*twice, *own]) == ["I18"]
    assert rules([*twice, *own, killed(21, 6)]) == []  # nobody knows which of them it was
    assert "I18" in rules([*whole(kills=True)])  # it cannot finish


def test_beside_a_shard_that_is_away_a_queue_is_served_and_a_worker_starts() -> None:
    away = Event(0, "fault", "shard-away", until=60, away=("one",))
    served = [event for each in range(6) for event in whole(f"j{each}", 20 + each, queue="two")]
    start = Event(5, "start", "w", pid=9)
    assert rules([away, *served]) == []
    assert rules([away, start, *served]) == ["I20"]
    assert rules([away, start, *(replace(event, pid=9) for event in served)]) == []
    assert rules([away, replace(start, at=50)]) == []  # there was no time for it
    assert rules([away, start, *(replace(event, queue="one") for event in unserved("a", 1))]) == []
    assert rules([away, *(event for each in range(6) for event in unserved(f"j{each}", 55))]) == []


def test_a_result_that_does_not_come_is_excused_by_a_fault_but_not_by_a_slow_line() -> None:
    waited = PLANTED["I21"]
    assert rules([*waited, Event(3, "fault", "narrow-network", until=99)]) == ["I21"]
    assert rules([*waited, Event(3, "fault", "server-kill", until=9)]) == []
    assert rules([*waited, Event(70, "fault", "server-kill", until=80)]) == ["I21"]


def test_a_late_run_after_a_fault_breaks_no_deadline() -> None:
    late = [*again("raised", retries=9, deadline=0.5), Event(25, "begin", job="a", fence=3)]
    assert "I23" in rules(late)
    assert "I23" not in rules([*late, Event(20, "fault", "worker-kill", pid=8, redelivers=True)])
    assert "I23" not in rules(again("raised", retries=9, deadline=3))


def test_what_a_body_returns_tells_its_fence_and_nothing_else_does() -> None:
    assert fence_of(7) == fence_of(result_of(7, 100)) == fence_of(result_of(7, 1)) == 7
    assert len(result_of(7, 5_000)) == 5_000
    parts = (result_of(7, 100)[:-1], result_of(7, 100)[1:], b"", b"7", None, True, "7", 7.0, [7])
    assert {fence_of(each) for each in parts} == {NO_FENCE}


#: Events with whatever their types allow: a trial may be cut off anywhere, and a server may answer anything.
NAMES = ["", "enqueue", "result", "finished", "nothing", "killed", "buried", "worker-term", "producer-kill"]
NUMBERS = st.floats(allow_nan=False) | st.integers(-9, 9)
EVENTS = st.builds(
    Event,
    at=st.floats(-9, 99) | st.floats(allow_nan=False, allow_infinity=False),
    kind=st.sampled_from(get_args(Kind)),
    name=st.sampled_from(NAMES) | st.text(max_size=3),
    job=st.sampled_from(["", "a", "b"]),
    fence=st.integers(-1, 3),
    pid=st.integers(0, 3),
    due=st.none() | NUMBERS,
    unique=st.sampled_from(["", "u"]),
    limit=st.none() | st.tuples(st.sampled_from(["", "k"]), st.integers(-1, 2)),
    sequence=st.sampled_from(["", "s"]),
    slot=st.sampled_from(["", "noon"]),
    retries=st.integers(-1, 2),
    deadline=NUMBERS,
    brief=st.booleans(),
    kills=st.booleans(),
    queue=st.sampled_from(["", "one", "two"]),
    callback=st.sampled_from(["", "g"]),
    until=NUMBERS,
    redelivers=st.booleans(),
    loses=NUMBERS,
    within=NUMBERS,
    shift=NUMBERS,
    away=st.sampled_from([(), ("one",), ("one", "two")]),
)


@settings(max_examples=100, deadline=None)
@given(st.lists(EVENTS, max_size=20))
def test_the_checker_judges_every_history(history: list[Event]) -> None:
    assert all(str(violation) for violation in check(history))


@settings(max_examples=50, deadline=None)
@given(st.data(), st.sampled_from(sorted(PLANTED)))
def test_rows_that_are_doubled_left_out_or_moved_are_judged(data: st.DataObject, rule: str) -> None:
    history = data.draw(st.lists(st.sampled_from(PLANTED[rule]), max_size=20))
    assert all(str(violation) for violation in check(load(dump(history))))


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_a_line_that_is_no_event_is_a_counter_example_and_no_crash(data: st.DataObject) -> None:
    """A field of another type, one that nobody knows, a line that was cut off, or anything else."""
    rows = [json.loads(line) for line in dump(data.draw(st.lists(EVENTS, min_size=1, max_size=5))).splitlines()]
    field = data.draw(st.sampled_from([*rows[0], "more"]))
    rows[0][field] = data.draw(JSON)
    lines = [json.dumps(row) for row in rows] + data.draw(
        st.lists(JSON.map(json.dumps) | st.text(max_size=9), max_size=3)
    )
    text = "".join(f"{line}\n" for line in lines)
    history = load(text[data.draw(st.integers(0, len(text))) :])
    assert all(str(violation) for violation in check(history))
    assert ("I0" in rules(history)) == any(event.kind == "damaged" for event in history)


@pytest.mark.parametrize("fence", ["null", '"7"', "true", "1.5", "[]"])
def test_a_result_without_a_fence_is_a_counter_example_and_no_crash(fence: str) -> None:
    text = dump([*whole(), Event(5, "commit", job="a", fence=123)]).replace("123", fence)
    assert "I0" in rules(load(text))
