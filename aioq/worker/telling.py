"""Telling: what a worker's log says of the jobs that it runs. Slots tells it of each end of a run, at one place.

At the usual level a job that finishes costs nothing: `jobs` says whether lines about every job are wanted, and is
renewed once a second. Failures are always logged. Both are bounded, so that neither a fast queue nor a storm of
failures drowns the log or slows the worker down.
"""

from __future__ import annotations

import asyncio
import logging
import time

from aioq.values.numbers import count
from aioq.values.outcome import Failed, FailedRun, Finished, Interrupted, Outcome, Retried
from aioq.values.retrying import NO_ATTEMPT_LEFT, RetryRequested, count_of
from aioq.values.summary import printable
from aioq.worker.lines import warn_of_options
from aioq.worker.run import Cause, Run, attributes
from aioq.worker.tracebacks import error_line, exc_info

log = logging.getLogger("aioq.worker")

#: Lines about jobs that begin or finish, in a second. If there are more, they are summed up until there are fewer.
LINES_PER_S = 40

#: Failures that are logged one by one: so many at once, and so many in each second.
FAILURES_AT_ONCE = 100
FAILURES_PER_S = 10

#: How often the level of the log is checked, and after how long sums are logged at the latest, in seconds.
LEVEL_CHECK_S = 1.0
SUMMARY_S = 10.0

#: How many of the jobs that a shutdown gives back are named.
JOBS_NAMED = 10

#: A line about a run: the function, what it did, its queue and its id.
_WORDS = "%s %s (queue %s, job %s)"
_FAILURE = f"{_WORDS}: %s"


