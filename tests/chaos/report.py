"""The table of a campaign: each fault, how often, what came of it, and how soon there was work again."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from datetime import date

from benchmarks.machine import versions
from benchmarks.report import bars

from .nemesis import FAULTS, MIXES, OF_ITS_OWN
from .promises import BY_A_JOB
from .trial import Outcome

HEAD = ("fault", "times", "runs again", "done twice", "p50 (s)", "p99 (s)", "max (s)")
RIGHT = range(1, len(HEAD))

#: What a campaign counts, and the faults that count for it.
COUNTED = {
    "kills": ("worker-kill",),
    "restarts": ("server-kill", "server-term", "server-shutdown"),
    "partitions": ("partition", "partition-of-requests", "partition-of-replies"),
    "failovers": (
        *("primary-kill", "primary-freeze", "primary-cut-off", "failover-planned", "failover-asked"),
        *("shard-kill", "shard-failover"),
    ),
}

TITLES = {
    "kills": "worker kills",
    "restarts": "server restarts",
    "partitions": "partitions",
    "failovers": "failovers",
}

#: What a topology is called.
CALLED = {"standalone": "", "sentinel": " and Sentinel", "cluster": " in a Cluster"}


def counted(outcomes: Iterable[Outcome]) -> Counter[str]:
    """How many faults there were of what a campaign counts."""
    faults: Counter[str] = sum((each.faults for each in outcomes), Counter())

    return Counter({what: sum(faults[name] for name in names) for what, names in COUNTED.items()})


#: What a row of a worker's fault is called in addition, if servers change or clocks are set at the same time.
BESIDE = {
    "failover": ", beside failovers",
    "cluster": ", beside faults of shards",
    "clock": ", beside steps of the clock",
}

#: What the row is called of trials with all kinds of faults.
ALL = "all at once"


def rows(outcomes: Sequence[Outcome]) -> list[tuple[str, ...]]:
    """Each fault by itself, those of workers also beside faults of servers, then all of them at once."""
    groups: dict[str, list[tuple[Outcome, str]]] = defaultdict(list)

    for outcome in outcomes:
        for name in outcome.faults:
            groups[_title(outcome, name)].append((outcome, name))

    names = sorted(FAULTS, key=lambda name: MIXES.index(FAULTS[name].mix))
    titles = [
        f"{name}{end}" for name in (*names, OF_ITS_OWN, BY_A_JOB) for end in ("", *dict.fromkeys(BESIDE.values()))
    ]

    return [_row(title, groups[title]) for title in (*titles, ALL) if title in groups]


def _title(outcome: Outcome, name: str) -> str:
    if outcome.plan.mix == "mixed":
        return ALL

    beside = next((end for mix, end in BESIDE.items() if mix in outcome.plan.mix.split("+")), "")

    return name + beside if name.startswith("worker-") else name


def _row(title: str, group: list[tuple[Outcome, str]]) -> tuple[str, ...]:
    times = sum(outcome.faults[name] for outcome, name in group)
    again = sum(outcome.hit[name] for outcome, name in group)
    twice = sum(outcome.twice[name] for outcome, name in group)
    waits = sorted(wait for outcome, name in group for wait in outcome.recoveries.get(name, ()))
    shown = [_seconds(waits, share) for share in (0.5, 0.99, 1.0)]

    return (title, f"{times:,}", f"{again:,}", f"{twice:,}", *shown)


def _seconds(waits: list[float], share: float) -> str:
    return f"{waits[min(len(waits) - 1, int(len(waits) * share))]:.2f}" if waits else ""


def summary(outcomes: Sequence[Outcome]) -> list[str]:
    """What all trials came to, in sentences."""
    faults = sum(each.faults.total() for each in outcomes)
    again = sum(each.hit.total() for each in outcomes)
    twice = sum(each.twice.total() for each in outcomes)
    totals = counted(outcomes)
    jobs, runs = sum(each.jobs for each in outcomes), sum(each.runs for each in outcomes)
    buried, killers = sum(each.buried for each in outcomes), sum(each.killers for each in outcomes)
    known = ", ".join(f"{totals[what]:,} {title}" for what, title in TITLES.items())
    lost = f"{buried:,} jobs failed because their workers were lost too often, {killers:,} by their own doing"
    lines = [
        f"{faults:,} faults in {len(outcomes)} trials: {known}, and others",
        f"{jobs:,} jobs, {runs:,} runs; {lost}",
        f"runs that came again by a fault: {again:,}; for 1,000 faults: {_of_thousand(again, faults)}",
        f"those whose run before had come to its end: {twice:,}; for 1,000 faults: {_of_thousand(twice, faults)}",
    ]

    for disk, topology in sorted({(each.plan.disk, each.plan.topology) for each in outcomes}):
        these = [each for each in outcomes if (each.plan.disk, each.plan.topology) == (disk, topology)]
        gone, jobs = sum(each.lost for each in these), sum(each.jobs for each in these)
        lines.append(f"confirmed jobs lost with `appendfsync {disk}`{CALLED[topology]}: {gone:,} of {jobs:,}")

    lines.append(f"violations of the rules: {sum(len(each.violations) for each in outcomes):,}")

    return lines


def _of_thousand(count: int, faults: int) -> str:
    return f"{1000 * count / max(1, faults):,.0f}"


def conditions() -> str:
    named = ", ".join(f"{name} {value}" for name, value in versions().items() if value != "none")

    return f"{date.today().isoformat()}: {named}"  # noqa: DTZ011 - the day here


def markdown(command: str, outcomes: Sequence[Outcome]) -> str:
    parts = [f"`{command}`", "", f"{conditions()}.", "", *bars([HEAD, *rows(outcomes)], RIGHT), ""]

    return "\n".join([*parts, *(f"- {line}" for line in summary(outcomes))])
