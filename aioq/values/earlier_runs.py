"""Earlier runs: what they say of a job that is to run again, as sentences. Nothing here knows a server."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from aioq.values.ends import not_loaded
from aioq.values.explanation import Reason, ReasonKind
from aioq.values.facts import JobFacts, deaths_of
from aioq.values.hindrances import job_command, moment, span
from aioq.values.numbers import count
from aioq.values.retrying import count_of
from aioq.values.summary import printable

K = ReasonKind


def quarantine(facts: JobFacts) -> Iterator[Reason]:
    """It was on several workers that died."""
    lines = deaths_of(facts.record)
    lane = None if facts.place is None else facts.place.lane

    if len(lines) < 2:
        return

    told = ", ".join(f"{name} (with {count(beside, 'other job')})" for beside, name in lines[-10:])
    how = {
        "alone": "So it runs alone, on a worker without other jobs.",
        "suspects": "So it runs beside few other jobs.",
    }.get(lane or "", "")
    yield Reason(
        K.QUARANTINE,
        f"It is in quarantine: it was on {len(lines)} workers that died, {printable(told)}. {how}".strip(),
        f"See whether it ends its workers, by its memory or a crash: {job_command(facts, 'job', 'show')}."
        f" {job_command(facts, 'job', 'cancel')} takes it back",
        {"lane": lane, "workers": [name for _, name in lines], "beside": [beside for beside, _ in lines]},
    )


def last_run(facts: JobFacts) -> Iterator[Reason]:
    """What became of the run before, if that says something of the one that it waits for."""
    run = facts.last_run

    if run is None:
        return

    when = f" {span(facts.now_ms - run.ended_ms)} ago" if run.ended_ms else ""
    data = {"worker": run.worker, "ended_at": moment(run.ended_ms)}

    if run.outcome == "abandoned":
        yield Reason(
            K.WORKER_LOST,
            f"Its last run was lost{when}: worker {printable(run.worker)} died, or lost its lease. It runs again.",
            data=data,
        )
    elif run.outcome == "interrupted":
        yield Reason(
            K.GIVEN_BACK,
            f"Worker {printable(run.worker)} gave it back{when}, since it was shut down. It runs again.",
            data=data,
        )
    elif run.outcome in ("failed", "retried") and facts.record.attempt:
        yield _attempt_failed(facts, data)


def _attempt_failed(facts: JobFacts, data: Mapping[str, object]) -> Reason:
    record, run = facts.record, facts.last_run
    assert run is not None
    retry, failure = record.retry, run.failure or record.failure
    number = f" {count_of(retry, record.attempt)}" if retry is not None else f" {record.attempt}"
    told = "" if failure is None else f": {printable(failure.line)}"
    how = "asked to be run again" if run.outcome == "retried" else "failed"
    kind = not_loaded(failure)

    return Reason(
        kind or K.ATTEMPT_FAILED,
        f"Attempt{number} {how} on worker {printable(run.worker)}{told}.",
        f"See the traceback: {job_command(facts, 'job', 'show')}",
        {**data, "attempt": record.attempt, "error": None if failure is None else printable(failure.line)},
    )