class Telling:
    """Writes to the log about the runs of one worker.

    Args:
        log_jobs: log every job at the level INFO, and not at DEBUG.

    """

    def __init__(self, *, log_jobs: bool = False) -> None:
        self.jobs = False
        self.finished = 0  # how many jobs have finished. Slots counts them here, without a call
        self._level = logging.INFO if log_jobs else logging.DEBUG
        self._is_bounded = True
        self._lines = LINES_PER_S
        self._summing: tuple[float, int] | None = None  # since when sums replace lines, and how many had finished
        self._seen = 0
        self._failures = FAILURES_AT_ONCE
        self.asked = 0  # how many runs have asked to be run again
        self._left_out = [0, 0, 0]  # failures that are final, others, and runs that asked to run again
        self._left_out_since = 0.0
        self._left_out_before = 0
        self._is_stopping = False
        self._back: list[Run] = []
        self.check_level()

    def check_level(self) -> None:
        """Check whether lines about every job are wanted. With the level DEBUG, nothing is left out."""
        warn_of_options()
        self._is_bounded = not log.isEnabledFor(logging.DEBUG)

        if not self._is_bounded:
            self._log_sum(time.monotonic())

        self.jobs = self._summing is None and log.isEnabledFor(self._level)

    def began(self, run: Run) -> None:
        """A run begins. Called only if `jobs` says so."""
        attempt = run.claim.record.attempt
        again = f", attempt {attempt}" if attempt > 1 else ""
        self._log(self._level, run, f"begins{again}")
        self._use_line()

    def ended(self, run: Run, outcome: Outcome | None) -> None:
        """A run has ended. Called if it has an error, or if `jobs` says so."""
        error, run.error = run.error, None
        took = _duration(run)
        after = "" if took is None else f" after {_seconds(took)}"

        if error is not None and isinstance(outcome, Failed | Retried):
            self._failed(run, outcome, error, after)
        elif self.jobs:
            if isinstance(outcome, Finished):
                what = f"finished{after.replace('after', 'in')}"
            elif isinstance(outcome, Interrupted):
                what = f"goes back to its queue{after}"
            else:
                what = f"{(run.cause or Cause.LOST).value}{after}"

            self._log(self._level, run, what, outcome=_outcome_name(outcome))
            self._use_line()

    def begin_stop(self) -> None:
        """From now on, jobs go back because the worker shuts down."""
        self._is_stopping = True

    def went_back(self, run: Run) -> None:
        """A job goes back to its queue."""
        if self._is_stopping:
            self._back.append(run)

    def close(self, worker: str) -> None:
        """No run will come any more: log what went back, and what was left out."""
        now = time.monotonic()
        warn_of_options()
        self._log_sum(now)
        self._log_left_out(now)

        if self._back:
            more = max(0, len(self._back) - JOBS_NAMED)
            log.info(
                "worker %s: %s %s: %s%s",
                worker,
                count(len(self._back), "job"),
                "goes back to its queue" if len(self._back) == 1 else "go back to their queues",
                ", ".join(run.named for run in self._back[:JOBS_NAMED]),
                f" and {more} more" if more else "",
                extra={"worker": worker},
            )
            self._back.clear()

    async def run(self) -> None:
        """Check the level, and log what was left out, once a second until it is cancelled."""
        while True:
            await asyncio.sleep(LEVEL_CHECK_S)
            self._tick(time.monotonic())

    def _tick(self, now: float) -> None:
        finished, left_out = self.finished, sum(self._left_out)
        is_calm = finished - self._seen < LINES_PER_S / 2

        if self._summing is None:
            self._lines = LINES_PER_S
        elif is_calm or now - self._summing[0] >= SUMMARY_S:
            self._log_sum(now, goes_on=not is_calm)

        if left_out and (left_out == self._left_out_before or now - self._left_out_since >= SUMMARY_S):
            self._log_left_out(now)

        self._failures = min(FAILURES_AT_ONCE, self._failures + FAILURES_PER_S)
        self._seen, self._left_out_before = finished, sum(self._left_out)
        self.check_level()

    def _use_line(self) -> None:
        """After the last line that this second allows, jobs are only counted."""
        self._lines -= 1

        if self._is_bounded and self._lines <= 0:
            self._summing, self.jobs = (time.monotonic(), self.finished), False

    def _log_sum(self, now: float, *, goes_on: bool = False) -> None:
        """Log how many jobs have finished since lines about them stopped."""
        if self._summing is None:
            return

        since, before = self._summing
        finished = self.finished

        if number := finished - before:
            plural = "" if number == 1 else "s"
            log.log(self._level, "finished %s job%s in %s", f"{number:,}", plural, _seconds(now - since))

        self._summing = (now, finished) if goes_on else None
        self._lines = LINES_PER_S

    def _failed(self, run: Run, outcome: Failed | Retried, error: BaseException, after: str) -> None:
        is_final = isinstance(outcome, Failed)
        is_asked = not is_final and isinstance(error, RetryRequested)
        self.asked += is_asked

        if self._is_bounded and not self._failures:
            self._left_out_since = self._left_out_since or time.monotonic()
            self._left_out[0 if is_final else 2 if is_asked else 1] += 1

            return

        self._failures -= self._is_bounded
        attempts = _attempts(run, error)

        if isinstance(outcome, Failed):
            refused = _refused(outcome, error)
            goes_on = ", and runs again in its series" if isinstance(outcome, FailedRun) else ""
            self._log(
                logging.ERROR,
                run,
                f"failed{after}{attempts}{refused}{goes_on}",
                error=error,
                outcome=_outcome_name(outcome),
            )

            return

        again = f"in {_seconds(outcome.delay_ms / 1000)}" if outcome.delay_ms else "at once"

        if is_asked:  # it has not failed
            self._log(
                logging.INFO, run, f"asked{after}{attempts}, to run again {again}", outcome=_outcome_name(outcome)
            )
        else:
            level = logging.ERROR if _has_advice(error) else logging.WARNING
            self._log(
                level, run, f"failed{after}{attempts}, again {again}", error=error, outcome=_outcome_name(outcome)
            )

    def _log_left_out(self, now: float) -> None:
        final, others, asked = self._left_out

        if number := final + others + asked:
            noun = "run" if asked else "failure"
            log.log(
                logging.ERROR if final else logging.WARNING if others else logging.INFO,
                "%s of jobs%s in %s %s left out here, %s of them final",
                f"{number:,} more {noun}{'' if number == 1 else 's'}",
                " that failed or asked to run again" if asked else "",
                _seconds(now - self._left_out_since),
                "was" if number == 1 else "were",
                f"{final:,}",
            )

        self._left_out, self._left_out_since = [0, 0, 0], 0.0

    def _log(
        self, level: int, run: Run, what: str, *, error: BaseException | None = None, outcome: str = ""
    ) -> None:
        """Log one record. Whatever the handlers and filters of the application do, the run is recorded."""
        if not log.isEnabledFor(level):
            return

        values = [printable(run.claim.record.func_name), what, run.store.queue, printable(run.id)]
        extra = attributes(run)

        if outcome:
            extra |= {"outcome": outcome, "duration": _duration(run)}

        try:
            if error is None:
                log.log(level, _WORDS, *values, extra=extra)
            else:
                log.log(level, _FAILURE, *values, error_line(error), exc_info=exc_info(error), extra=extra)
        except BaseException:  # noqa: BLE001, S110 - a filter may raise, and a job's exception when it is printed
            pass


