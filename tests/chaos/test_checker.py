from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from aioq.store.keys import SharedKeys

from .checker import check
from .history import Event, append, dump, load


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
}  # fmt: skip


def test_a_history_without_faults_is_clean() -> None:
    assert check([*whole("a"), *whole("b", 1), Event(200, "key", SharedKeys().queues)]) == []


@pytest.mark.parametrize("rule", PLANTED)
def test_each_rule_can_be_broken(rule: str) -> None:
    assert rule in {violation.rule for violation in check(PLANTED[rule])}


def killed(at: float, pid: int = 0) -> Event:
    return Event(at, "fault", "worker-kill", pid=pid, redelivers=True)


@pytest.mark.parametrize(("faults", "rules"), [(2, ["I1"]), (3, [])])
def test_a_job_that_never_ran_has_failed_for_three_faults(faults: int, rules: list[str]) -> None:
    failed = [Event(98, "final", "failed", "a"), Event(98, "info", "buried", "a")]
    asked = [event for event in whole() if event.kind in ("invoke", "ok")]
    history = [*asked, *failed, *(killed(10 * (each + 1)) for each in range(faults))]
    assert [violation.rule for violation in check(history)] == rules


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


@pytest.mark.parametrize(
    "history",
    [
        [*again(), killed(2.5, 7)],
        [*again("returned"), killed(3.4, 7)],
        [*again("raised", retries=1)],
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
    assert check([*PLANTED["I3"], flushed(4.5)]) == []
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
