"""Runs: what the jobs of a test came to, and the error of one as the test's own."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, NoReturn

from aioq.client.job import Job
from aioq.values.outcome import Failed, Finished, Interrupted, Outcome, Retried
from aioq.worker.run import Cause, Run
from aioq.worker.tracebacks import error_line, exc_info

#: How many jobs a note of an error names.
JOBS_NAMED = 10


@dataclass(frozen=True, slots=True)
class JobRun:
    """One run of a job in a test, as `run_until_idle` returns it. A job that was retried has several.

    Args:
        job: the job, as it was stored when the last run had ended.
        attempt: the number of the run among those that count; the first is 1.
        outcome: "finished", "failed", "retried", "given back" (it did not run to its end, and runs again), or why
            the run was ended: "canceled", "stopped", "deleted", "lost".
        result: what the function returned, through the serializer and back; None if the run has not finished.
        error: what the function raised; None if it raised nothing.

    """

    job: Job[Any]
    attempt: int
    outcome: str
    result: Any = None
    error: BaseException | None = None

    def __repr__(self) -> str:
        shown = f" {self.result!r}" if self.outcome == "finished" else ""
        shown = f" {error_line(self.error)}" if self.error is not None else shown

        return f"<JobRun {self.job.description} {self.outcome}{shown}>"


class Ended(NamedTuple):
    """A run that is over, as the worker tells it."""

    run: Run
    outcome: Outcome | None
    error: BaseException | None

    @property
    def word(self) -> str:
        """The outcome as `JobRun` names it."""
        if isinstance(self.outcome, Finished):
            return "finished"

        if isinstance(self.outcome, Failed | Retried):
            return "failed" if isinstance(self.outcome, Failed) else "retried"

        return (
            "given back" if isinstance(self.outcome, Interrupted) else (self.run.cause or Cause.LOST).name.lower()
        )

    def result(self) -> Any:
        """What the function returned, through the serializer and back."""
        if not isinstance(self.outcome, Finished):
            return None

        return self.run.claim.record.as_ended("finished", self.outcome.result).result()

    def as_run(self, job: Job[Any]) -> JobRun:
        """The run, with its job as that is stored now."""
        return JobRun(job, self.run.claim.record.attempt, self.word, self.result(), self.error)


class Record:
    """The runs of a worker that have ended, in the order of their ends."""

    def __init__(self) -> None:
        self.ended: list[Ended] = []

    def note(self, run: Run, outcome: Outcome | None) -> None:
        """A run has ended. One that was given back before it began was none. For the worker."""
        if not isinstance(outcome, Interrupted) or outcome.begun:
            self.ended.append(Ended(run, outcome, run.error))

    def raise_first(self) -> None:
        """Raise what the first job has failed with, if one has."""
        __tracebackhide__ = True
        # A run after which its job runs again in its series has failed; the job has not.
        failed = [each for each in self.ended if type(each.outcome) is Failed and each.error is not None]

        if failed:
            raise_error(failed[0], failed[1:])


def raise_error(ended: Ended, others: Sequence[Ended] = ()) -> NoReturn:
    """Raise the error of a run in a test, with the frames of the job.

    Args:
        ended: the run. It has an error.
        others: runs that have failed, too; the error has a note of them.

    """
    __tracebackhide__ = True
    assert ended.error is not None
    _, error, trace = exc_info(ended.error)
    notes = [f"raised by {ended.run.named}"]

    if others:
        named = ", ".join(each.run.named for each in others[:JOBS_NAMED])
        notes.append(f"{len(others)} more failed: {named}{', …' if len(others) > JOBS_NAMED else ''}")

    if not isinstance(error, Exception):  # SystemExit, say: it would end the tests
        ended_by = AssertionError(f"{ended.run.named} has ended by {type(error).__qualname__}: {error}")

        raise ended_by from error.with_traceback(trace)

    for note in notes:
        if note not in getattr(error, "__notes__", ()):
            error.add_note(note)

    raise error.with_traceback(trace)
