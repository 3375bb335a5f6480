"""`python -m benchmarks.sizing`: the workers and shards that a load needs, by simulation, and a check of it."""

from __future__ import annotations

import argparse
import importlib
import json
import math
import statistics
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks import paced
from benchmarks.bench import Bench, Plan
from benchmarks.machine import cores, spinning
from benchmarks.server import default_binary
from benchmarks.simulation import SHAPES, Costs, Load, Prediction, Setup, default_count, simulate

#: The load is taken to be this much greater, so that a busy minute finds room.
ROOM = 1.25

#: More processes that do not shorten the wait by a twentieth are no help, and after so many tries none will be.
HELP, TRIES = 0.95, 3

#: Where the search ends.
MOST_WORKERS = 2_000

#: Calls that a lone job takes: of the server for its token, claim and end; of the worker the same.
LONE_CALLS = 3

Step = Callable[[str, int, int], None]


@dataclass(frozen=True)
class Wanted:
    """What the answer must hold.

    Args:
        wait: seconds from enqueue to the body's begin, for 99 of 100 jobs.
        retention: seconds that results are kept.
        payload: bytes of the arguments, which are kept as long.
        slots: of a worker; None lets the answer choose.

    """

    wait: float
    retention: float = 500.0
    payload: float = 0.0
    slots: int | None = None


@dataclass(frozen=True)
class Answer:
    """A size, and what it was predicted to do.

    Args:
        reached: whether the wait is held, at a quarter more than the load too.
        shards: servers, with the same part of the load each.
        workers: processes in all.
        slots: of each of them.
        rate: jobs per second of all shards.
        most: jobs per second that cores and slots suffice for when all calls are full.
        queued_bytes: of the longest queue that was seen, in all shards.
        finished_bytes: of the jobs whose results are kept, in all shards.
        shard: what one shard did.

    """

    reached: bool
    shards: int
    workers: int
    slots: int
    rate: float
    most: float
    queued_bytes: float
    finished_bytes: float
    shard: Prediction


def size(load: Load, wanted: Wanted, costs: Costs, *, seed: int = 1, step: Step | None = None) -> Answer:
    """The fewest shards and workers that hold a load and a quarter more.

    It begins with what the mean needs when all calls are full. As long as the simulated wait is too long, it adds
    workers; when they do not help any more, a shard.

    Args:
        load: all that arrives.
        wanted: what must be held.
        costs: what each step takes.
        seed: of the simulations.
        step: called as they go on: what is simulated, how many jobs have ended, and of how many.

    """
    shards, idle_tries = least_shards(load, costs), 0
    best = math.inf

    while True:
        workers, useless, shortest = least_workers(load, wanted, costs, shards), 0, math.inf

        while True:
            part = replace(load, rate=load.rate / shards, burst=math.ceil(load.burst / shards))
            slots = wanted.slots or _slots(part, costs, workers)
            setup, more = Setup(workers, slots), replace(part, rate=part.rate * ROOM)
            reached = _simulate(more, setup, costs, shards, seed, step)

            if reached.p99 <= wanted.wait:
                shard = _simulate(part, setup, costs, shards, seed, step)
                return _answer(load, wanted, costs, shards, setup, shard, reached=True)

            useless = useless + 1 if reached.p99 > HELP * shortest else 0
            shortest = min(shortest, reached.p99)

            if useless >= TRIES or shards * workers > MOST_WORKERS:
                break

            workers += math.ceil(workers / 8)

        idle_tries = idle_tries + 1 if shortest > HELP * best else 0
        best = min(best, shortest)

        if idle_tries >= TRIES or shards * workers > MOST_WORKERS:
            return _answer(load, wanted, costs, shards, setup, reached, reached=False)

        shards += 1


def least_shards(load: Load, costs: Costs) -> int:
    """As many server cores as the mean needs when all calls are full."""
    return max(1, math.ceil(load.mean_rate * ROOM * (costs.enqueue_job + costs.claim_job) / 1e6))


def least_workers(load: Load, wanted: Wanted, costs: Costs, shards: int) -> int:
    """Of one shard: as many cores as the jobs need on the average, and as many slots if their number is given."""
    rate = load.mean_rate * ROOM / shards
    cpu = rate * (load.cpu + costs.worker_job / 1e6)
    slots = rate * load.duration / wanted.slots if wanted.slots else 0

    return max(1, math.ceil(cpu), math.ceil(slots))


