"""The plot: throughput, latency and cost by depth of one run, drawn from what `--json` writes.

What is to be drawn is put together first, by plain functions; only `draw` needs matplotlib.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.bench import Bench, Plan
from benchmarks.measures.depth import sizes
from benchmarks.peers import PEERS
from benchmarks.report import number

#: What one system of one panel is to aioq: itself, ahead of it, behind it, or the floor, which is no queue.
OWN, AHEAD, BEHIND, FLOOR = "aioq", "ahead of aioq", "behind aioq", "the floor"

#: The colours of Okabe and Ito: they differ for colour-blind readers, and in grey.
COLOURS = {OWN: "#0072B2", AHEAD: "#D55E00", BEHIND: "#8A8F98", FLOOR: "#222222"}

THROUGHPUT = {
    "enqueue.one": "enqueue,\none at a time",
    "enqueue.gather": "enqueue,\ngather of 1000",
    "enqueue.many": "enqueue,\nin bulk",
    "drain.rate": "drain,\nno-op jobs",
    "users.rate": "100 users,\nenqueue and result",
}
LATENCY = {"latency.start": "enqueue to body", "latency.result": "enqueue to result"}
DEPTH = {
    "queued.100k": "{long} more queued",
    "queued.1M": "{longest} more queued",
    "failed.1M": "beside {longest} failed",
    "scheduled.1M": "beside {longest} scheduled",
    "finished.1M": "beside {longest} finished",
}

Medians = Mapping[str, Mapping[str, float]]


@dataclass(frozen=True)
class Mark:
    """A line of a panel: one value, or two of one kind; none if it was not measured."""

    name: str
    values: tuple[float, ...]
    text: str
    rank: str


@dataclass(frozen=True)
class Panel:
    """A figure of all systems."""

    title: str
    unit: str
    marks: tuple[Mark, ...]
    log: bool = True


def panels(found: Mapping[str, Any]) -> list[list[Panel]]:
    """The rows of panels that a run's figures suffice for.

    Args:
        found: what `--json` wrote.

    """
    medians = {
        key: {system: statistics.median(values) for system, values in systems.items() if values}
        for key, systems in found["figures"].items()
    }
    plan = Plan(**found["plan"])

    return [row for row in (_throughput(medians), [*_latency(medians), *_depth(medians, plan)]) if row]


def _throughput(medians: Medians) -> list[Panel]:
    shown = {key: title for key, title in THROUGHPUT.items() if key in medians}
    systems = _systems(medians, shown)

    return [
        Panel(title, "jobs/s", _marks([medians[key]], systems, more_is_better=True))
        for key, title in shown.items()
    ]


def _latency(medians: Medians) -> list[Panel]:
    shown = {key: title for key, title in LATENCY.items() if f"{key}.p50" in medians}
    systems = _systems(medians, [f"{key}.p50" for key in shown])
    parts = ("p50", "p99")

    return [
        Panel(
            title,
            "ms: p50, and p99 hollow",
            _marks([medians[f"{key}.{part}"] for part in parts], systems, more_is_better=False),
        )
        for key, title in shown.items()
    ]


def _depth(medians: Medians, plan: Plan) -> list[Panel]:
    base = medians.get("depth.base", {}).get("aioq")

    if base is None:
        return []

    bench = Bench(plan, lambda _: None)
    long, longest = sizes(bench)
    marks = [Mark(f"{bench.size(5_000):,} jobs", (1.0,), f"1  ({number(base)} µs/job)", OWN)]

    for key, name in DEPTH.items():
        if f"depth.{key}" in medians:
            value = medians[f"depth.{key}"]["aioq"]
            told = name.format(long=_short(long), longest=_short(longest))
            marks.append(Mark(told, (value,), number(value), OWN))

    return [Panel("cost by depth", "CPU for each job, as a multiple", tuple(marks), log=False)]


def _systems(medians: Medians, keys: Iterable[str]) -> list[str]:
    """aioq, the floor, and the peers in the order of their table, each with its own settings after it."""
    measured = {system for key in keys for system in medians[key]}
    order = ["aioq", "floor", *PEERS]

    return sorted(measured, key=lambda system: (order.index(system.partition(":")[0]), system))


def _marks(parts: list[Mapping[str, float]], systems: list[str], *, more_is_better: bool) -> tuple[Mark, ...]:
    own = parts[0].get("aioq")
    marks = []

    for system in systems:
        values = tuple(part[system] for part in parts if system in part)
        marks.append(
            Mark(
                system,
                values,
                " / ".join(map(number, values)),
                _rank(system, values, own, more_is_better=more_is_better),
            )
        )

    return tuple(marks)


def _rank(system: str, values: tuple[float, ...], own: float | None, *, more_is_better: bool) -> str:
    if system in ("aioq", "floor"):
        return {"aioq": OWN, "floor": FLOOR}[system]

    ahead = bool(values) and own is not None and values[0] != own and (values[0] > own) == more_is_better

    return AHEAD if ahead else BEHIND


def _short(count: int) -> str:
    return f"{count // 1000} k" if count % 1000 == 0 and count < 1_000_000 else f"{count:,}"


def draw(found: Mapping[str, Any], path: Path) -> None:
    """Draw a run into a file. Its suffix says how: .svg or .png.

    Args:
        found: what `--json` wrote.
        path: the file.

    Raises:
        ImportError: matplotlib is not there.
        ValueError: nothing that is drawn was measured.

    """
    # Imported here: it is large, and all but the plot does without it.
    from matplotlib import rc_context  # noqa: PLC0415
    from matplotlib.figure import Figure  # noqa: PLC0415
    from matplotlib.layout_engine import ConstrainedLayoutEngine  # noqa: PLC0415
    from matplotlib.lines import Line2D  # noqa: PLC0415

    rows = panels(found)

    if not rows:
        raise ValueError("there is nothing to draw: expected figures of enqueue, drain, users, latency or depth")

    margin = 0.25  # inches, for the legend
    heights = [max(4, *(len(panel.marks) for panel in row)) * 0.19 + 0.95 for row in rows]

    # Text stays text, and two plots of the same figures are the same bytes.
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "aioq", "font.size": 8}):
        height = sum(heights) + 2 * margin
        layout = ConstrainedLayoutEngine(rect=(0, margin / height, 1, 1 - margin / height))
        figure = Figure(figsize=(9, height), dpi=100, facecolor="white", layout=layout)
        parts = figure.subfigures(len(rows), 1, height_ratios=heights, squeeze=False)[:, 0]

        for part, row in zip(parts, rows, strict=True):
            axes = part.subplots(1, len(row), squeeze=False)[0]

            for index, (panel, axis) in enumerate(zip(row, axes, strict=True)):
                before = row[index - 1] if index else None
                named = before is None or _names(before) != _names(panel)
                _draw_panel(axis, panel, named=named)

        shown = {mark.rank for row in rows for panel in row for mark in panel.marks if mark.values}
        legend = [
            Line2D([], [], color=COLOURS[rank], marker="D" if rank == FLOOR else "o", linestyle="", label=rank)
            for rank in COLOURS
            if rank in shown
        ]
        figure.legend(handles=legend, loc="lower center", ncols=len(legend), frameon=False, fontsize=8)
        figure.savefig(path, dpi=100, metadata={"Date": None} if path.suffix == ".svg" else None)


def _names(panel: Panel) -> list[str]:
    return [mark.name for mark in panel.marks]


def _draw_panel(axis: Any, panel: Panel, *, named: bool) -> None:
    """One panel: a dot for each value on a line from the left, and the number at its right."""
    every = [value for mark in panel.marks for value in mark.values]
    least, most = min(every), max(every)
    left = least / 1.6 if panel.log else 0.0
    # The numbers stand at the dots, so the longest line needs room behind it.
    right = (
        most * (most / left) ** (0.75 if len(panel.marks[0].values) == 1 else 0.8) if panel.log else most * 1.75
    )

    if panel.log:
        axis.set_xscale("log")

    axis.set_xlim(left, right)
    axis.set_ylim(len(panel.marks) - 0.4, -0.6)
    axis.set_title(panel.title, fontsize=8.5, fontweight="bold", loc="left")
    axis.set_xlabel(panel.unit + (", log scale" if panel.log else ""), fontsize=7, color="#555555")
    axis.set_xticks([])
    axis.minorticks_off()
    axis.set_yticks(range(len(panel.marks)), _names(panel) if named else [""] * len(panel.marks))
    axis.tick_params(length=0)
    axis.spines[["top", "right", "bottom"]].set_visible(False)
    axis.spines["left"].set_color("#BBBBBB")

    own = next((mark.values[0] for mark in panel.marks if mark.rank == OWN and mark.values), None)

    if own is not None:
        axis.axvline(own, color=COLOURS[OWN], linewidth=0.7, alpha=0.35, zorder=0)

    for row, mark in enumerate(panel.marks):
        if not mark.values:
            axis.text(left, row, "  -", va="center", color="#999999")
            continue

        colour, own_row = COLOURS[mark.rank], mark.rank == OWN
        axis.hlines(row, left, mark.values[-1], color=colour, linewidth=3 if own_row else 1.5, alpha=0.45)

        for order, value in enumerate(mark.values):
            face = colour if order == 0 else "white"
            axis.plot(value, row, "D" if mark.rank == FLOOR else "o", color=colour, mfc=face, ms=5)

        axis.annotate(
            mark.text,
            (mark.values[-1], row),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=7.5,
            color=colour if mark.rank in (OWN, AHEAD) else "#333333",
            fontweight="bold" if own_row else "normal",
        )

    if named:
        for label, mark in zip(axis.get_yticklabels(), panel.marks, strict=True):
            label.set_color(COLOURS[OWN] if mark.name == "aioq" else "#222222")
            label.set_fontweight("bold" if mark.name == "aioq" else "normal")
