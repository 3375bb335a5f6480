"""Ends: how a job ended, as sentences. Nothing here knows a server."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

from aioq.values.audit import AuditEntry
from aioq.values.durations import FOREVER
from aioq.values.explanation import Reason, ReasonKind
from aioq.values.facts import JobFacts
from aioq.values.failure import Failure
from aioq.values.hindrances import at, command, job_command, moment, paused, span, unserved
from aioq.values.moments import moment_ms
from aioq.values.retrying import count_of
from aioq.values.states import JobStatus
from aioq.values.summary import printable

K = ReasonKind
S = JobStatus

#: What the errors of aioq mean that end a job, by the names of their classes.
_KINDS = {
    "aioq.errors.JobTimeout": K.TIMED_OUT,
    "aioq.errors.AbandonedJobError": K.WORKER_LOST,
    "aioq.errors.DependencyFailed": K.ENDED_BY_PARENT,
    "aioq.errors.FunctionNotAllowed": K.NOT_ALLOWED,
    "aioq.errors.DeserializationError": K.NOT_LOADED,
    "aioq.errors.BadSignature": K.NOT_LOADED,
}


def ended_states() -> dict[JobStatus, Callable[[JobFacts], Iterator[Reason]]]:
    """What explains each final state."""
    return {
        S.FINISHED: _finished,
        S.FAILED: _failed,
        S.CANCELED: _canceled,
        S.STOPPED: _stopped,
        S.EXPIRED: _expired,
    }


def not_loaded(failure: Failure | None) -> ReasonKind | None:
    """What a run means that failed before its function was called; None for any other run."""
    kind = None if failure is None else _kind(failure)

    return kind if kind in (K.NOT_ALLOWED, K.NOT_LOADED) else None


def _kind(failure: Failure) -> ReasonKind:
    # values/errors.py is where these classes stand; aioq.errors is where users import them from.
    name = (failure.type or "").replace("aioq.values.errors.", "aioq.errors.")

    return _KINDS.get(name, K.FAILED)


def _finished(facts: JobFacts) -> Iterator[Reason]:
    yield Reason(K.FINISHED, f"Its function returned{_when(facts)}.", data=_data(facts))


def _failed(facts: JobFacts) -> Iterator[Reason]:
    failure = facts.record.failure
    kind = K.FAILED if failure is None else _kind(failure)
    error = None if failure is None else printable(failure.line)
    data = {**_data(facts), "attempt": facts.record.attempt, "error": error}

    if kind == K.ENDED_BY_PARENT:
        yield _ended_by_parent(facts, "It failed", failure.message if failure else "", data)

        return

    told = {
        K.TIMED_OUT: f"It failed{_when(facts)}, since its run took too long",
        K.WORKER_LOST: f"It failed{_when(facts)}, since it was alone on one more worker that died",
        K.NOT_ALLOWED: f"It failed{_when(facts)}, since its worker may not run its function",
        K.NOT_LOADED: f"It failed{_when(facts)}, since what is stored of it could not be loaded",
    }.get(kind, f"It failed{_when(facts)}{_attempts(facts)}")
    yield Reason(kind, f"{told}{'' if error is None else f': {error}'}.", _cure(facts, kind), data)


def _cure(facts: JobFacts, kind: ReasonKind) -> str:
    again = job_command(facts, "job", "requeue")
    cures = {
        K.TIMED_OUT: "Give it a longer `timeout=`, or make it faster",
        K.WORKER_LOST: "See whether it ends its workers, by its memory or a crash",
        K.NOT_ALLOWED: "Restart its workers with a pattern that covers it,"
        f" {command('worker', facts.queue, '--allow', facts.record.func_name)}",
        K.NOT_LOADED: "Start its workers where the code is, and with the packages and the secret that it needs,"
        f" {command('worker', facts.queue, '--path', 'DIRECTORY')}",
    }
    cure = cures.get(kind, f"See the traceback, {job_command(facts, 'job', 'show')}")

    return f"{cure}. Then run it again: {again}"


def _attempts(facts: JobFacts) -> str:
    record = facts.record

    if record.retry is None or not record.attempt:
        return ""

    return f" in attempt {count_of(record.retry, record.attempt)}, and is not retried"


def _canceled(facts: JobFacts) -> Iterator[Reason]:
    record, data = facts.record, _data(facts)

    if b"waited_for" in record.fields or record.reason is not None:
        yield _ended_by_parent(facts, "It was canceled", record.reason or "", data)

        return

    act = _act(facts, "cancel")
    yield Reason(
        K.CANCELED,
        f"{_who(act)} canceled it{_when(facts)}{_why(act)}.",
        f"Run it after all: {job_command(facts, 'job', 'requeue')}",
        data | _of_act(act),
    )


def _ended_by_parent(facts: JobFacts, how: str, reason: str, data: dict[str, Any]) -> Reason:
    """By the policy of its edge to a job that did not finish."""
    waited_for = facts.record.fields.get(b"waited_for", b"").decode(errors="replace")
    parent, _, queue = waited_for.partition(" ")[0].partition("@")
    parent = parent.partition("#")[0]
    told = f": {printable(reason)}" if reason else ""
    text = f"{how}{_when(facts)}{told}."

    if not parent:
        remedy = f"Run it after all: {job_command(facts, 'job', 'requeue')}"
    else:
        both = command("job", "requeue", parent, "--dependents", "--queue", queue or facts.queue)
        remedy = f"Bring both back: {both}. Or run this one alone: {job_command(facts, 'job', 'requeue')}"

    data |= {"job": parent or None, "job_queue": queue or facts.queue}

    return Reason(K.ENDED_BY_PARENT, text, remedy, data)


def _stopped(facts: JobFacts) -> Iterator[Reason]:
    worker = facts.record.worker
    on = "" if worker is None else f" on worker {printable(worker)}"
    act = _act(facts, "stop")
    yield Reason(
        K.STOPPED,
        f"{_who(act)} stopped its run{on}{_when(facts)}{_why(act)}.",
        f"Run it again: {job_command(facts, 'job', 'requeue')}",
        _data(facts) | _of_act(act),
    )


def _expired_deferred(facts: JobFacts) -> Reason:
    limit = span(facts.record.deferred_ttl_ms or 0)

    return Reason(
        K.EXPIRED,
        f"It expired{_when(facts)}: it waited for other jobs for longer than its deferred_ttl of {limit}.",
        f"Give such jobs a longer `deferred_ttl=`. Run it after all: {job_command(facts, 'job', 'requeue')}",
        {**_data(facts), "deferred_ttl": (facts.record.deferred_ttl_ms or 0) / 1000},
    )


def _expired(facts: JobFacts) -> Iterator[Reason]:
    if facts.record.deferred_ttl_ms is not None and b"enqueued_at" not in facts.record.fields:
        yield _expired_deferred(facts)

        return

    ttl_ms = facts.record.ttl_ms
    limit = "" if ttl_ms is None else f" of {span(ttl_ms)}"
    yield Reason(
        K.EXPIRED,
        f"It expired{_when(facts)}: no worker started it within its ttl{limit}.",
        "Give such jobs a longer `ttl=`, or more workers."
        f" Run it after all: {job_command(facts, 'job', 'requeue')}",
        {**_data(facts), "ttl": None if ttl_ms in (None, FOREVER) else ttl_ms / 1000},
    )

    for hindrance in (paused, unserved):  # what holds the queue now may be what held this job
        yield from hindrance(facts)


def gone(facts: JobFacts) -> Reason:
    """There is no record of the job."""
    act, data = _act(facts, "delete", "empty"), {"is_recent": facts.is_recent}

    if act is not None:
        since, told = span(facts.now_ms - moment_ms(act.at, "at")), _of_act(act)

        return Reason(
            K.GONE,
            f"There is no record of it. {_who(act)} deleted it {since} ago{_why(act)}.",
            data={**data, "deleted_at": act.at, **told},
        )

    lately = " It went a moment ago." if facts.is_recent else ""

    return Reason(
        K.GONE,
        f"There is no record of it: it never was in this queue, it was deleted, or its retention is over.{lately}",
        "Keep results for longer: `result_ttl=` of the job",
        data,
    )


def _act(facts: JobFacts, *actions: str) -> AuditEntry | None:
    """What the audit tells of the act that has ended the job; None: nothing."""
    return next((each for each in facts.acts if each.action in actions), None)


def _who(act: AuditEntry | None) -> str:
    return "Someone" if act is None else printable(act.by)


def _why(act: AuditEntry | None) -> str:
    return f": {printable(act.reason)}" if act is not None and act.reason else ""


def _of_act(act: AuditEntry | None) -> dict[str, Any]:
    return {} if act is None else {"by": act.by, "source": act.source, "reason": act.reason or None}


def _when(facts: JobFacts) -> str:
    ended_ms = facts.record.ended_ms

    return f" {span(facts.now_ms - ended_ms)} ago, {at(ended_ms)}" if ended_ms else ""


def _data(facts: JobFacts) -> dict[str, Any]:
    return {"ended_at": moment(facts.record.ended_ms), "worker": facts.record.worker}
