"""`python -m tests.chaos`: trials with many faults, side by side, until there were enough of each kind."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import shlex
import sys
import textwrap
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks.report import put

from .nemesis import FAULTS, MIXES, home_of, load_of, of_mix
from .report import COUNTED, HEAD, RIGHT, counted, markdown, rows, summary
from .topology import KINDS, ROOT, binary_of
from .trial import Outcome, Plan, run
from .workload import LOADS

PAGE = ROOT / "docs" / "reliability.md"


@dataclass(frozen=True)
class Lane:
    """Trials of one kind, one after the other.

    Args:
        plan: of each trial, without its seed.
        counts: what there must be enough of; None: the lane goes on until all others have ended.
        most: how many trials there are at the most.

    """

    plan: Plan
    counts: str | None = None
    most: int = 1000


#: Lanes go on side by side, as many at a time as there is room for.
LANES = {
    "workers": Lane(Plan("", "workers", workers=8, gap=0.9), "kills"),
    "server": Lane(Plan("", "server"), "restarts"),
    "server, everysec": Lane(Plan("", "server", disk="everysec"), "restarts"),
    "network": Lane(Plan("", "network"), "partitions"),
    "sentinel": Lane(Plan("", "failover+workers", topology="sentinel"), "failovers"),
    "cluster": Lane(Plan("", "cluster+workers", producers=3, topology="cluster"), "failovers"),
    "mixed": Lane(Plan("", "mixed")),
    "clock": Lane(Plan("", "clock+workers", load="steady"), most=4),
    "narrow": Lane(Plan("", "narrow", rate=2.0, load="large"), most=2),
}

#: How many trials there are at a time, for each core. A trial needs a third to three quarters of one. With many
#: more of them processes wait for the machine, and limits of time are broken for which aioq is not to blame.
ABREAST = 2


@dataclass
class Campaign:
    """What was asked for, and what has come of it so far."""

    options: argparse.Namespace
    console: Console
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.goals = {what: getattr(self.options, what) for what in COUNTED}
        self.until = time.monotonic() + 60 * self.options.minutes
        self.room = asyncio.Semaphore(self.options.abreast)
        columns = (TextColumn("{task.description:>10}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=self.console, disable=not self.console.is_terminal)
        self.bars = {what: self.progress.add_task(what, total=goal) for what, goal in self.goals.items()}

    def lacks(self, what: str | None) -> bool:
        """Whether there is not enough yet: of this kind, or of any."""
        done = counted(self.outcomes)
        wanted = [what] if what is not None else list(self.goals)

        return time.monotonic() < self.until and any(done[each] < self.goals[each] for each in wanted)

    async def work(self) -> None:
        lanes = [
            name
            for name in LANES
            if not self.options.only or set(LANES[name].plan.mix.split("+")) & set(self.options.only)
        ]

        with self.progress:
            async with asyncio.TaskGroup() as group:
                for name in lanes:
                    group.create_task(self._lane(name))

    async def _lane(self, name: str) -> None:
        lane, number = LANES[name], 0

        while number < lane.most:
            number += 1
            seed = f"{self.options.seed}-{list(LANES).index(name)}-{number}"
            details = {"seed": seed, "seconds": self.options.seconds, "kind": self.options.server}

            async with self.room:
                if not self.lacks(lane.counts):
                    break

                self._take(await self._trial(Plan(**asdict(lane.plan) | details)))

    async def _trial(self, plan: Plan) -> Outcome:
        """A trial in a process of its own: its proxies must not wait for those of others."""
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "tests.chaos", "--repeat", json.dumps(asdict(plan)), "--raw"),
            stdout=asyncio.subprocess.PIPE,
            env=os.environ | {"PYTHONPATH": str(ROOT)},
            limit=1 << 26,
        )
        out, _ = await process.communicate()

        if process.returncode:
            return Outcome(plan, violations=[f"the trial itself broke, with {process.returncode}"])

        return Outcome.read(out.decode().splitlines()[-1])

    def _take(self, outcome: Outcome) -> None:
        self.outcomes.append(outcome)
        done = counted(self.outcomes)

        for what, bar in self.bars.items():
            self.progress.update(bar, completed=min(done[what], self.goals[what]))

        so_far = ", ".join(f"{done[what]} of {goal} {what}" for what, goal in self.goals.items())
        state = f"{len(outcome.violations)} VIOLATIONS" if outcome.violations else "sound"
        title = f"{outcome.plan.mix} {outcome.plan.seed}: {outcome.faults.total()} faults, {outcome.jobs} jobs"
        self.progress.console.print(f"{title}, {state}  ({so_far})", markup=False, highlight=False)
        show_violations(self.progress.console, outcome)


def show_violations(console: Console, outcome: Outcome) -> None:
    """The shortest counter-example, and how to see it again."""
    if outcome.violations:
        again = shlex.join(["python", "-m", "tests.chaos", "--repeat", json.dumps(asdict(outcome.plan))])
        shortest = min(outcome.violations, key=len)
        text = f"seed {outcome.plan.seed}; the history is in {outcome.folder}\nagain: {again}\n{shortest}"
        console.print(text, markup=False, highlight=False, style="red", soft_wrap=True)


def show(console: Console, outcomes: Sequence[Outcome]) -> None:
    table = Table(*HEAD)

    for column in RIGHT:
        table.columns[column].justify = "right"

    for row in rows(outcomes):
        table.add_row(*row)

    console.print(table)
    console.print("\n".join(summary(outcomes)), markup=False, highlight=False)


def main() -> int:
    known = parser()
    options = known.parse_args()
    console = Console(soft_wrap=True) if not sys.stdout.isatty() else Console()

    if binary_of(options.server) is None:
        known.error(f"this machine has no {options.server}; {KINDS[options.server]}")

    if options.repeat is not None:
        outcome = asyncio.run(run(options.repeat))

        if options.raw:
            print(outcome.json())
            return 0

        show(console, [outcome])
        show_violations(console, outcome)

        return 1 if outcome.violations else 0

    campaign = Campaign(options, console)
    asyncio.run(campaign.work())

    if options.json:
        options.json.write_text("".join(each.json() + "\n" for each in campaign.outcomes))

    if options.write:
        words = _told(sys.argv[1:])
        put(PAGE, markdown(shlex.join(["python", "-m", "tests.chaos", *words]), campaign.outcomes))

    show(console, campaign.outcomes)

    return 1 if any(each.violations for each in campaign.outcomes) else 0


def _told(words: Sequence[str]) -> list[str]:
    """The command as a page tells it: where this one has put its files is nobody's business."""
    kept = [word for word in words if word != "--write" and not word.startswith("--json=")]

    return [word for at, word in enumerate(kept) if "--json" not in (word, *kept[max(0, at - 1) : at])]