def _simulate(load: Load, setup: Setup, costs: Costs, shards: int, seed: int, step: Step | None) -> Prediction:
    count = default_count(load)
    what = f"{shards} x {setup.workers} workers"

    def report(ended: int) -> None:
        if step:
            step(what, ended, count)

    return simulate(load, setup, costs, count=count, seed=seed, progress=report)


def _slots(load: Load, costs: Costs, workers: int) -> int:
    """Twice as many as run on the average, and enough for 20 ms of CPU, so that calls can be full; in tens."""
    running = 2 * load.mean_rate / workers * load.duration
    call = min(100.0, 0.02 / (load.cpu + costs.worker_job / 1e6))

    return min(1000, math.ceil(max(running, call, 10) / 10) * 10)


def _answer(
    load: Load, wanted: Wanted, costs: Costs, shards: int, setup: Setup, shard: Prediction, *, reached: bool
) -> Answer:
    server = shards / (costs.enqueue_job + costs.claim_job) * 1e6
    workers = shards * setup.workers / (load.cpu + costs.worker_job / 1e6)
    slots = shards * setup.workers * setup.slots / load.duration if load.duration else math.inf

    return Answer(
        reached=reached,
        shards=shards,
        workers=shards * setup.workers,
        slots=setup.slots,
        # What arrives is done, or else the queue would grow; the simulated rate has an end, which takes time.
        rate=load.mean_rate if reached else shards * shard.rate,
        most=min(server, workers, slots),
        queued_bytes=shards * shard.deepest * (costs.queued_bytes + wanted.payload),
        finished_bytes=load.mean_rate * wanted.retention * (costs.finished_bytes + wanted.payload),
        shard=shard,
    )


# Costs


def costs_of(figures: Mapping[str, float], base: Costs) -> Costs:
    """Costs from the figures of a run of the benchmarks; those that it lacks stay as they are.

    Args:
        figures: aioq's medians by key; `lone.server` and `lone.worker`, if there, are µs of a job that is alone.
        base: what is not measured.

    """
    found = dict(asdict(base))

    # A call costs a part of its own and a part for each job: two sizes of calls give both.
    for end, key in (("client", "client"), ("server", "enqueue")):
        one, many = figures.get(f"enqueue.one.{end}"), figures.get(f"enqueue.gather.{end}")

        if one is not None and many is not None:
            found[f"{key}_job"] = (250 * many - one) / 249
            found[f"{key}_call"] = one - found[f"{key}_job"]

    for end, key in (("server", "claim"), ("worker", "worker")):
        full, lone = figures.get(f"drain.{end}"), figures.get(f"lone.{end}")
        trips = figures.get("drain.trips", 0.014)

        if full is not None:
            if lone is not None:
                lone -= figures["enqueue.one.server"] if end == "server" else 0
                found[f"{key}_call"] = max(0.0, (lone - full) / (LONE_CALLS - trips))

            found[f"{key}_job"] = max(0.0, full - found[f"{key}_call"] * trips)

    for key in ("queued", "finished"):
        found[f"{key}_bytes"] = figures.get(f"memory.{key}", found[f"{key}_bytes"])

    return Costs(**found)


def _read(path: Path) -> dict[str, float]:
    figures = json.loads(path.read_text())["figures"]

    return {key: statistics.median(values["aioq"]) for key, values in figures.items() if values.get("aioq")}


def calibrate(bench: Bench, base: Costs) -> Costs:
    """Costs of this machine: enqueue and drain of the benchmarks, and jobs that come one by one."""
    figures: dict[str, list[float]] = {}

    for name in ("enqueue", "drain"):
        for outcome in importlib.import_module(f"benchmarks.measures.{name}").measure(bench):
            if outcome.system == "aioq":
                for key, value in outcome.figures.items():
                    figures.setdefault(key, []).append(value)

    bench.step("jobs that come one by one")
    lone = paced.run(bench, rate=100, count=500, seconds=0, slots=100)
    medians = {key: statistics.median(values) for key, values in figures.items()}

    return costs_of(medians | {"lone.server": lone.server_us, "lone.worker": lone.worker_us}, base)


