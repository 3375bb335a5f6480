"""`aioq stats`: what queues have done. It only reads."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Annotated, Any

import typer

from aioq.cli import output, words
from aioq.cli.common import JsonOption, Target, connected, on_each, tell_of_away, tell_of_missing
from aioq.cli.complete import queue_names
from aioq.cli.sparkline import sparkline
from aioq.client.queue import Queue
from aioq.store import Directory
from aioq.values.durations import positive_ms
from aioq.values.errors import ServerError
from aioq.values.histogram import Histogram
from aioq.values.statistics import PAGES, Period, QueueStatistics, Step, check_step

#: The columns of a sparkline: with the others, a line has less than 80.
WIDTH = 40

PERCENTS = (50, 95, 99)

#: The counters that are always shown, and those that are shown if there are any.
_USUAL = ("arrived", "finished", "failed", "retried")
_RARE = ("canceled", "stopped", "given_back", "lost", "expired")

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="Only these queues."),
]
Last = Annotated[
    str, typer.Option("--last", metavar="DURATION", help="How far to look back, at most 30d: 90m, 1h, 7d.")
]
StepOption = Annotated[
    str | None,
    typer.Option("--step", metavar="STEP", help="minute or hour; default: minute for up to a day."),
]


def stats(
    queues: Names = None,
    *,
    last: Last = "1h",
    step: StepOption = None,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Show what queues have done.

    That is how many jobs, how long they waited and ran, and when the queues will be empty.
    """
    ms = positive_ms(last, "--last")
    chosen = check_step(step) if step else "minute" if ms <= PAGES["minute"].kept_ms else "hour"
    found, missing, away = asyncio.run(_read(target, queues or [], ms / 1000, chosen))

    if as_json:
        document: dict[str, Any] = {"queues": [document_of(name, each) for name, each in found.items()]}
        output.say_json(document | ({"away": {what: str(error) for what, error in away.items()}} if away else {}))
    else:
        for number, (name, each) in enumerate(found.items()):
            _print(name, each, last, is_first=not number)

        if not found and not missing:
            output.say("No queues.")

        tell_of_away(away)

    if missing or away:
        raise typer.Exit(1)


async def _read(
    target: Target, names: Sequence[str], seconds: float, step: Step
) -> tuple[dict[str, QueueStatistics], list[str], dict[str, ServerError]]:
    away: dict[str, ServerError] = {}

    async with connected(target) as connection:
        missing = await tell_of_missing(connection, names)
        wanted = [name for name in dict.fromkeys(names) if name not in missing]
        shown = wanted if names else await Directory(connection, away=away).queues()
        opened = [Queue(name, connection) for name in shown]
        found = await on_each(opened, lambda queue: queue.statistics(seconds, step=step), away)

    return found, missing, away


def document_of(name: str, statistics: QueueStatistics) -> dict[str, Any]:
    """The statistics of a queue as JSON values."""
    return {
        "queue": name,
        "step": statistics.step,
        "now": output.moment(statistics.now),
        "backlog": statistics.backlog._asdict(),
        "empty_in": statistics.empty_in,
        "total": _period(statistics.total),
        "periods": [_period(each) for each in statistics.periods],
    }


def _period(period: Period) -> dict[str, Any]:
    return {
        "start": output.moment(period.start),
        "seconds": period.seconds,
        **{name: getattr(period, name) for name in ("started", *_USUAL, *_RARE)},
        "waiting": period.waiting,
        "running": period.running,
        "scheduled": period.scheduled,
        "oldest_age": period.oldest_age,
        "wait": _percentiles(period.wait) | {"seconds": period.wait_seconds},
        "run": _percentiles(period.run) | {"seconds": period.run_seconds},
    }


def _percentiles(histogram: Histogram) -> dict[str, float | int | None]:
    return {"count": histogram.count} | {f"p{percent}": histogram.percentile(percent) for percent in PERCENTS}


def _print(name: str, statistics: QueueStatistics, last: str, *, is_first: bool) -> None:
    if not is_first:
        output.say("")

    output.say(output.one_line(f"Queue {name}, the last {last} by the {statistics.step}"))
    output.say_table(output.Table(["runs", "total", "a minute", "over time"], [*_counts(statistics)]))
    percents = [f"p{each}" for each in PERCENTS]
    output.say_table(output.Table(["time", *percents, "p95 over time"], [*_times(statistics)]))
    output.say(_backlog(statistics))


def _counts(statistics: QueueStatistics) -> Iterator[list[str | int | None]]:
    total = statistics.total

    for name in (*_USUAL, *_RARE):
        number: int | None = getattr(total, name)

        if name in _USUAL or number:
            rate = "?" if number is None else f"{60 * total.per_second(number):.4g}"
            yield [name.replace("_", " "), "?" if number is None else number, rate, _row(statistics, name)]

    yield ["waiting", statistics.backlog.waiting, "", _row(statistics, "waiting")]


def _row(statistics: QueueStatistics, name: str) -> str:
    return _spark(statistics, lambda period: getattr(period, name))


def _times(statistics: QueueStatistics) -> Iterator[list[str | int | None]]:
    for name in ("wait", "run"):

        def histogram(period: Period, name: str = name) -> Histogram:
            return getattr(period, name)  # type: ignore[no-any-return]

        percentiles = [histogram(statistics.total).percentile(each) for each in PERCENTS]
        yield [
            name,
            *map(shown_seconds, percentiles),
            _spark(statistics, lambda period, of=histogram: of(period).percentile(95)),  # type: ignore[misc]
        ]


def _spark(statistics: QueueStatistics, value: Callable[[Period], float | None]) -> str:
    return sparkline([value(each) for each in statistics.periods], WIDTH, encoding=sys.stdout.encoding)


def _backlog(statistics: QueueStatistics) -> str:
    now = statistics.backlog

    if not now.waiting:
        waiting = "No job waits"
    else:
        waiting = f"{output.count(now.waiting, 'job')} {'waits' if now.waiting == 1 else 'wait'}"
        waiting += f", the oldest one for {shown_seconds(now.oldest_age)}"

    running = f"{now.running} run{'s' if now.running == 1 else ''}" if now.running else "none runs"
    parts = [waiting, running, output.count(now.workers, "worker")]

    told = "; ".join(parts) + "."

    if now.waiting and statistics.empty_in is not None:
        told += f"\nIf it goes on like this, none waits in {words.duration(round(statistics.empty_in))}."

    return told


def shown_seconds(seconds: float | None) -> str:
    """A duration in one short word; "-" for None.

    Example:
        >>> shown_seconds(0.00042), shown_seconds(0.25), shown_seconds(12.34), shown_seconds(5000)
        ('0.42ms', '250ms', '12.3s', '1h 23m')

    """
    if seconds is None:
        return "-"

    if seconds < 1:
        return f"{1000 * seconds:.3g}ms"

    if seconds < 60:
        return f"{seconds:.3g}s"

    minutes = round(seconds / 60)

    return f"{minutes}m" if minutes < 60 else f"{minutes // 60}h {minutes % 60}m"
