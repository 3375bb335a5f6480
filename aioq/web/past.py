"""Past: what queues have done, as figures and plots for a page; of one queue, or of several together."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Literal, NamedTuple, TypeAlias

from markupsafe import Markup

from aioq.store import Connection, Store
from aioq.values.statistics import Backlog, Period, QueueStatistics, Step, total_of
from aioq.web.plots import backlog, durations, heat_map, throughput
from aioq.web.words import duration

#: How long a time is shown.
Last: TypeAlias = Literal["hour", "day", "month"]


class Span(NamedTuple):
    """One length of time: its words, its periods, where it begins; a read of it is shown for kept_s seconds."""

    words: str
    step: Step
    since: str
    kept_s: float


SPANS: Mapping[str, Span] = {
    "hour": Span("an hour", "minute", "1h", 5.0),
    "day": Span("a day", "minute", "1d", 30.0),
    "month": Span("thirty days", "hour", "30d", 120.0),
}

#: The queues with the most jobs that are counted together, and statistics that are remembered.
MOST_QUEUES, MOST_KEPT = 12, 200


class Past:
    """What queues have done. Old minutes do not change, so what was read is shown for a while.

    Args:
        connection: the server.

    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._kept: dict[tuple[str, str], tuple[float, QueueStatistics]] = {}

    async def of(self, names: Sequence[str], last: str) -> QueueStatistics | None:
        """The statistics of these queues together, by two round trips; None without queues."""
        found = await asyncio.gather(*(self._one(name, last) for name in names))

        return together(found) if found else None

    async def _one(self, name: str, last: str) -> QueueStatistics:
        until, known = self._kept.get((name, last), (0.0, None))

        if known is not None and time.monotonic() < until:
            return known

        span = SPANS[last]
        found = await Store(self._connection, name).statistics.read(span.step, span.since)

        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()

        self._kept[name, last] = time.monotonic() + span.kept_s, found

        return found


def together(found: Sequence[QueueStatistics]) -> QueueStatistics:
    """Several queues as one: sums, of each period. Of one queue it is as it was."""
    if len(found) == 1:
        return found[0]

    periods: dict[datetime, list[Period]] = {}

    for each in found:
        for period in each.periods:
            periods.setdefault(period.start, []).append(period)

    ages = [each.backlog.oldest_age for each in found if each.backlog.oldest_age is not None]
    now = Backlog(
        sum(each.backlog.waiting for each in found),
        sum(each.backlog.running for each in found),
        sum(each.backlog.scheduled for each in found),
        sum(each.backlog.workers for each in found),
        max(ages, default=None),
    )

    return QueueStatistics(
        found[0].step, found[0].now, tuple(_sum(periods[start], found[0].now) for start in sorted(periods)), now
    )


def _sum(parts: Sequence[Period], now: datetime) -> Period:
    """Periods of several queues that began together."""
    waiting = [each.waiting for each in parts if each.waiting is not None]

    return replace(
        total_of(parts, now),
        seconds=max(each.seconds for each in parts),
        waiting=sum(waiting) if waiting else None,
    )


def shown(queue: str, found: QueueStatistics | None, query: Mapping[str, str]) -> dict[str, Any]:
    """What a template shows of it.

    Args:
        queue: the name of the queue; "": of all.
        found: its statistics; None: nothing is shown.
        query: of the address: `last` says how long a time, `map` whose heat map.

    """
    if found is None:
        return {"past": None}

    chosen = query.get("map", "")
    plots = [
        ("Runs a minute", throughput(queue, found)),
        ("Jobs that wait", backlog(queue, found)),
        ("Waiting times", durations(queue, found, "wait")),
        ("Times of runs", durations(queue, found, "run")),
    ]
    plots += [("Waiting times, how many of each", heat_map(queue, found, "wait"))] if chosen == "wait" else []
    plots += [("Times of runs, how many of each", heat_map(queue, found, "run"))] if chosen == "run" else []

    return {
        "past": {
            "last": last_of(query),
            "map": chosen if chosen in ("wait", "run") else "",
            "spans": [(name, span.words) for name, span in SPANS.items()],
            "figures": _figures(found),
            # The texts in the plots are escaped where they are drawn.
            "plots": [(caption, Markup(plot)) for caption, plot in plots] if _has_figures(found) else [],  # noqa: S704
        }
    }


def _has_figures(found: QueueStatistics) -> bool:
    return any(each.waiting is not None or each.started or each.finished + each.failed for each in found.periods)


def last_of(query: Mapping[str, str]) -> str:
    """The length of time that an address asks for; an hour if it names no known one."""
    given = query.get("last", "")

    return given if given in SPANS else "hour"


def _figures(found: QueueStatistics) -> list[tuple[str, str]]:
    total = found.total
    wait, run = total.wait.percentile(95), total.run.percentile(95)
    rows = [
        ("arrived a minute", "not known" if total.arrived is None else _rate(total, total.arrived)),
        ("finished a minute", _rate(total, total.finished)),
        ("failed or retried a minute", _rate(total, total.failed + total.retried)),
        ("95 % waited at most", "none" if wait is None else duration(wait * 1000)),
        ("95 % ran at most", "none" if run is None else duration(run * 1000)),
    ]

    return [*rows, ("empty in", _estimate(found))]


def _rate(total: Period, number: int) -> str:
    return (
        f"{60 * total.per_second(number):,.3g}"
        if number * 60 < total.seconds * 1000
        else (f"{60 * total.per_second(number):,.0f}")
    )


def _estimate(found: QueueStatistics) -> str:
    if not found.backlog.waiting:
        return "nothing waits"

    if found.empty_in is None:
        return "not known" if found.step != "minute" else "it does not become less"

    return f"about {duration(found.empty_in * 1000)}"
