"""Telling: what a worker's log says of the jobs that it runs. The executor tells it of each run, at one place.

At the usual level a job that finishes costs nothing: `jobs` says whether lines about every job are wanted, which
is looked up once a second. Failures are always told. Both are bounded, so that neither a fast queue nor a storm of
failures drowns the log or slows the worker down.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from functools import lru_cache
from types import TracebackType
from typing import Any

from aioq.values.errors import RemoteError
from aioq.values.numbers import count
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, Retried
from aioq.values.summary import summary
from aioq.worker.run import Run

log = logging.getLogger("aioq.worker")

#: Lines about jobs that begin or finish, in a second. If there are more, they are summed up until there are fewer.
LINES = 40

#: Failures that are told one by one: so many at once, and so many in each second.
FAILURES_AT_ONCE = 100
FAILURES = 10

#: How often the level of the log is looked up, and how often what was left out is told, in seconds.
LOOK_S = 1.0
SUM_S = 10.0

#: Jobs that a shutdown gives back and names.
NAMED = 10


class RemoteTraceback(Exception):
    """The traceback of an exception that was raised in another process."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


class Telling:
    """What the log says of the runs of one worker.

    Args:
        log_jobs: tell of every job at the level INFO, and not at DEBUG.

    """

    def __init__(self, *, log_jobs: bool = False) -> None:
        self.jobs = False
        self.finished: Callable[[], int] = lambda: 0  # how many jobs have finished; the executor counts them
        self._level = logging.INFO if log_jobs else logging.DEBUG
        self._is_bounded = True
        self._lines = LINES
        self._summing: tuple[float, int] | None = None  # since when, and how many had finished
        self._seen = 0
        self._failures = FAILURES_AT_ONCE
        self._left_out = [0, 0]  # failures that are final, and others
        self._left_out_since = 0.0
        self._left_out_before = 0
        self._is_stopping = False
        self._back: list[Run] = []
        self.look()

    def look(self) -> None:
        """Look up whether lines about every job are wanted. With the level DEBUG, nothing is left out."""
        self._is_bounded = not log.isEnabledFor(logging.DEBUG)

        if not self._is_bounded:
            self._conclude(time.monotonic())

        self.jobs = self._summing is None and log.isEnabledFor(self._level)

    def began(self, run: Run) -> None:
        """A run begins. To be called only if `jobs` says so."""
        attempt = run.claim.record.attempt
        again = f", attempt {attempt}" if attempt > 1 else ""
        self._tell(self._level, "job %s begins%s: %s of queue %s", run, again)
        self._use_line()

    def ended(self, run: Run, outcome: Outcome | None) -> None:
        """A run has ended. To be called if it has an error, or if `jobs` says so."""
        error, run.error = run.error, None
        after = f" {_after(run)}" if run.started_at else ""

        if error is not None and isinstance(outcome, Failed | Retried):
            self._failed(run, outcome, error, after)
        elif self.jobs:
            if isinstance(outcome, Finished):
                what = f"finished{after.replace('after', 'in')}"
            elif isinstance(outcome, Interrupted):
                what = f"goes back to its queue{after}"
            elif isinstance(outcome, Retried):
                what = f"asked{after} to run again, in {_seconds(outcome.delay_ms / 1000)}"
            else:
                what = f"was ended{after}: it was canceled, stopped or deleted, or its claim was lost"

            self._tell(self._level, "job %s %s: %s of queue %s", run, what, outcome=_word(outcome))
            self._use_line()

    def begin_stop(self) -> None:
        """From now on, what goes back does so for a shutdown."""
        self._is_stopping = True

    def went_back(self, run: Run) -> None:
        """A job goes back to its queue."""
        if self._is_stopping:
            self._back.append(run)

    def close(self, worker: str) -> None:
        """No run will come any more: say what went back, and what was left out."""
        now = time.monotonic()
        self._conclude(now)
        self._tell_left_out(now)

        if self._back:
            named = [f"{_plain(run.id)} ({_plain(run.claim.record.func_name)})" for run in self._back[:NAMED]]
            more = len(self._back) - len(named)
            log.info(
                "worker %s: %s %s: %s%s",
                worker,
                count(len(self._back), "job"),
                "goes back to its queue" if len(self._back) == 1 else "go back to their queues",
                ", ".join(named),
                f" and {more} more" if more else "",
                extra={"worker": worker},
            )
            self._back.clear()

    async def keep(self) -> None:
        """Look up the level, and tell what was left out, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            self._turn(time.monotonic())

    def _turn(self, now: float) -> None:
        finished, left_out = self.finished(), sum(self._left_out)
        is_calm = finished - self._seen < LINES / 2

        if self._summing is None:
            self._lines = LINES
        elif is_calm or now - self._summing[0] >= SUM_S:
            self._conclude(now, goes_on=not is_calm)

        if left_out and (left_out == self._left_out_before or now - self._left_out_since >= SUM_S):
            self._tell_left_out(now)

        self._failures = min(FAILURES_AT_ONCE, self._failures + FAILURES)
        self._seen, self._left_out_before = finished, sum(self._left_out)
        self.look()

    def _use_line(self) -> None:
        """From the last line of this second on, jobs are counted only."""
        self._lines -= 1

        if self._is_bounded and self._lines <= 0:
            self._summing, self.jobs = (time.monotonic(), self.finished()), False

    def _conclude(self, now: float, *, goes_on: bool = False) -> None:
        """Tell how many jobs have finished since they are counted only."""
        if self._summing is None:
            return

        since, before = self._summing
        finished = self.finished()

        if number := finished - before:
            plural = "" if number == 1 else "s"
            log.log(self._level, "finished %s job%s in %s", f"{number:,}", plural, _seconds(now - since))

        self._summing = (now, finished) if goes_on else None
        self._lines = LINES

    def _failed(self, run: Run, outcome: Failed | Retried, error: BaseException, after: str) -> None:
        is_final = isinstance(outcome, Failed)

        if self._is_bounded and not self._failures:
            self._left_out_since = self._left_out_since or time.monotonic()
            self._left_out[not is_final] += 1

            return

        self._failures -= self._is_bounded
        attempts = _attempts(run)

        if isinstance(outcome, Retried):
            attempts += f", again in {_seconds(outcome.delay_ms / 1000)}"

        self._tell(
            logging.ERROR if is_final else logging.WARNING,
            "job %s failed%s: %s of queue %s: %s",
            run,
            f"{after}{attempts}",
            error=error,
            outcome=_word(outcome),
        )

    def _tell_left_out(self, now: float) -> None:
        final, others = self._left_out

        if final or others:
            log.log(
                logging.ERROR if final else logging.WARNING,
                "%s of jobs in %s %s left out here, %s of them final",
                f"{final + others:,} more failure{'' if final + others == 1 else 's'}",
                _seconds(now - self._left_out_since),
                "was" if final + others == 1 else "were",
                f"{final:,}",
            )

        self._left_out, self._left_out_since = [0, 0], 0.0

    def _tell(
        self, level: int, words: str, run: Run, what: str, *, error: BaseException | None = None, outcome: str = ""
    ) -> None:
        """Log one record. Whatever handlers and filters of the application do, the run goes on to its end."""
        if not log.isEnabledFor(level):
            return

        record = run.claim.record
        values: list[str] = [_plain(run.id), what, _plain(record.func_name), run.store.queue]
        extra = attributes(run)

        if outcome:
            extra |= {"outcome": outcome, "duration": _duration(run)}

        try:
            if error is None:
                log.log(level, words, *values, extra=extra)
            else:
                log.log(level, words, *values, error_line(error), exc_info=exception(error), extra=extra)
        except BaseException:  # noqa: BLE001, S110 - a filter's error, or what a job's exception does when it is shown
            pass


def attributes(run: Run) -> dict[str, Any]:
    """The attributes of a record about a run."""
    record = run.claim.record

    return {
        "job_id": run.id,
        "queue": run.store.queue,
        "func": record.func_name,
        "attempt": record.attempt,
        "worker": record.worker,
    }


def tell_of_failure(job_id: str, func: str | None, queue: str, error: Exception, worker: str | None) -> None:
    """A job fails for what happened outside of its run: its result could not be delivered, say."""
    call = f"{_plain(func)} of queue {queue}" if func else f"queue {queue}"
    extra = {"job_id": job_id, "queue": queue, "func": func, "worker": worker, "outcome": "failed"}
    log.error("job %s failed: %s: %s", _plain(job_id), call, error_line(error), exc_info=error, extra=extra)


def error_line(error: BaseException) -> str:
    """An exception as one line: its class, and the first line of its message."""
    return _plain(": ".join(filter(None, summary(error))))


def exception(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An exception as `exc_info`, without the frames of the worker; one of another process is built again."""
    if isinstance(error, RemoteError):
        error = rebuilt(error)

    return type(error), error, user_frames(error)