# The check


#: What is run and simulated: a name, jobs per second (0: all at once), how many, seconds of I/O.
CHECKS = (
    ("5 ms of I/O, 1,000/s", 1_000, 5_000, 0.005),
    ("no-op, 10,000/s", 10_000, 50_000, 0.0),
    ("no-op, 20,000 at once", 0, 20_000, 0.0),
)

#: What is compared: its name, the field, a factor, and the unit.
COMPARED = (
    ("throughput", "rate", 1, "jobs/s"),
    ("client CPU", "client_us", 1, "µs/job"),
    ("worker CPU", "worker_us", 1, "µs/job"),
    ("server CPU", "server_us", 1, "µs/job"),
    ("wait, p50", "p50", 1000, "ms"),
    ("wait, p99", "p99", 1000, "ms"),
)

Row = tuple[str, ...]


def check(bench: Bench, costs: Costs) -> Iterator[tuple[list[Row], tuple[str, bool]]]:
    """Each load, predicted and measured on this machine: rows of a table, and whether all jobs ran once."""
    for name, rate, count, seconds in CHECKS:
        bench.step(name)
        load = Load(rate=rate, duration=seconds, burst=0 if rate else count, tick=paced.TICK)
        # With two cores the server has one of them, and producer and worker share the other.
        predicted = simulate(load, Setup(1, 100, shared=bool(cores())), costs, count=count)
        measured = paced.run(bench, rate=rate, count=count, seconds=seconds, slots=100)
        rows: list[Row] = []

        for title, field, factor, unit in COMPARED:
            mine, its = getattr(predicted, field) * factor, getattr(measured, field) * factor
            rows.append((name, title, unit, f"{mine:,.4g}", f"{its:,.4g}", f"{mine / its:.2f}"))

        yield rows, measured.check


# The command line


def main(words: Sequence[str] | None = None) -> int:
    parser = _parser()
    options = parser.parse_args(words)
    costs = Costs()

    if options.costs:
        try:
            costs = costs_of(_read(options.costs), costs)
        except (OSError, ValueError, LookupError, AttributeError) as error:
            parser.error(
                f"--costs {options.costs}: {error!r}; expected what `python -m benchmarks --json FILE` wrote"
            )

    with _display() as (step, count):
        if options.calibrate or options.check:
            plan = Plan(
                quick=True, repeat=3, size=options.size, uvloop=True, spin=True, aof=False, unix=False,
                binary=default_binary(),
            )  # fmt: skip
            bench = Bench(plan, step)

            with spinning(wanted=True):
                costs = calibrate(bench, costs) if options.calibrate else costs
                checked = list(check(bench, costs)) if options.check else []

        if options.check:
            return _show_check(checked, as_json=options.json)

        load = Load(
            rate=options.rate,
            duration=max(options.ms, options.cpu_ms) / 1000,
            cpu=options.cpu_ms / 1000,
            shape=options.shape,
            burst=options.burst,
            every=options.every,
            producers=options.producers,
        )
        wanted = Wanted(options.wait_ms / 1000, options.result_ttl, options.payload, options.concurrency)
        answer = size(load, wanted, costs, seed=options.seed, step=count)

    if options.json:
        print(json.dumps({"costs": asdict(costs), "load": asdict(load), "answer": asdict(answer)}, indent=1))
    else:
        print(text(answer, wanted))

    return 0 if answer.reached else 1


def text(answer: Answer, wanted: Wanted) -> str:
    """The answer for a reader."""
    shard = answer.shard
    rows = [
        ("workers", f"{answer.workers} processes, concurrency {answer.slots}"),
        ("shards", f"{answer.shards}, a queue on each, {answer.workers // answer.shards} workers for each"),
        ("throughput", f"{answer.rate:,.0f} jobs/s; cores and slots suffice for {answer.most:,.0f}"),
        (
            "wait",
            f"p50 {shard.p50 * 1000:,.3g} ms, p99 {shard.p99 * 1000:,.3g} ms (wanted {wanted.wait * 1000:,g})",
        ),
        ("server", f"{shard.server:.0%} of the core of each, {shard.server_us:,.3g} µs for a job"),
        ("worker", f"{shard.worker:.0%} of the core of each, {shard.slots:.0%} of its slots"),
        ("queue", f"{answer.shards * shard.deepest:,} jobs at most, {answer.queued_bytes / 1e6:,.3g} MB"),
        ("results", f"{answer.finished_bytes / 1e6:,.3g} MB for {wanted.retention:g} s"),
    ]
    lines = [f"{name:<11} {value}" for name, value in rows]

    if not answer.reached:
        lines.append("not reached: the search ended here, since more processes did not shorten the wait. A longer")
        lines.append(
            "wait, a smaller burst or more producers may help. These are the figures at a quarter more load."
        )

    return "\n".join(lines)


