"""QueueStatistics: what a queue has done, minute by minute or hour by hour, and what waits in it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, NamedTuple, TypeAlias

from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidInput
from aioq.values.figures import RUN, WAIT, histogram_of
from aioq.values.histogram import Histogram, merged
from aioq.values.moments import moment_ms

#: How long the periods are.
Step: TypeAlias = Literal["minute", "hour"]

#: A point in time as users give it: a moment, or how long ago.
Since: TypeAlias = datetime | Duration


class Pages(NamedTuple):
    """How the periods of one step are stored: a key for each page, with a field for each period.

    step_ms: how long a period is; page_ms: how long a page is; kept_ms: for how long a period is kept.
    `lua/lib/figures.lua` repeats them.
    """

    step_ms: int
    page_ms: int
    kept_ms: int


PAGES: Mapping[str, Pages] = {
    "minute": Pages(60_000, 3_600_000, 86_400_000),
    "hour": Pages(3_600_000, 86_400_000, 30 * 86_400_000),
}

#: The estimate until a queue is empty goes by the samples of this time, in ms.
ESTIMATE_MS = 600_000


@dataclass(frozen=True, slots=True)
class Period:
    """What a queue did in a minute or an hour.

    Runs are counted when their end is recorded, and callbacks are not counted. What a worker has counted arrives
    with its heartbeats, so it may be counted some seconds late.

    Args:
        start: when it began.
        seconds: how long it was; less than a whole one for the period that has not ended.
        started: how many runs workers claimed.
        finished: how many runs finished.
        failed: how many runs failed, with no attempt left.
        retried: how many runs ended with another attempt to come.
        canceled: how many runs were canceled, or their jobs deleted, while they ran.
        stopped: how many runs were stopped.
        given_back: how many jobs workers gave back to the queue.
        lost: how many runs ended with their worker.
        expired: how many jobs workers found that had waited for longer than their `ttl`.
        arrived: how many jobs came into the queue to wait: new ones, and those that came back. None: not known.
        waiting: how many jobs waited at a moment of the period; of an hour, the most. None: nobody looked.
        running: how many jobs ran then.
        scheduled: how many jobs were scheduled then.
        oldest_age: for how many seconds the oldest of them had waited then. None: as above.
        wait: how long jobs waited, from when they could be claimed until they were.
        run: how long runs took.
        wait_seconds: all waits together.
        run_seconds: all runs together.

    """

    start: datetime
    seconds: float
    started: int = 0
    finished: int = 0
    failed: int = 0
    retried: int = 0
    canceled: int = 0
    stopped: int = 0
    given_back: int = 0
    lost: int = 0
    expired: int = 0
    arrived: int | None = None
    waiting: int | None = None
    running: int | None = None
    scheduled: int | None = None
    oldest_age: float | None = None
    wait: Histogram = field(default_factory=Histogram)
    run: Histogram = field(default_factory=Histogram)
    wait_seconds: float = 0.0
    run_seconds: float = 0.0

    def per_second(self, number: float) -> float:
        """How many in each second of the period, if there were so many in all of it."""
        return number / self.seconds if self.seconds else 0.0


class Backlog(NamedTuple):
    """What is in a queue now: jobs that wait, run and are scheduled, and its workers.

    oldest_age: for how many seconds the oldest job that waits has waited; None: none does.
    """

    waiting: int
    running: int
    scheduled: int
    workers: int
    oldest_age: float | None


@dataclass(frozen=True, slots=True)
class QueueStatistics:
    """What a queue has done, and what waits in it.

    Args:
        step: how long each period is.
        now: the server's clock.
        periods: the periods, the first one first, also those in which nothing was done. The last one may not have
            ended.
        backlog: what is in the queue now.

    Example:
        >>> statistics = await queue.statistics(since="1h")  # doctest: +SKIP
        >>> statistics.total.finished, statistics.total.wait.percentile(95)  # doctest: +SKIP
        (1200, 0.031)

    """

    step: Step
    now: datetime
    periods: tuple[Period, ...]
    backlog: Backlog

    @property
    def total(self) -> Period:
        """All periods as one: sums, and of what was sampled the most."""
        return total_of(self.periods, self.now)

    @property
    def empty_in(self) -> float | None:
        """The seconds until no job waits, if it goes on as in the last ten minutes.

        0.0: none waits now. None: the backlog does not become smaller, or it is not known how fast; it is known
        by the minute only.
        """
        if not self.backlog.waiting:
            return 0.0

        if self.step != "minute":
            return None

        oldest = self.now.timestamp() - ESTIMATE_MS / 1000
        sampled = [each for each in self.periods if each.waiting is not None and each.start.timestamp() >= oldest]

        if not sampled:
            return None

        fewer = (sampled[0].waiting or 0) - self.backlog.waiting
        seconds = self.now.timestamp() - sampled[0].start.timestamp()

        return self.backlog.waiting * seconds / fewer if fewer > 0 and seconds > 0 else None


def total_of(periods: Sequence[Period], now: datetime) -> Period:
    """Several periods as one: sums, and of what was sampled the most.

    Args:
        periods: in order.
        now: the beginning, if there is no period.

    """
    return Period(
        start=periods[0].start if periods else now,
        seconds=sum(each.seconds for each in periods),
        started=sum(each.started for each in periods),
        finished=sum(each.finished for each in periods),
        failed=sum(each.failed for each in periods),
        retried=sum(each.retried for each in periods),
        canceled=sum(each.canceled for each in periods),
        stopped=sum(each.stopped for each in periods),
        given_back=sum(each.given_back for each in periods),
        lost=sum(each.lost for each in periods),
        expired=sum(each.expired for each in periods),
        arrived=sum(arrived) if (arrived := _known(each.arrived for each in periods)) else None,
        waiting=max(_known(each.waiting for each in periods), default=None),
        running=max(_known(each.running for each in periods), default=None),
        scheduled=max(_known(each.scheduled for each in periods), default=None),
        oldest_age=max((each.oldest_age for each in periods if each.oldest_age is not None), default=None),
        wait=merged(each.wait for each in periods),
        run=merged(each.run for each in periods),
        wait_seconds=sum(each.wait_seconds for each in periods),
        run_seconds=sum(each.run_seconds for each in periods),
    )


def _known(values: Iterable[int | None]) -> list[int]:
    return [each for each in values if each is not None]


class Window(NamedTuple):
    """Which periods are asked for: from the one that has since_ms to the one that has until_ms."""

    step: Step
    since_ms: int
    until_ms: int

    @property
    def pages(self) -> range:
        """The numbers of the pages that have these periods, and the one before them, as far as they are kept."""
        pages = PAGES[self.step]

        return range((self.since_ms - pages.step_ms) // pages.page_ms, self.until_ms // pages.page_ms + 1)


def check_step(step: str) -> Step:
    """The length of periods as users give it.

    Raises:
        InvalidInput: there is no such one.

    """
    if step not in PAGES:
        raise InvalidInput(f'step={step!r}: expected "minute" or "hour"')

    return step  # type: ignore[return-value]


def check_window(since: Since | None, until: Since | None) -> None:
    """Refuse what is no point in time, before the server is asked.

    Raises:
        InvalidInput: one of them is none.

    """
    for name, value in (("since", since), ("until", until)):
        if value is not None:
            _point_ms(value, name, 0)


def window_of(step: Step, since: Since | None, until: Since | None, now_ms: int) -> Window:
    """Which periods are meant.

    Args:
        step: how long each is.
        since: the first moment, or how long ago it was. None: an hour ago; of hours, a day ago.
        until: the last moment, or how long ago it was. None: now.
        now_ms: the server's clock.

    Raises:
        InvalidInput: it ends before it begins.

    """
    pages = PAGES[step]
    default_ms = pages.page_ms
    until_ms = now_ms if until is None else min(now_ms, _point_ms(until, "until", now_ms))
    since_ms = now_ms - default_ms if since is None else _point_ms(since, "since", now_ms)

    if since_ms > until_ms:
        raise InvalidInput(f"since={since!r}: expected a moment before until={until!r}")

    oldest_ms = now_ms - pages.kept_ms

    return Window(step, max(since_ms, oldest_ms), max(until_ms, oldest_ms))


def _point_ms(value: Since, name: str, now_ms: int) -> int:
    return moment_ms(value, name) if isinstance(value, datetime) else now_ms - positive_ms(value, name)


def periods_of(
    window: Window, found: Mapping[int, Mapping[str, int]], now_ms: int, added_now: int
) -> tuple[Period, ...]:
    """The periods of a window, also those without any figures.

    Args:
        window: which ones.
        found: what is stored of each, by the moment when it began, in ms.
        now_ms: the server's clock.
        added_now: how many entries the lanes have ever got.

    """
    step_ms = PAGES[window.step].step_ms
    first, last = window.since_ms // step_ms * step_ms, window.until_ms // step_ms * step_ms
    made, following = [], added_now

    # From the last one to the first: what arrived in a period is known from the sample that follows.
    for later in sorted((at for at in found if at > last), reverse=True):
        following = found[later].get("added", following)

    for start_ms in range(last, first - 1, -step_ms):
        figures = found.get(start_ms, {})
        made.append(_period(start_ms, min(step_ms, now_ms - start_ms) / 1000, figures, following))
        following = figures.get("added", following)

    return tuple(reversed(made))


def _arrived(added: int | None, following: int) -> int | None:
    """How many entries came between two samples. Empty lanes that nobody serves are dropped, and count anew."""
    if added is None or following < 0:
        return None

    return following - added if following >= added else following


def _period(start_ms: int, seconds: float, figures: Mapping[str, int], following: int) -> Period:
    added = figures.get("added")
    age = figures.get("age_ms")

    return Period(
        start=datetime.fromtimestamp(start_ms / 1000, UTC),
        seconds=max(0.0, seconds),
        started=figures.get("started", 0),
        finished=figures.get("finished", 0),
        failed=figures.get("failed", 0),
        retried=figures.get("retried", 0),
        canceled=figures.get("canceled", 0),
        stopped=figures.get("stopped", 0),
        given_back=figures.get("given_back", 0),
        lost=figures.get("lost", 0),
        expired=figures.get("expired", 0),
        arrived=_arrived(added, following),
        waiting=figures.get("waiting"),
        running=figures.get("running"),
        scheduled=figures.get("scheduled"),
        oldest_age=None if age is None else age / 1000,
        wait=histogram_of(figures, WAIT),
        run=histogram_of(figures, RUN),
        wait_seconds=figures.get("wait_ms", 0) / 1000,
        run_seconds=figures.get("run_ms", 0) / 1000,
    )