def user_frames(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the user's first frame on: they begin after the last one of the worker."""
    own = frames = error.__traceback__

    while own is not None:
        if own.tb_frame.f_globals.get("__name__", "").startswith("aioq.worker"):
            frames = own.tb_next

        own = own.tb_next

    return frames


def rebuilt(error: RemoteError) -> BaseException:
    """An exception with the name and the message of the one that was raised in another process.

    Its cause has the traceback. Its class is made for it: the job's own may not be there, and is not looked for.
    """
    name, message = summary(error)

    try:
        again = _class_named(name)(message)
    except (ValueError, TypeError):  # no name for a class
        again = Exception(f"{_plain(name)}: {message}")

    again.__cause__ = RemoteTraceback(error.text)

    return again


@lru_cache(maxsize=256)
def _class_named(name: str) -> type[Exception]:
    module, _, bare = name.rpartition(".")

    return type(bare, (Exception,), {"__module__": module or "builtins"})


def _attempts(run: Run) -> str:
    """Which attempt of how many it was, if there may be several."""
    try:
        record = run.claim.record
        policy = record.retry

        return "" if policy is None else f", attempt {record.attempt} of {policy.max + 1}"
    except Exception:  # noqa: BLE001 - it is damaged, or another version wrote it
        return ""


def _duration(run: Run) -> float | None:
    return round(asyncio.get_running_loop().time() - run.started_at, 6) if run.started_at else None


def _after(run: Run) -> str:
    return f"after {_seconds(_duration(run) or 0.0)}"


def _word(outcome: Outcome | None) -> str:
    return "ended" if outcome is None else type(outcome).__name__.lower()


def _seconds(value: float) -> str:
    """Seconds as people read them.

    Example:
        >>> _seconds(0.0123), _seconds(2.0), _seconds(61.25)
        ('0.012 s', '2 s', '61.2 s')

    """
    return f"{value:.{1 if value >= 1 else 3}f}".rstrip("0").rstrip(".") + " s"


def _plain(text: str) -> str:
    """The text without characters that would begin a line, or that a terminal would obey."""
    if text.isprintable():
        return text

    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)
