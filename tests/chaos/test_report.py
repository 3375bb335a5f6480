"""What a history comes to, and how a campaign tells of it."""

from __future__ import annotations

import asyncio
import io
from collections import Counter

import pytest
from rich.console import Console

from .__main__ import LANES, Campaign, parser
from .history import Event
from .nemesis import FAULTS
from .promises import BY_A_JOB
from .report import counted, markdown, rows, summary
from .test_checker import again, dropped, killed, whole
from .trial import Outcome, Plan, judge
from .workload import LOADS

MIXED = Plan("7", "mixed")


def test_an_outcome_survives_its_text() -> None:
    outcome = judge(Plan("7", "workers"), [*again("returned"), killed(3.4, 7), *whole("b")])
    read = Outcome.read(outcome.json())
    assert read == outcome
    assert (read.jobs, read.runs, read.faults, read.hit, read.twice) == (
        2, 3, {"worker-kill": 1}, {"worker-kill": 1}, {"worker-kill": 1},
    )  # fmt: skip
    assert [round(wait, 3) for wait in read.recoveries["worker-kill"]] == [5.6]


def test_after_a_fault_of_the_server_it_counts_when_work_goes_on() -> None:
    outage = Event(1.2, "fault", "server-kill", until=1.5)
    outcome = judge(MIXED, [*whole(), outage])
    assert outcome.recoveries == {"server-kill": [0.5]}
    assert judge(MIXED, [*whole(), outage, Event(1.7, "fault", "script-flush")]).recoveries == {
        "script-flush": [pytest.approx(0.3)]
    }


def test_a_violation_and_a_lost_job_are_told() -> None:
    lost = [event for event in whole() if event.kind != "final"]
    outcome = judge(MIXED, lost)
    assert outcome.lost == 1
    assert outcome.violations[0].startswith("I1: confirmed, and ended as nothing")
    assert "lost with `appendfsync always`: 1 of 1" in "\n".join(summary([outcome]))
    assert "violations of the rules: 2" in summary([outcome])
    other = judge(Plan("7", "failover", topology="sentinel"), lost)
    assert "confirmed jobs lost with `appendfsync always` and Sentinel: 1 of 1" in summary([outcome, other])


@pytest.mark.parametrize(
    ("mix", "title"),
    [
        ("workers", "worker-kill"),
        ("failover+workers", "worker-kill, beside failovers"),
        ("cluster+workers", "worker-kill, beside faults of shards"),
        ("clock+workers", "worker-kill, beside steps of the clock"),
        ("mixed", "all at once"),
    ],
)
def test_a_row_tells_what_else_was_broken_at_the_same_time(mix: str, title: str) -> None:
    assert [row[0] for row in rows([judge(Plan("7", mix), [*again(), killed(2.5, 7)])])] == [title]


def test_who_has_ended_its_workers_is_told_apart_and_its_deaths_are_no_kills_of_the_campaign() -> None:
    death = Event(2.5, "fault", BY_A_JOB, pid=7, redelivers=True)
    outcome = judge(MIXED, [*again("killed", kills=True), death, Event(99, "info", "buried", "a"), *whole("b")])
    assert (outcome.buried, outcome.killers, outcome.faults) == (1, 1, {BY_A_JOB: 1})
    assert counted([outcome])["kills"] == 0
    assert "1 jobs failed because their workers were lost too often, 1 by their own doing" in summary([outcome])[1]
    lone = judge(Plan("7", "clock"), [*again("killed", kills=True), death])
    assert [row[:3] for row in rows([lone])] == [(BY_A_JOB, "1", "1")]


def test_a_job_of_which_nothing_is_kept_is_lost_only_if_it_has_not_ended() -> None:
    assert judge(MIXED, dropped(1)).lost == 0
    assert judge(MIXED, dropped(1)[:2]).lost == 1


def test_a_table_has_a_row_for_each_fault_and_one_for_all_at_once() -> None:
    one = judge(Plan("7", "workers"), [*again(), killed(2.5, 7)])
    mixed = judge(MIXED, [*again(), killed(2.5, 7), Event(20, "fault", "script-flush", until=21)])
    assert [row[:3] for row in rows([one, mixed])] == [("worker-kill", "1", "1"), ("all at once", "2", "1")]
    assert counted([one, mixed])["kills"] == 2
    assert counted([judge(MIXED, [*whole(), Event(1, "fault", "shard-kill")])])["failovers"] == 1
    assert "| worker-kill | 1 | 1 | 0 | 6.50 | 6.50 | 6.50 |" in markdown("the command", [one, mixed])


@pytest.mark.parametrize(
    "words", [["--repeat", "7:nothing"], ["--only", "workers,nothing"], ["--server", "nothing"]]
)
def test_what_cannot_be_run_is_refused_with_what_can(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(words)

    said = capsys.readouterr().err
    assert "nothing" in said
    assert "workers" in said or "valkey9" in said


def test_a_trial_is_named_by_its_plan_or_by_a_seed_and_what_is_broken() -> None:
    assert parser().parse_args(["--repeat", "7:worker-kill"]).repeat == Plan("7", "worker-kill")
    assert parser().parse_args(["--repeat", '{"seed": "7", "mix": "server", "gap": 2}']).repeat == Plan(
        "7", "server", gap=2
    )
    assert parser().parse_args(["--repeat", "7:slot-move"]).repeat == Plan("7", "slot-move", topology="cluster")
    assert parser().parse_args(["--repeat", "7:clock-step"]).repeat == Plan("7", "clock-step", load="steady")


async def test_a_campaign_has_so_many_trials_at_a_time_and_goes_on_until_there_were_enough(monkeypatch) -> None:
    """Each trial has ten faults of the kind that its lane counts; one of the network has fewer than it must."""
    running, most, seen = 0, 0, Counter()

    async def trial(campaign: Campaign, plan: Plan) -> Outcome:
        nonlocal running, most
        running, seen[plan.mix] = running + 1, seen[plan.mix] + 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        names = {"workers": "worker-kill", "server": "server-term", "network": "partition"}
        return Outcome(plan, faults=Counter({names.get(plan.mix, "shard-kill"): 10}))

    monkeypatch.setattr(Campaign, "_trial", trial)
    words = ["--kills", "30", "--restarts", "10", "--partitions", "70", "--failovers", "0", "--abreast", "3"]
    campaign = Campaign(parser().parse_args(words), Console(file=io.StringIO()))
    await campaign.work()
    assert most == 3
    assert seen["workers"] == 3
    assert seen["network"] == 7
    assert seen["narrow"] == LANES["narrow"].most
    assert seen["cluster+workers"] == 0
    assert len({outcome.plan.seed for outcome in campaign.outcomes}) == len(campaign.outcomes)
    assert not any(campaign.lacks(what) for what in campaign.goals)


def test_the_help_names_every_fault_load_and_lane() -> None:
    text = " ".join(parser().format_help().split())
    assert [name for name in (*FAULTS, *LOADS, *LANES) if name not in text] == []
