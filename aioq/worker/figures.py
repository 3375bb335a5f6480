"""Figures: what a worker counts of a queue, until a heartbeat has told the server.

The event loop notes durations and outcomes as they come. They are summed up when there are many of them, or when
the thread of the heartbeat sends. What has been sent is kept and sent again, with the same number, until an answer
comes; the server counts a number once.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left, bisect_right
from collections.abc import Collection, Iterable
from functools import partial
from operator import mul

from aioq.store.net.command import Command
from aioq.store.statistics import Statistics
from aioq.values.claim import Claim, Claims
from aioq.values.errors import ServerError
from aioq.values.figures import RUN, WAIT, pack_figures
from aioq.values.histogram import BOUNDS_MS
from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun, Interrupted, Outcome, Retried
from aioq.worker.run import Cause, Run

log = logging.getLogger("aioq.worker")

#: A worker tells what it has counted once in so many seconds, and that it has counted nothing once a minute: then
#: somebody looks at the backlog. So much is lost of a worker that dies.
TELL_S, TELL_IDLE_S = 10.0, 55.0

#: For how long a call without an answer is sent again. The server forgets its number after ten minutes, see
#: `lua/tally.lua`, and would count it once more.
SEND_AGAIN_S = 300.0

#: Durations that are kept until they are summed up.
DURATIONS = 1000

_COUNTERS: dict[type[Outcome], str] = {
    Finished: "finished",
    FinishedRun: "finished",
    Failed: "failed",
    FailedRun: "failed",
    Retried: "retried",
    Interrupted: "given_back",
}
_DROPS = {Cause.CANCELED: "canceled", Cause.DELETED: "canceled", Cause.STOPPED: "stopped"}

#: The number of the bucket of a duration.
_bucket_of = partial(bisect_left, BOUNDS_MS)

_WAITS = [f"{WAIT}{bucket}" for bucket in range(len(BOUNDS_MS) + 1)]
_RUNS = [f"{RUN}{bucket}" for bucket in range(len(BOUNDS_MS) + 1)]


class Figures:
    """What is counted of one queue.

    Args:
        statistics: of the queue.
        worker: the worker's name.

    """

    def __init__(self, statistics: Statistics, worker: str) -> None:
        self._statistics = statistics
        self._worker = worker
        self._lock = threading.Lock()
        self._counted: dict[str, float] = {}
        # What is to be summed up, which takes less time for many than for one after the other:
        self._kinds: dict[type[Outcome], int] = {}
        self._runs_ms: list[float] = []
        self._waits_ms: dict[int, int] = {}  # how many jobs have waited for so long
        self._number = 0
        self._sent: Command | None = None  # no answer has come yet
        self._sent_at = 0.0  # at first
        self._told_at = time.monotonic()

    def note_claims(self, claims: Claims) -> None:
        """Count what a claim has brought."""
        if not claims.waits_ms and not claims.expired:
            return

        with self._lock:
            waits_ms = self._waits_ms

            for wait_ms, number in claims.waits_ms.items():
                waits_ms[wait_ms] = waits_ms.get(wait_ms, 0) + number

            if claims.expired:
                self._add("expired", claims.expired)

            if len(waits_ms) >= DURATIONS:
                self._sum_up()

    def note_recorded(self, ended: Iterable[tuple[Run, Outcome]], refused: Collection[Claim] = ()) -> None:
        """Count runs whose outcomes were recorded. Callbacks are not counted.

        Args:
            ended: the runs.
            refused: the claims of those among them that were not recorded.

        """
        # The path of every job: each line takes a tenth of a microsecond or two.
        with self._lock:
            kinds, runs_ms = self._kinds, self._runs_ms

            for run, outcome in ended:
                if run.is_callback or (refused and run.claim in refused):
                    continue

                kind = type(outcome)
                kinds[kind] = kinds.get(kind, 0) + 1

                if 0 < run.started_at <= run.ended_at:
                    runs_ms.append(1000 * (run.ended_at - run.started_at))

            if len(runs_ms) >= DURATIONS:
                self._sum_up()

    def note_dropped(self, run: Run) -> None:
        """Count a run of which nothing is recorded."""
        word = _DROPS.get(run.cause) if run.cause is not None else None

        if word is not None and not run.is_callback:
            with self._lock:
                self._add(word, 1)

    def command(self, *, at_once: bool = False) -> Command | None:
        """The call that tells what was counted, if it is time for one.

        Args:
            at_once: it is time if anything was counted.

        """
        with self._lock:
            passed = time.monotonic() - self._told_at

            if not at_once and passed < TELL_S:
                return None

            if time.monotonic() - self._sent_at > SEND_AGAIN_S:
                self._sent = None

            if self._sent is None:
                self._sum_up()
                words = pack_figures(self._counted)

                if not words and (at_once or passed < TELL_IDLE_S):
                    return None

                self._counted = {}
                self._number += 1
                self._sent = self._statistics.tally_command(self._worker, self._number, words)
                self._sent_at = time.monotonic()

            self._told_at = time.monotonic()

            return self._sent

    def confirm(self, reply: object) -> None:
        """Take the answer to the last call. What was refused is sent again later.

        It raises nothing: it is called where an error would cost a lease.
        """
        if isinstance(reply, ServerError):
            self._sent_at = time.monotonic()  # it was not counted, so it is not too old
            log.debug("the figures of worker %s were refused: %s", self._worker, reply)
        else:
            self._sent = None

    def _add(self, word: str, number: float) -> None:
        self._counted[word] = self._counted.get(word, 0) + number

    def _sum_up(self) -> None:
        """Put what was noted into words."""
        waits_ms, runs_ms, kinds = self._waits_ms, self._runs_ms, self._kinds
        self._waits_ms, self._runs_ms, self._kinds = {}, [], {}

        if waits_ms:
            self._add("started", sum(waits_ms.values()))
            self._add("wait_ms", sum(map(mul, waits_ms, waits_ms.values())))

        for wait_ms, number in waits_ms.items():
            self._add(_WAITS[_bucket_of(wait_ms)], number)

        for kind, number in kinds.items():
            self._add(_COUNTERS[kind], number)

        if runs_ms:
            self._add("run_ms", sum(runs_ms))

        runs_ms.sort()
        first = 0

        while first < len(runs_ms):  # a step for each bucket, and not for each run
            bucket = _bucket_of(runs_ms[first])
            following = bisect_right(runs_ms, BOUNDS_MS[bucket]) if bucket < len(BOUNDS_MS) else len(runs_ms)
            self._add(_RUNS[bucket], following - first)
            first = following