def _show_check(checked: list[tuple[list[Row], tuple[str, bool]]], *, as_json: bool) -> int:
    head = ("load", "figure", "unit", "predicted", "measured", "ratio")
    rows = [row for rows, _ in checked for row in rows]

    if as_json:
        print(json.dumps([dict(zip(head, row, strict=True)) for row in rows], indent=1))
    else:
        print("| " + " | ".join(head) + " |\n|---|---|---|--:|--:|--:|")
        print("\n".join("| " + " | ".join(row) + " |" for row in rows))

    failed = [said for _, (said, is_so) in checked if not is_so]
    print("\n".join(f"FAILED: {said}" for said in failed), file=sys.stderr, end="\n" if failed else "")

    return 1 if failed else 0


@contextmanager
def _display() -> Iterator[tuple[Callable[[str], None], Step]]:
    """What is under way, if someone looks: a step of a measure, or a count of a simulation."""
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())

    with Progress(*columns, console=console, refresh_per_second=2, disable=not console.is_terminal) as progress:
        task = progress.add_task("", total=None)
        yield (
            lambda what: progress.update(task, description=what, total=None),
            lambda what, ended, count: progress.update(task, description=what, completed=ended, total=count),
        )


def _number(text: str, least: float, *, above: bool = False) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan

    if not math.isfinite(value) or value < least or (above and value == least):
        raise argparse.ArgumentTypeError(
            f"{text}: expected a number {'above' if above else 'of at least'} {least:g}"
        )

    return value


def _any(text: str) -> float:
    return _number(text, 0)


def _more(text: str) -> float:
    return _number(text, 0, above=True)


def _count(text: str) -> int:
    return int(_number(text, 1))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sizing", description=__doc__)
    add = parser.add_argument
    add("--rate", type=_more, default=1000.0, metavar="N", help="jobs per second (default 1000)")
    add("--burst", type=_count, default=0, metavar="N", help="jobs that come at once, beside the steady ones")
    add("--every", type=_more, default=60.0, metavar="S", help="seconds between bursts (default 60)")
    add("--ms", type=_any, default=0.0, metavar="MS", help="mean duration of a job (default 0: a no-op)")
    add("--shape", choices=SHAPES, default="fixed", help="distribution of durations (default fixed)")
    add("--cpu-ms", type=_any, default=0.0, metavar="MS", help="part of it that is CPU of the worker (default 0)")
    add("--wait-ms", type=_more, default=100.0, metavar="MS", help="wanted p99 of the wait (default 100)")
    add("--result-ttl", type=_any, default=500.0, metavar="S", help="how long results are kept (default 500)")
    add("--payload", type=_any, default=0.0, metavar="BYTES", help="serialised arguments of a job (default 0)")
    add("--concurrency", type=_count, metavar="N", help="slots of a worker (default: chosen)")
    add("--producers", type=_count, default=1, metavar="N", help="processes that enqueue to a shard (default 1)")
    add("--seed", type=int, default=1, metavar="N", help="of all that is random (default 1)")
    add("--costs", type=Path, metavar="FILE", help="costs from what `python -m benchmarks --json FILE` wrote")
    add("--calibrate", action="store_true", help="measure costs on this machine first, about a minute")
    add("--check", action="store_true", help="size nothing: run three loads here, beside their predictions")
    add("--size", type=_count, default=20_000, metavar="N", help="jobs of the calibration's drain (20000)")
    add("--json", action="store_true", help="print JSON")

    return parser


if __name__ == "__main__":
    sys.exit(main())
