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

#: The second table: a row for each system. A column shows one figure, or two of one kind.
BESIDE = (
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
)

#: In a page the table stands between these lines.
BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"

#: And over it the plot of the same run, in a file beside the page.
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

    def beside(self) -> list[tuple[str, ...]]:
        """The table beside the peers, with its head; nothing if none was measured."""
        measured = {system for samples in self.samples.values() for system in samples.values}
        systems = [system for system in ("aioq", "floor", *self.plan.peers) if system in measured]

        if not any(map(peer, systems)):
            return []

        columns = [(title, keys) for title, keys in BESIDE if any(key in self.samples for key in keys)]
        rows = [(system, *(self._cell(system, keys) for _, keys in columns)) for system in systems]

        return [("", *(title for title, _ in columns)), *rows]

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

        if beside := self.beside():
            # A terminal is too narrow for the titles side by side: there each figure is a row.
            turned = list(zip(*beside, strict=True))
            parts += ["Beside the peers", "", *_columns(turned, range(1, len(beside))), ""]

        return "\n".join([*parts, *self.remarks()])

    def markdown(self) -> str:
        parts = [f"`{self.command}`", "", f"{self.conditions()}.", "", *bars([HEAD, *self.rows()], RIGHT), ""]

        if beside := self.beside():
            parts += ["### Beside the peers", "", *bars(beside, range(1, len(beside[0]))), ""]

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

    def write_page(self, page: Path) -> None:
        """Put the table into its place in the page."""
        plot = f"![Throughput, latency and cost by depth: the figures of the tables below]({PLOT})"
        put(page, f"{plot}\n\n{self.markdown()}")


def put(page: Path, table: str) -> None:
    """Replace what stands in the table's place in a page."""
    text = page.read_text()
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


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
