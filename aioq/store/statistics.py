"""Statistics: tally, statistics, forget_statistics: what a queue has done, and which workers have left it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from aioq.store.calls import Calls, verdict_of
from aioq.store.net.command import Command
from aioq.store.reply import text
from aioq.values.departed import MOST_DEPARTED, DepartedWorker, read_departed
from aioq.values.figures import unpack_figures
from aioq.values.moments import moment_of
from aioq.values.statistics import PAGES, Backlog, QueueStatistics, Since, Step, periods_of, window_of

#: A page has no more periods than this; what else stands in one is passed over.
_MOST_PERIODS = 60


class Now(NamedTuple):
    """What is in a queue now. clock_ms: the server's clock; added: how many entries its lanes have ever got."""

    clock_ms: int
    backlog: Backlog
    added: int


class Statistics:
    """What is counted of a queue.

    Args:
        calls: the queue's.

    """

    def __init__(self, calls: Calls) -> None:
        self._calls = calls

    def tally_command(self, worker: str, number: int, words: str) -> Command:
        """The call that adds what a worker has counted; `read_tally` reads its reply.

        Args:
            worker: its name.
            number: that of this call. It grows from call to call; the same call sent again has the same.
            words: what it has counted, as `pack_figures` makes it.

        """
        return self._calls.command("tally", worker=worker, serial=number, counted=words)

    async def tally(self, worker: str, number: int, words: str) -> bool:
        """As `tally_command`. False: it was counted before."""
        return read_tally(await self._calls.send(self.tally_command(worker, number, words)))

    async def read(self, step: Step, since: Since | None = None, until: Since | None = None) -> QueueStatistics:
        """What the queue has done, and what waits in it. A call for what waits, and one for each page.

        Raises:
            InvalidInput: it ends before it begins.

        """
        now = await self._now(step)
        window = window_of(step, since, until, now.clock_ms)
        numbers = [*window.pages]

        # What arrived in the last period is known from the sample that follows it.
        if window.until_ms < now.clock_ms and (later := self._page_of(step, now.clock_ms, numbers[-1] + 1)):
            numbers.append(later)

        replies = await self._calls.connection.calls(
            [self._calls.command("statistics", step=step, page=number) for number in numbers]
        )
        found: dict[int, dict[str, int]] = {}

        for number, reply in zip(numbers, replies, strict=True):
            found |= _read_page(step, number, reply)

        periods = periods_of(window, found, now.clock_ms, now.added)

        return QueueStatistics(step, moment_of(str(now.clock_ms)), periods, now.backlog)

    async def forget(self) -> None:
        """Remove all statistics, and the list of workers that have left."""
        await self._calls.call("forget_statistics")

    async def departed(self, limit: int = MOST_DEPARTED) -> list[DepartedWorker]:
        """The workers that have left the queue, the last one first."""
        command = ("ZRANGE", self._calls.keys.departed, 0, limit - 1, "REV", "WITHSCORES")
        flat = iter(await self._calls.send(command) if limit else ())
        found = [read_departed(row, float(left_ms)) for row, left_ms in zip(flat, flat, strict=True)]

        return [each for each in found if each is not None]

    async def _now(self, step: Step) -> Now:
        reply = await self._calls.call("statistics", step=step, page="")
        _, clock_ms, _, waiting, running, scheduled, age_ms, added, workers = reply

        return Now(
            clock_ms, Backlog(waiting, running, scheduled, workers, age_ms / 1000 if age_ms >= 0 else None), added
        )

    @staticmethod
    def _page_of(step: Step, now_ms: int, number: int) -> int | None:
        """The page of this number, if it has begun."""
        return number if number <= now_ms // PAGES[step].page_ms else None


def read_tally(reply: Any) -> bool:
    """Whether the reply of `tally_command` says that it is counted now, and not before."""
    return verdict_of("tally", reply) == "ok"


def _read_page(step: Step, number: int, reply: Any) -> dict[int, dict[str, int]]:
    """The periods of a page, by the moment when each began, in ms."""
    verdict_of("statistics", reply)
    pages, found = PAGES[step], dict[int, dict[str, int]]()

    for field, packed in _pairs(reply[2]):
        place = text(field)

        if place.isdecimal() and int(place[:3]) < _MOST_PERIODS:
            found[number * pages.page_ms + int(place[:3]) * pages.step_ms] = unpack_figures(packed)

    return found


def _pairs(flat: Sequence[bytes]) -> zip[tuple[bytes, bytes]]:
    each = iter(flat)

    return zip(each, each, strict=True)