def tell_of_failure(job_id: str, func: str | None, queue: str, error: Exception, worker: str | None) -> None:
    """A job fails for something outside of its run: its result could not be delivered, say."""
    extra = {"job_id": job_id, "queue": queue, "func": func, "worker": worker, "outcome": "failed"}
    values = [printable(func or "a job"), "failed", queue, printable(job_id), error_line(error)]
    log.error(_FAILURE, *values, exc_info=error, extra=extra)


def tally(runs: int, finished: int, failed: int, asked: int) -> str:
    """What a worker has done, for the last line of its log.

    Example:
        >>> tally(3, 2, 1, 0), tally(0, 0, 0, 0)
        ('3 runs of jobs: 2 finished, 1 failed', 'it ran no job')

    """
    others = max(0, runs - finished - failed - asked)
    parts = [
        (finished, "finished"),
        (failed, "failed"),
        (asked, "asked to run again"),
        (others, "given back or ended from outside"),
    ]
    numbers = ", ".join(f"{number:,} {word}" for number, word in parts if number)

    return f"{count(runs, 'run')} of jobs: {numbers}" if runs else "it ran no job"


def _attempts(run: Run, error: BaseException) -> str:
    """Which attempt of how many it was, if there may be several."""
    try:
        record = run.claim.record
        policy = error.retry if isinstance(error, RetryRequested) else record.retry

        return "" if policy is None else f", attempt {count_of(policy, record.attempt)}"
    except Exception:  # noqa: BLE001 - it is damaged, or another version wrote it
        return ""


def _refused(outcome: Failed, error: BaseException) -> str:
    """Why a run that failed for good is not retried, behind a comma, if nothing else in the line says so."""
    is_told = isinstance(error, RetryRequested) or outcome.refusal in ("", NO_ATTEMPT_LEFT)

    return "" if is_told else f", not retried: {outcome.refusal}"


def _has_advice(error: BaseException) -> bool:
    """Whether it is the first job whose module is missing here: the worker was started in the wrong way then."""
    return bool(getattr(error, "missing", "") and getattr(error, "__notes__", None))


def _duration(run: Run) -> float | None:
    """How long the function ran, in seconds; None if it was not called.

    A thread measures it itself. The end of any other call is noticed on the event loop.
    """
    if not run.begun:
        return None

    if run.thread_call is not None and run.thread_call.seconds is not None:
        return round(run.thread_call.seconds, 6)

    return round(asyncio.get_running_loop().time() - run.started_at, 6)


def _outcome_name(outcome: Outcome | None) -> str:
    return "ended" if outcome is None else type(outcome).__name__.removesuffix("Run").lower()


def _seconds(value: float) -> str:
    """Seconds as people read them; a time of nothing is shown as the shortest one.

    Example:
        >>> _seconds(0.0123), _seconds(2.0), _seconds(61.25), _seconds(0.00031), _seconds(0.0)
        ('0.012 s', '2 s', '61.2 s', '0.0003 s', '0.0001 s')

    """
    value = max(value, 0.0001)
    digits = 1 if value >= 1 else 3 if value >= 0.001 else 4

    return f"{value:.{digits}f}".rstrip("0").rstrip(".") + " s"