def _some(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")

    return int(text)


def _mixes(text: str) -> list[str]:
    if unknown := [name for name in text.split(",") if name not in MIXES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected names among {', '.join(MIXES)}")

    return text.split(",")


def _plan(text: str) -> Plan:
    """A plan as JSON, or a seed and the kind of trial: 7:workers."""
    if text.startswith("{"):
        return Plan(**json.loads(text))

    seed, _, mix = text.partition(":")

    if not of_mix(mix):
        raise argparse.ArgumentTypeError(f"{text}: expected SEED:MIX, with one of {', '.join((*MIXES, *FAULTS))}")

    return Plan(seed, mix, topology=home_of(mix), load=load_of(mix))


ABOUT = """
A trial starts a server, or several, with workers and producers, breaks things for a while, heals them, waits until
all jobs have ended, and judges the history. A plan says all that a trial depends on, as JSON: seed, mix (which
faults), seconds, gap (seconds between two faults), faults (at most), workers, producers, rate (orders a second),
kind (of server), disk (always, everysec, none), topology (standalone, sentinel, cluster), load (which orders),
loops (the share of orders from other event loops of the producers, 0 to 1).

A mix may also be the name of one fault, or several that a + joins; mixed has the faults of workers, server and
network as well. Loads: {loads}; see tests/chaos/workload.py.

Lanes of a campaign, some side by side: {lanes}. Each goes on until there were enough of what it counts; those that
count nothing go on until the others have ended.
"""


def _epilog() -> str:
    """What there is to choose from, for the help."""
    about = ABOUT.format(loads=", ".join(LOADS), lanes="; ".join(LANES))
    faults = [
        f"  {mix}: {', '.join(each.name for each in FAULTS.values() if each.mix == mix)}"
        for mix in sorted(MIXES, key=lambda mix: mix == "mixed")
    ]
    texts = [*about.strip().split("\n\n"), "Faults, by mix:", *faults]

    return "\n".join(textwrap.fill(each, 78, break_on_hyphens=False, subsequent_indent="    ") for each in texts)


def parser() -> argparse.ArgumentParser:
    known = argparse.ArgumentParser(
        prog="python -m tests.chaos",
        description=__doc__,
        epilog=_epilog(),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    known.add_argument("--kills", type=int, default=60, metavar="N", help="worker kills, at least (default 60)")
    known.add_argument("--restarts", type=int, default=12, metavar="N", help="server restarts (default 12)")
    known.add_argument("--partitions", type=int, default=10, metavar="N", help="partitions (default 10)")
    known.add_argument("--failovers", type=int, default=6, metavar="N", help="failovers (default 6)")
    known.add_argument("--seed", default="1", help="the same one gives the same schedules (default 1)")
    known.add_argument("--seconds", type=float, default=60, metavar="S", help="of each trial, under load (60)")
    known.add_argument("--minutes", type=float, default=60, metavar="M", help="begin no trial after these (60)")
    abreast = ABREAST * (os.cpu_count() or 1)
    known.add_argument(
        "--abreast",
        type=_some,
        default=abreast,
        metavar="N",
        help=f"trials at a time (twice the cores: {abreast})",
    )
    known.add_argument("--only", type=_mixes, metavar="MIX[,MIX]", help=f"of {', '.join(MIXES)} (all)")
    known.add_argument("--server", choices=list(KINDS), default="valkey9", help="which one (valkey9)")
    known.add_argument("--json", type=Path, metavar="FILE", help="write what came of each trial")
    known.add_argument("--write", action="store_true", help="put the table into docs/reliability.md")
    known.add_argument("--repeat", type=_plan, metavar="PLAN", help="one trial: its plan, or SEED:MIX")
    known.add_argument("--raw", action="store_true", help=argparse.SUPPRESS)

    return known


if __name__ == "__main__":
    sys.exit(main())
