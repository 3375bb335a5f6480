"""Plots of what a queue has done, as SVG: pure functions of its statistics, for an hour up to thirty days."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, TypeAlias

from aioq.values.histogram import BUCKETS_PER_DECADE, Histogram, edges_ms
from aioq.values.statistics import Period, QueueStatistics
from aioq.web.plots_frame import (
    HEIGHT,
    WIDTH,
    Column,
    Scale,
    area,
    axes,
    box,
    columns_of,
    legend,
    line,
    linear,
    logarithmic,
    note,
    nothing,
    plot,
    seconds,
    short,
    span,
)

#: Which times are shown: how long jobs waited, or how long runs took.
Times: TypeAlias = Literal["wait", "run"]

_NAMES = {"wait": "waiting times", "run": "times of runs"}

#: How many buckets of a histogram make a row of a heat map.
BUCKETS_PER_ROW = 5


def throughput(queue: str, statistics: QueueStatistics) -> str:
    """How many runs finished and failed in a minute.

    Args:
        queue: the name of the queue; it may be any text. "": of all queues.
        statistics: what is shown.

    """
    title, columns = f"Runs of {_whose(queue)} a minute", columns_of(statistics)
    total = statistics.total

    if not total.finished + total.failed + total.retried:
        return nothing(title, "No run has ended in this time.", kind="throughput")

    rates = [(_rate(each, each.period.finished), _rate(each, _raised(each.period))) for each in columns]
    scale = linear(sum(each) for each in rates)
    drawn = axes(columns, scale, short)

    for column, (finished, failed) in zip(columns, rates, strict=True):
        words = f"{column.period.start:%m-%d %H:%M}: {short(finished)} finished, {short(failed)} failed a minute"
        edges, gap = (scale.y(0), scale.y(finished), scale.y(finished + failed)), 0.5

        for bottom, top, name, opacity in (
            (edges[0], edges[1], "plot-finished", 0.45),
            (edges[1], edges[2], "plot-failed", 1.0),
        ):
            if bottom - top > 0.05:
                drawn.append(
                    box(column.left + gap, top, column.right - gap, bottom, name, opacity=opacity, words=words)
                )

    drawn.append(legend([("plot-finished", "finished"), ("plot-failed", "failed or retried")]))
    told = (
        f"{short(total.finished)} runs finished, {short(total.failed)} failed, {short(total.retried)} were retried"
        f" {span(columns[0].period.start, statistics.now)}."
    )

    return plot(title, told, drawn, kind="throughput")


def durations(queue: str, statistics: QueueStatistics, times: Times) -> str:
    """How long jobs waited, or runs took: the median, and bands to the 95th and the 99th percentile.

    Args:
        queue: the name of the queue; it may be any text. "": of all queues.
        statistics: what is shown.
        times: "wait" or "run".

    """
    title, columns = f"{_NAMES[times].capitalize()} of {_whose(queue)}", columns_of(statistics)
    known = [(each, found) for each in columns if (found := _percentiles(_histogram(each.period, times)))]

    if not known:
        return nothing(title, "No run has begun in this time.", kind=times)

    scale = logarithmic(value for _, found in known for value in found)
    drawn = axes(columns, scale, seconds)

    for part in _runs(known):
        points = [(column.middle, *(scale.y(value) for value in found)) for column, found in part]
        drawn.append(area([(x, p50, p99) for x, p50, _, p99 in points], "plot-p99", opacity=0.12))
        drawn.append(area([(x, p50, p95) for x, p50, p95, _ in points], "plot-p95", opacity=0.25))
        drawn.append(line([(x, p99) for x, _, _, p99 in points], "plot-p99", dashes="2 2"))
        drawn.append(line([(x, p50) for x, p50, _, _ in points], "plot-p50"))

    drawn.append(legend([("plot-p50", "median"), ("plot-p95", "to 95 %"), ("plot-p99", "to 99 %")]))
    p50, p95, p99 = _percentiles(_histogram(statistics.total, times)) or (0.0, 0.0, 0.0)
    told = (
        f"Half of all were at most {seconds(p50)}, 95 % at most {seconds(p95)}, 99 % at most {seconds(p99)},"
        f" {span(columns[0].period.start, statistics.now)}."
    )

    return plot(title, told, drawn, kind=times)


def backlog(queue: str, statistics: QueueStatistics) -> str:
    """How many jobs waited. Where nobody looked, there is a gap; if nobody did, it shows how many wait now.

    Args:
        queue: the name of the queue; it may be any text. "": of all queues.
        statistics: what is shown.

    """
    title, columns = f"Backlog of {_whose(queue)}", columns_of(statistics)
    known = [(each, (float(each.period.waiting),)) for each in columns if each.period.waiting is not None]

    if not known:
        return _backlog_now(title, columns, statistics.backlog.waiting)

    scale = linear([*(value for _, (value,) in known), float(statistics.backlog.waiting)])
    drawn = axes(columns, scale, short)

    for part in _runs(known):
        points = [(column.middle, scale.y(value)) for column, (value,) in part]
        drawn.append(area([(x, scale.y(0), y) for x, y in points], "plot-waiting", opacity=0.25))
        drawn.append(line(points, "plot-waiting"))

    now = statistics.backlog.waiting
    told = f"{short(now)} jobs wait now; at most {short(max(value for _, (value,) in known))} did"
    told += f" {span(columns[0].period.start, statistics.now)}."

    return plot(title, told, drawn, kind="backlog")


def _backlog_now(title: str, columns: Sequence[Column], waiting: int) -> str:
    """What is known of a backlog that no worker has looked at: how many wait now, and why there is no past."""
    scale = linear([float(waiting)])
    x, y = columns[-1].middle, scale.y(waiting)
    now = f"{short(waiting)} {'job waits' if waiting == 1 else 'jobs wait'} now."
    why = "No past is known: workers count what waits, and none did so in this time."
    drawn = [
        *axes(columns, scale, short),
        line([(x, y)], "plot-waiting"),
        note(x - 8, y + 4, now, "end"),
        note(WIDTH / 2, HEIGHT / 2, why, "middle"),
    ]

    return plot(title, f"{now} {why}", drawn, kind="backlog")


def heat_map(queue: str, statistics: QueueStatistics, times: Times) -> str:
    """How many jobs waited, or runs took, for how long: the darker, the more of its column.

    Args:
        queue: the name of the queue; it may be any text. "": of all queues.
        statistics: what is shown.
        times: "wait" or "run".

    """
    title, columns = f"Heat map of the {_NAMES[times]} of {_whose(queue)}", columns_of(statistics)
    rows = [_rows(_histogram(each.period, times)) for each in columns]
    used = sorted({row for found in rows for row in found})

    if not used:
        return nothing(title, "No run has begun in this time.", kind="heat-map")

    low, high = _row_edges(used[0])[0], _row_edges(used[-1])[1]
    scale = Scale(low, high, log=True)
    drawn = axes(columns, scale, seconds)

    for column, found in zip(columns, rows, strict=True):
        most = max(found.values(), default=0)
        drawn += [_cell(column, scale, row, number, most) for row, number in sorted(found.items())]

    count = _histogram(statistics.total, times).count
    told = f"{short(count)} of them, between {seconds(low)} and {seconds(high)}"
    told += f" {span(columns[0].period.start, statistics.now)}."

    return plot(title, told, drawn, kind="heat-map")


def _cell(column: Column, scale: Scale, row: int, number: int, most: int) -> str:
    low, high = _row_edges(row)
    words = f"{column.period.start:%m-%d %H:%M}: {number} between {seconds(low)} and {seconds(high)}"
    top, bottom = scale.y(high), min(scale.y(low), HEIGHT)

    return box(column.left, top, column.right, bottom, "plot-heat", opacity=0.1 + 0.9 * number / most, words=words)


def _rows(histogram: Histogram) -> dict[int, int]:
    """How many durations are in each row of a heat map."""
    found: dict[int, int] = {}

    for bucket, number in histogram.counts.items():
        row = max(0, bucket - 1) // BUCKETS_PER_ROW
        found[row] = found.get(row, 0) + number

    return found


def _row_edges(row: int) -> tuple[float, float]:
    """Where a row of a heat map begins and ends, in seconds."""
    low = edges_ms(1 + row * BUCKETS_PER_ROW)[0] / 1000

    return low, low * 10 ** (BUCKETS_PER_ROW / BUCKETS_PER_DECADE)


def _runs(
    known: Sequence[tuple[Column, tuple[float, ...]]],
) -> Iterator[list[tuple[Column, tuple[float, ...]]]]:
    """The columns that follow each other without a gap."""
    part: list[tuple[Column, tuple[float, ...]]] = []

    for each in known:
        if part and each[0].left - part[-1][0].right > 0.01:
            yield part
            part = []

        part.append(each)

    if part:
        yield part


def _whose(queue: str) -> str:
    return f"queue {queue}" if queue else "all queues"


def _histogram(period: Period, times: Times) -> Histogram:
    return period.wait if times == "wait" else period.run


def _percentiles(histogram: Histogram) -> tuple[float, ...] | None:
    found = [histogram.percentile(percent) for percent in (50, 95, 99)]
    known = [each for each in found if each is not None]

    return tuple(known) if len(known) == len(found) else None


def _raised(period: Period) -> int:
    return period.failed + period.retried


def _rate(column: Column, number: int) -> float:
    """How many a minute. Workers tell every ten seconds, so the first seconds of a period would show a peak."""
    return number / max(column.period.seconds / 60, 1.0)
