"""Figures: what a worker counts of a queue, until a heartbeat has told the server.

Nothing is counted at a single job: a claim is counted as a whole, and so are the outcomes of a round trip. The
event loop counts, and the thread of the heartbeat sends. What has been sent is kept and sent again, with the same
number, until an answer comes; the server counts a number once.
"""

from __future__ import annotations

import logging
import threading
import time
from bisect import bisect_left
from collections import Counter
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

_COUNTERS: dict[type[Outcome], str] = {
    Finished: "finished",
    FinishedRun: "finished",
    Failed: "failed",
    FailedRun: "failed",
    Retried: "retried",
    Interrupted: "given_back",
}
_DROPS = {Cause.CANCELED: "canceled", Cause.DELETED: "canceled", Cause.STOPPED: "stopped"}

#: The number of the bucket of a duration. It stays in C, since it is asked for each job.
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
        self._number = 0
        self._sent: Command | None = None  # no answer has come yet
        self._sent_at = 0.0  # at first
        self._told_at = time.monotonic()

    def note_claims(self, claims: Claims) -> None:
        """Count what a claim has brought."""
        with self._lock:
            counted = self._counted
            waits_ms = claims.waits_ms
            counted["started"] = counted.get("started", 0) + sum(waits_ms.values())
            counted["wait_ms"] = counted.get("wait_ms", 0) + sum(map(mul, waits_ms, waits_ms.values()))
            counted["expired"] = counted.get("expired", 0) + claims.expired

            for wait_ms, number in waits_ms.items():
                word = _WAITS[_bucket_of(wait_ms)]
                counted[word] = counted.get(word, 0) + number

    def note_recorded(self, ended: Iterable[tuple[Run, Outcome]], refused: Collection[Claim] = ()) -> None:
        """Count runs whose outcomes were recorded. Callbacks are not counted.

        Args:
            ended: the runs.
            refused: the claims of those among them that were not recorded.

        """
        # The path of every job: each line takes a tenth of a microsecond or two.
        told = [each for each in ended if "." not in each[0].claim.record.id]

        if refused:
            told = [each for each in told if each[0].claim not in refused]

        kinds = [type(outcome) for _, outcome in told]
        runs_ms = [1000 * (run.ended_at - run.started_at) for run, _ in told if 0 < run.started_at <= run.ended_at]

        with self._lock:
            counted = self._counted
            counted["run_ms"] = counted.get("run_ms", 0) + sum(runs_ms)

            for kind, number in Counter(kinds).items():
                counted[_COUNTERS[kind]] = counted.get(_COUNTERS[kind], 0) + number

            for bucket, number in Counter(map(_bucket_of, runs_ms)).items():
                word = _RUNS[bucket]
                counted[word] = counted.get(word, 0) + number

    def note_dropped(self, run: Run) -> None:
        """Count a run of which nothing is recorded."""
        word = _DROPS.get(run.cause) if run.cause is not None else None

        if word is not None and "." not in run.id:
            with self._lock:
                self._counted[word] = self._counted.get(word, 0) + 1

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
