"""The table: each figure beside the floor and its goals, as text, Markdown or JSON."""

from __future__ import annotations

import json
from collections.abc import Collection, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date
from pathlib import Path

from benchmarks.bench import Outcome, Plan
from benchmarks.figures import FIGURES, PURE, Goal, Samples
from benchmarks.machine import cores, versions
from benchmarks.peers import peer

HEAD = ("", "figure", "unit", "aioq", "floor", "aioq / floor", "goal", "")
RIGHT = (3, 4, 5)


def _pair(key: str, part: str = "") -> tuple[str, str]:
    """The keys of how a shape is enqueued and drained."""
    return f"{key}.enqueue{part}", f"{key}.drain{part}"


#: More tables, with a row for each system. A column shows one figure, or two of one kind.
BESIDE = {
    "Beside the peers": (
        ("enqueue, one at a time (jobs/s)", ("enqueue.one",)),
        ("gather", ("enqueue.gather",)),
        ("bulk", ("enqueue.many",)),
        ("drain (jobs/s)", ("drain.rate",)),
        ("worker CPU (µs/job)", ("drain.worker",)),
        ("server CPU (s/1000 jobs)", ("drain.both",)),
        ("server commands (per job)", ("drain.commands",)),
        ("100 users (jobs/s)", ("users.rate",)),
        ("to body, p50 / p99 (ms)", ("latency.start.p50", "latency.start.p99")),
        ("to result, p50 / p99 (ms)", ("latency.result.p50", "latency.result.p99")),
    ),
    "Dependencies beside the peers": (
        ("plain jobs, enqueued / drained (jobs/s)", ("dependencies.enqueue", "dependencies.drain")),
        ("many after one, enqueued / drained (jobs/s)", _pair("dependencies.fan_out")),
        ("time to that of plain jobs", _pair("dependencies.fan_out", ".times")),
        ("one after many, enqueued / drained (jobs/s)", _pair("dependencies.fan_in")),
        ("time to that of plain jobs", _pair("dependencies.fan_in", ".times")),
        ("chain, enqueued (jobs/s)", ("dependencies.chain.enqueue",)),
        ("a link / a lone job (ms)", ("dependencies.chain", "dependencies.lone")),
        ("link to lone job (times)", ("dependencies.chain.times",)),
    ),
    "Groups beside the peers": (
        ("plain jobs, enqueued / drained (jobs/s)", ("group.plain.enqueue", "group.plain.drain")),
        ("a group, enqueued / drained (jobs/s)", _pair("group")),
        ("part of the rate of plain jobs", _pair("group", ".part")),
        ("told of its end after (ms)", ("group.told",)),
        ("memory of a member, queued / finished (bytes)", ("group.queued", "group.ended")),
    ),
}

#: The places of a page, by name. In each, the table of one run stands between two lines.
TABLE, FOLLOWS = "table", "follows"
PLACES = (TABLE, FOLLOWS)

#: Over that of all benchmarks is the plot of the same run, in a file beside the page.
PLOT = "benchmarks.svg"


