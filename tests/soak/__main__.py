"""`python -m tests.soak`: a fleet under load for as long as you like, and whether anything grows."""

from __future__ import annotations

import argparse
import asyncio
import dataclasses
import json
import sys
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tests.soak.scene import FAULTS, PUT_OFF, SHORTEST_JUDGED, Report, soak


def main() -> int:
    parser = argparse.ArgumentParser(prog="make soak", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="how long the load lasts (default 10)")
    parser.add_argument("--seconds", type=float, help="the same in seconds, for a try")
    parser.add_argument("--faults", default=",".join(FAULTS), help="which faults, in turn; empty for none")
    parser.add_argument("--calibration", type=float, default=8, help="seconds to find out the load (default 8)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples and verdicts to a file")
    options = parser.parse_args()
    faults = tuple(name for name in options.faults.split(",") if name)
    seconds = options.seconds or options.minutes * 60

    if unknown := set(faults) - set(FAULTS):
        parser.error(f"unknown fault {', '.join(sorted(unknown))}; expected names among {', '.join(FAULTS)}")

    if seconds <= 0 or options.calibration <= 0:
        parser.error("expected a time greater than 0")

    console = Console()
    report = asyncio.run(soak(seconds, faults=faults, calibration=options.calibration, say=console.print))

    if options.json:
        options.json.write_text(as_json(report) + "\n")

    show(report, console)

    return 0 if report.is_good else 1


def show(report: Report, console: Console) -> None:
    table = Table("what", "second quarter", "last quarter", "allowed", "slope per hour", "")

    table.columns[0].no_wrap = True

    for column in table.columns[1:5]:
        column.justify = "right"

    for line in report.lines:
        unit = f" {line.metric.unit}" if line.metric.unit else ""
        table.add_row(
            line.metric.name,
            f"{line.early:.6g}{unit}" if line.early == int(line.early) else f"{line.early:.1f}{unit}",
            f"{line.late:.6g}{unit}" if line.late == int(line.late) else f"{line.late:.1f}{unit}",
            f"+{line.allowed:.1f}",
            f"{line.per_hour:+.1f}",
            "flat" if line.is_flat else "[bold red]grows[/]",
        )

    if report.lines:
        console.print(table)
    else:
        console.print(f"Too short to judge what grows: that takes {SHORTEST_JUDGED} s.")

    made = report.produced
    put_off = max((value for _, value in report.samples.get(PUT_OFF, [])), default=0)
    console.print(
        f"{made['sent']} jobs at {report.rate:.0f}/s (of {report.most:.0f}/s), {len(report.faults)} faults:"
        f" {len(report.lost)} lost, {len(made['unanswered'])} unanswered, {report.repeated} run again,"
        f" {len(made['unknown'])} not accepted, {len(report.findings)} findings of the doctor;"
        f" {made['durable']} waited for an fsync, {len(made['not_durable'])} of them in vain"
        f" (the server has put off {put_off:.0f} writes)"
    )

    for found in report.findings:
        console.print(f"  {found}", markup=False)

    console.print("[green]good[/]" if report.is_good else "[bold red]not good[/]")


def as_json(report: Report) -> str:
    lines = [
        dataclasses.asdict(line) | {"allowed": line.allowed, "is_flat": line.is_flat} for line in report.lines
    ]

    return json.dumps(dataclasses.asdict(report) | {"is_good": report.is_good, "lines": lines})


if __name__ == "__main__":
    sys.exit(main())
