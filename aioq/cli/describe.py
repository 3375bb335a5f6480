"""A job in words. Unreadable values (code is missing, bytes are damaged) are named and raise nothing."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from aioq.cli import words
from aioq.cli.output import Table, age, as_json, moment, one_line
from aioq.client.job import Job
from aioq.store.outbox import TAKER
from aioq.store.reads import MOST_FOLLOWERS
from aioq.values.calltext import call_text
from aioq.values.dependency import POLICIES, parent_in
from aioq.values.errors import DeserializationError, ResultNotKept
from aioq.values.group import read_place
from aioq.values.options import ROWS
from aioq.values.record import JobRecord
from aioq.values.result import Result
from aioq.values.signed import Unreadable
from aioq.values.webhook import Webhook, shown_arguments

#: The head of a column of times: when each job entered its state, or when a scheduled job is due.
SINCE = "since/due"
_HEADS = {"queued": "enqueued", "scheduled": "due", "started": "started"}


def describe(
    job: Job[Any],
    runs: Sequence[Result],
    dependents: Sequence[tuple[str, float]] = (),
    children: Sequence[str] = (),
) -> dict[str, Any]:
    """Everything known about a job, as JSON values.

    Args:
        job: the job.
        runs: its earlier runs, the last one first.
        dependents: the jobs that depend on it, each with the number of its policy.
        children: its children that have not finished.

    """
    record = job.record
    unreadable: list[str] = []
    call = _read(partial(record.call, plain=True), unreadable)
    meta = {name: _known(name, value, unreadable) for name, value in record.meta.items()}
    options = _options(record)

    if call is not None and record.is_webhook:
        call = call[0], tuple(shown_arguments(call[1])), {}

    return {
        "id": job.id,
        "queue": job.origin,
        "status": str(job.status),
        "group": _group(job),
        "function": job.func_name,
        "call": call_text(record),
        "description": options.pop("description"),
        "args": None if call is None else [as_json(value) for value in call[1]],
        "kwargs": None if call is None else {name: as_json(value) for name, value in call[2].items()},
        "meta": meta,
        "tags": list(job.tags),
        **_relations(record, dependents, children),
        "reason": record.reason,
        "callbacks": job.callbacks,
        "webhooks": [_webhook(webhook) for webhook in job.webhooks],
        "follows": job.followed_id,
        "attempt": job.attempt,
        "deliveries": job.deliveries,
        "repeats": job.repeats,
        "repeats_left": job.repeats_left,
        **options,
        **_moments(job),
        "worker": job.worker_name,
        "result": as_json(_read(partial(record.result, plain=True), unreadable)),
        "error_type": job.error_type,
        "error_message": job.error_message,
        "fingerprint": job.fingerprint,
        "error": job.exc_info,
        "unreadable": unreadable,
        "runs": [_run(run) for run in runs],
    }


def _moments(job: Job[Any]) -> dict[str, Any]:
    return {
        "created_at": moment(job.created_at),
        "enqueued_at": moment(job.enqueued_at),
        "scheduled_at": moment(job.scheduled_at),
        "expires_at": moment(job.expires_at),
        "started_at": moment(job.started_at),
        "ended_at": moment(job.ended_at),
    }


def _webhook(webhook: Webhook) -> dict[str, Any]:
    """What is shown of a webhook. Its headers may have passwords."""
    shown = {"url": webhook.url, "events": list(webhook.events), "timeout": webhook.timeout}

    return shown if webhook.secret is None else shown | {"secret": webhook.secret}


def _edge(letter: str, name: str) -> str:
    """A job that another one depends on, with the policy if it is not the usual one."""
    policy = next((each for each in POLICIES if each[0] == letter), letter)

    return name if policy == POLICIES[0] else f"{name} ({policy} on failure)"


def _relations(
    record: JobRecord, dependents: Sequence[tuple[str, float]], children: Sequence[str]
) -> dict[str, Any]:
    """The jobs that it waits for or belongs to, and those that wait for it or belong to it."""
    return {
        "depends_on": [_edge(letter, name) for letter, name in record.edges],
        "dependents": _bounded([_dependent(name, number) for name, number in dependents]),
        "child_of": parent_in(record.fields.get(b"after", b"")),
        "children": _bounded(children),
    }


def _group(job: Job[Any]) -> str | None:
    """The name of its group, with the queue that keeps it if that is another one."""
    place = read_place(job.record.fields.get(b"after", b""))

    return f"{place.group}@{place.home}" if place is not None and place.home else job.group_id


def _dependent(name: str, number: float) -> str:
    """A job that depends on this one, with the policy if it is not the usual one."""
    if number == TAKER:
        return f"{name} (takes the result)"

    policy = POLICIES[int(number)] if 0 <= number < len(POLICIES) else POLICIES[0]

    return _edge(policy[0], name)


def _bounded(names: Sequence[str]) -> list[str]:
    return [*names[:MOST_FOLLOWERS], "and others"] if len(names) > MOST_FOLLOWERS else list(names)


def describe_text(facts: dict[str, Any], *, on_terminal: bool = False) -> str:
    """The facts of `describe`, one on a line, without empty ones.

    Args:
        facts: the facts.
        on_terminal: write durations, times and the rule of a retry in words.

    """
    parts = [("", facts), *((f"\nearlier run, {one_line(run['outcome'])}", run) for run in facts["runs"])]
    shown = [
        (
            head,
            {
                name: value
                for name, value in part.items()
                if name not in ("runs", "outcome") and _says(name, value)
            },
        )
        for head, part in parts
    ]
    width = max(len(name) for _, part in shown for name in part) + 2
    lines: list[str] = []

    for head, part in shown:
        lines += [head] if head else []
        lines += [
            _line(name, _in_words(name, value) if on_terminal else value, width) for name, value in part.items()
        ]

    return "\n".join(lines)


def read_result(record: JobRecord) -> Any:
    """What a run has returned; None for what cannot be read here."""
    return _read(partial(record.result, plain=True), [])


def row(job: Job[Any]) -> dict[str, Any]:
    """A job in a list, as JSON values."""
    return {
        "id": job.id,
        "status": str(job.status),
        "function": job.func_name,
        "call": call_text(job.record),
        "description": job.record.description,
        "tags": list(job.tags),
        "attempt": job.attempt,
        "created_at": moment(job.created_at),
        "scheduled_at": moment(job.scheduled_at),
        "started_at": moment(job.started_at),
        "ended_at": moment(job.ended_at),
        "worker": job.worker_name,
        "error_type": job.error_type,
        "error_message": job.error_message,
        "error": error_line(job),
    }


def list_table(jobs: Sequence[Job[Any]]) -> Table:
    """A list of jobs for a pipe."""
    columns = ["id", "status", SINCE, "call", "note"]

    return Table(
        columns, [[job.id, str(job.status), moment(_when(job)), call_text(job.record), _note(job)] for job in jobs]
    )


def short_list_table(jobs: Sequence[Job[Any]]) -> Table:
    """A list of jobs for a terminal."""
    rows = [
        [
            job.id,
            str(job.status),
            age(_when(job)),
            "\n".join(filter(None, (one_line(call_text(job.record)), _note(job)))),
        ]
        for job in jobs
    ]

    return Table(["id", "status", _head(jobs), "job"], rows, wraps=["job"])


def _note(job: Job[Any]) -> str:
    """Its error, else its description, else the worker that runs it."""
    if (error := error_line(job)) is not None:
        return error

    if job.is_deferred:
        return one_line(f"after {', '.join(job.dependency_ids)}")

    return one_line(job.record.description or job.record.reason or (job.is_started and job.worker_name) or "")


def error_line(job: Job[Any]) -> str | None:
    """The error on one line that is safe on a terminal: the class and the first line of the message."""
    return None if job.record.failure is None else one_line(job.record.failure.line)


def _head(jobs: Sequence[Job[Any]]) -> str:
    """The name of the times of `_when`."""
    heads = {_HEADS.get(str(job.status), "ended") for job in jobs}

    if len(heads) == 1:
        return heads.pop()

    return SINCE if "due" in heads else "since"


def _when(job: Job[Any]) -> datetime | None:
    """When the job entered its state; for a scheduled job, when it is due."""
    if job.is_scheduled:
        return job.scheduled_at

    if job.is_deferred:
        return job.created_at

    return job.ended_at or (job.started_at if job.is_started else job.enqueued_at)


def _read(read: Callable[[], Any], unreadable: list[str]) -> Any:
    try:
        return read()
    except ResultNotKept:
        return None
    except DeserializationError as error:
        unreadable.append(str(error))

        return None


def _known(name: str, value: object, unreadable: list[str]) -> object:
    if not isinstance(value, Unreadable):
        return as_json(value)

    unreadable.append(f"meta {name}: {value.reason}")

    return None


def _run(run: Result) -> dict[str, Any]:
    return {
        "outcome": run.type,
        "worker": run.worker_name,
        "started_at": moment(run.started_at),
        "ended_at": moment(run.ended_at),
        "result": as_json(run.value),
        "error_type": run.error_type,
        "error_message": run.error_message,
        "error": run.exc_info,
    }


def _options(record: JobRecord) -> dict[str, Any]:
    """The options that are shown: those that are durations after the others."""
    rows = [(row, row.shown) for row in ROWS if row.shown is not None]
    found: dict[str, Any] = {}

    for row, shown in sorted(rows, key=lambda each: each[1].words in _DURATIONS):
        value = record.option(row)

        if found.get(shown.name) is None:
            found[shown.name] = value if value is None or shown.value is None else shown.value(value)

    return found


def _says(name: str, value: object) -> bool:
    """Whether a fact is worth a line."""
    return value not in (None, "", [], {}) and (name not in ("deliveries", "repeats") or value != 0)


_DURATIONS: dict[str, Callable[[Any], str]] = {
    "limit": words.limit,
    "duration": words.duration,
    "retention": words.retention,
}

#: How facts are written for people.
_WORDS: dict[str, Callable[[Any], str]] = {
    **dict.fromkeys(
        ("created_at", "enqueued_at", "scheduled_at", "expires_at", "started_at", "ended_at"), words.when
    ),
    "deliveries": lambda number: f"{number} (runs that ended because their worker did)",
    **{
        row.shown.name: (_DURATIONS | {"retry": words.retry, "repeat": words.repeat})[row.shown.words]
        for row in ROWS
        if row.shown is not None and row.shown.words
    },
}


def _in_words(name: str, value: Any) -> Any:
    try:
        return _WORDS[name](value) if name in _WORDS else value
    except (ValueError, TypeError, LookupError, ArithmeticError):  # the stored value is damaged
        return value


def _line(name: str, value: object, width: int) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    head = f"{name}:".ljust(width)

    if "\n" not in text.strip():
        return head + text.strip()

    return "\n    ".join([head.rstrip(), *text.strip().splitlines()])