@dataclass
class Report:
    """What a whole call of the program brought."""

    plan: Plan
    command: str
    server: str = ""
    samples: dict[str, Samples] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    failed: list[str] = field(default_factory=list)
    broken: list[str] = field(default_factory=list)

    def add(self, benchmark: str, outcome: Outcome) -> None:
        """Take in one run."""
        known = {figure.key: figure for figure in FIGURES}

        for key, value in outcome.figures.items():
            samples = self.samples.setdefault(key, Samples(known[key]))
            samples.values.setdefault(outcome.system, []).append(value)

        self.notes += [note for note in outcome.notes if note not in self.notes]

        # What a peer breaks is said about that peer. It is no failure of this run.
        broken = self.broken if peer(outcome.system) else self.failed

        for text, is_so in outcome.checks:
            (self.passed if is_so else broken).append(f"{benchmark}, {outcome.system}: {text}")

    def rows(self) -> list[tuple[str, ...]]:
        """The figures in their order; a figure with several goals takes several rows."""
        rows = []

        for figure in FIGURES:
            samples = self.samples.get(figure.key)

            if samples is None:
                continue

            both = {"aioq", "floor"} <= samples.values.keys()
            values = [_spread(samples.values.get(system)) for system in ("aioq", "floor")]
            ratio = f"{samples.ratio('aioq', 'floor'):.2f}" if both else ""
            judged = [(goal, samples.judge(goal)) for goal in figure.goals]
            goals = [(_text(goal), _verdict(verdict)) for goal, verdict in judged if verdict is not None] or [
                ("", "")
            ]
            rows.append((figure.target, figure.name, figure.unit, *values, ratio, *goals[0]))
            rows += [("", "", "", "", "", "", *goal) for goal in goals[1:]]

        return rows

    def beside(self) -> dict[str, list[tuple[str, ...]]]:
        """The tables beside the peers, each with its head, by their titles. Those without a peer are left out."""
        tables = {}

        for table, all_columns in BESIDE.items():
            columns = [(title, keys) for title, keys in all_columns if any(key in self.samples for key in keys)]
            found = [self.samples[key] for _, keys in columns for key in keys if key in self.samples]
            measured = {system for samples in found for system in samples.values}
            systems = [system for system in ("aioq", "floor", *self.plan.peers) if system in measured]

            if any(map(peer, systems)):
                rows = [(system, *(self._cell(system, keys) for _, keys in columns)) for system in systems]
                tables[table] = [("", *(title for title, _ in columns)), *rows]

        return tables

    def _cell(self, system: str, keys: tuple[str, ...]) -> str:
        found = [self.samples[key] for key in keys if key in self.samples]

        return " / ".join(number(samples.median(system)) for samples in found if samples.values.get(system))

    def remarks(self) -> list[str]:
        """What stands under the table."""
        open_goals: dict[str, None] = {}

        for samples in self.samples.values():
            for goal in samples.figure.goals:
                if samples.judge(goal) is None:
                    open_goals[f"{samples.figure.target} {_text(goal)}"] = None

        lines = [*self.notes, *(f"a peer did not hold: {text}" for text in self.broken)]

        if open_goals:
            lines.append(f"not judged, because that system was not measured: {'; '.join(open_goals)}")

        count = len(self.passed) + len(self.failed) + len(self.broken)
        lines.append(f"verified: {len(self.passed)} of {count} checks hold")

        return lines + [f"FAILED: {text}" for text in self.failed]

    def conditions(self) -> str:
        """Under what the figures were taken, in one line."""
        plan = self.plan
        parts = [
            date.today().isoformat(),  # noqa: DTZ011 - the reader's date
            self.server,
            *(f"{name} {value}" for name, value in versions().items()),
            "unix socket" if plan.unix else "loopback TCP",
            "uvloop on" if plan.uvloop else "uvloop off",
            "server and clients pinned to two cores" if cores() else "not pinned",
            "spinner on" if plan.spin else "spinner off",
            "appendonly everysec" if plan.aof else "appendonly no",
            f"{plan.size:,} jobs drained",
            f"{plan.repeat} repetitions",
        ]

        return ", ".join(parts)

    def text(self) -> str:
        """For a pipe: columns of plain text."""
        parts = [self.conditions(), "", *_columns([HEAD, *self.rows()], RIGHT), ""]

        for title, table in self.beside().items():
            # A terminal is too narrow for the titles side by side: there each figure is a row.
            turned = list(zip(*table, strict=True))
            parts += [title, "", *_columns(turned, range(1, len(table))), ""]

        return "\n".join([*parts, *self.remarks()])

    def markdown(self) -> str:
        parts = [f"`{self.command}`", "", f"{self.conditions()}.", "", *bars([HEAD, *self.rows()], RIGHT), ""]

        for title, table in self.beside().items():
            parts += [f"### {title}", "", *bars(table, range(1, len(table[0]))), ""]

        return "\n".join([*parts, *(f"- {line}" for line in self.remarks())])

    def json(self) -> str:
        return json.dumps(
            {
                "command": self.command,
                "conditions": self.conditions(),
                "plan": asdict(self.plan),
                "figures": {key: samples.values for key, samples in self.samples.items()},
                "passed": self.passed,
                "failed": self.failed,
                "broken": self.broken,
                "notes": self.notes,
            },
            indent=1,
        )

    def write_page(self, page: Path, place: str) -> None:
        """Put the table into its place in the page; that of all benchmarks gets a plot."""
        plot = f"![Throughput, latency and cost by depth: the figures of the tables below]({PLOT})\n\n"
        put(page, place, f"{plot if place == TABLE else ''}{self.markdown()}")


def put(page: Path, place: str, table: str) -> None:
    """Replace what stands in a place of a page."""
    begin, end = f"<!-- {place}: begin -->", f"<!-- {place}: end -->"
    text = page.read_text()
    before, after = text.split(begin)[0], text.split(end)[1]
    page.write_text(f"{before}{begin}\n{table}\n{end}{after}")


def _columns(rows: Sequence[tuple[str, ...]], right: Collection[int]) -> list[str]:
    """Plain text."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]

    return [
        "  ".join(
            cell.rjust(width) if column in right else cell.ljust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]


def bars(rows: Sequence[tuple[str, ...]], right: Collection[int]) -> list[str]:
    """Markdown."""
    line = tuple("--:" if column in right else "---" for column in range(len(rows[0])))

    return ["| " + " | ".join(row) + " |" for row in (rows[0], line, *rows[1:])]


def _spread(values: list[float] | None) -> str:
    if not values:
        return ""

    middle = (
        sorted(values)[len(values) // 2]
        if len(values) % 2
        else sum(sorted(values)[len(values) // 2 - 1 :][:2]) / 2
    )
    text = number(middle)

    return text if len(values) == 1 else f"{text} ({number(min(values))}-{number(max(values))})"


def number(value: float) -> str:
    """Three digits that mean something, and no more."""
    if abs(value) >= 100:
        return f"{value:,.0f}"

    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}" if abs(value) >= 0.1 else f"{value:.3f}"


def _text(goal: Goal) -> str:
    sign, limit = (">=", goal.least) if goal.least is not None else ("<=", goal.most)
    of = goal.of[0] if len(goal.of) == 1 else "the best Python peer" if goal.of == PURE else "the best peer"

    return f"{sign} {limit:,g}" + (f" x {of}" if goal.of else "")


def _verdict(judged: tuple[float, bool] | None) -> str:
    assert judged is not None

    return "met" if judged[1] else "MISSED"
