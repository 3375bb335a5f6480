"""Overview, queue, failures and workers: what was read as the rows of these pages. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aioq.cli.screen.layout import STYLES
from aioq.cli.screen.view import Column, Line, Page, Row, Section, Subject, View
from aioq.store.sight import QueueSight, wait_ms
from aioq.store.worker_info import WorkerInfo
from aioq.values.failure_group import FailureGroup
from aioq.values.record import JobRecord
from aioq.values.sizes import shown_size
from aioq.values.states import JobStatus
from aioq.values.statistics import QueueStatistics
from aioq.web.health import Concern
from aioq.web.rows import JobRow
from aioq.web.words import ago, count, duration, milliseconds, moment, number

#: The most sentences about what deserves a look.
MOST_CONCERNS = 4

#: How the word for how things stand looks.
_HEALTH = {"good": "bold green", "warn": "bold yellow", "bad": "bold red"}

_QUEUES = (
    Column("queue", grows=True),
    Column("waiting", is_right=True),
    Column("oldest", is_right=True),
    Column("in/min", is_right=True, is_spare=True),
    Column("out/min", is_right=True, is_spare=True),
    Column("running", is_right=True),
    Column("failed", is_right=True),
    Column("workers", is_right=True),
    Column("empty in", is_right=True, is_spare=True),
    Column("state"),
)
_JOBS = (
    Column("job", grows=True),
    Column("state"),
    Column("since", is_right=True),
    Column("call", grows=True),
    Column("error or note", grows=True),
)
_FAILURES = (
    Column("jobs", is_right=True),
    Column("last seen", is_right=True),
    Column("queue", is_spare=True),
    Column("function", grows=True),
    Column("error", grows=True),
)
_WORKERS = (
    Column("worker", grows=True),
    Column("state"),
    Column("slots", is_right=True),
    Column("ok", is_right=True),
    Column("failed", is_right=True),
    Column("lag", is_right=True),
    Column("memory", is_right=True),
    Column("version", is_spare=True),
    Column("queues", grows=True),
)
_RUNS = (
    Column("for", is_right=True),
    Column("waited", is_right=True),
    Column("queue"),
    Column("call", grows=True),
    Column("worker", grows=True),
    Column("job", grows=True, is_spare=True),
)


def clock(now_ms: int) -> str:
    """The time by the server's clock."""
    return f"{moment(now_ms)[11:19]} UTC"


def overview(facts: Mapping[str, Any], rates: Mapping[str, QueueStatistics]) -> View:
    """How things stand, the queues, and the jobs that failed last.

    Args:
        facts: what the dashboard's overview shows.
        rates: what queues have done in the last minutes, by their names; those that were asked for.

    """
    now_ms: int = facts["now_ms"]
    sights: Sequence[QueueSight] = facts["sights"]
    queues = tuple(_queue_row(sight, rates.get(sight.info.name), now_ms) for sight in sights)

    return View(
        Page.OVERVIEW,
        _top(facts, sights, rates),
        (
            Section(count(len(sights), "queue"), queues, _QUEUES, "There is no queue yet."),
            Section("Failed last", job_rows(facts["failed"], now_ms), _JOBS, "No job has failed."),
        ),
        read_at=clock(now_ms),
    )


def _top(
    facts: Mapping[str, Any], sights: Sequence[QueueSight], rates: Mapping[str, QueueStatistics]
) -> tuple[Line, ...]:
    """How things stand, in a sentence and in figures; then what else deserves a look."""
    word, grade = facts["headline"]
    concerns: Sequence[Concern] = facts["concerns"]
    first = f": {concerns[0].text}" if concerns else ": nothing deserves a look."
    lines = [Line(word + first, _HEALTH[grade]), Line(_figures(facts)), Line(_rates(sights, rates))]
    lines += [Line(f"Also: {each.text}") for each in concerns[1:MOST_CONCERNS]]

    if more := concerns[MOST_CONCERNS:]:
        lines.append(Line(f"{len(more)} more: `aioq info` and `aioq doctor` tell them.", "dim"))

    return tuple(lines)


def _figures(facts: Mapping[str, Any]) -> str:
    totals, now_ms = facts["totals"], facts["now_ms"]
    oldest = f" (oldest {duration(now_ms - facts['oldest_ms'])})" if facts["oldest_ms"] else ""
    busy, slots = facts["slots"]

    return (
        f"waiting {number(totals['queued'])}{oldest}  running {number(totals['started'])}"
        f"  slots {number(busy)}/{number(slots)}  failed {number(totals['failed'])}"
        f"  scheduled {number(totals['scheduled'])}  deferred {number(totals['deferred'])}"
    )


def _rates(sights: Sequence[QueueSight], rates: Mapping[str, QueueStatistics]) -> str:
    known = [rates[each.info.name].total for each in sights if each.info.name in rates]

    if not known:
        return "per minute: not known"

    def per_minute(name: str) -> str:
        return number(round(60 * sum(each.per_second(getattr(each, name) or 0) for each in known)))

    where = "" if len(known) == len(sights) else f", in {len(known)} of {len(sights)} queues"

    return (
        f"per minute: in {per_minute('arrived')}  started {per_minute('started')}  finished"
        f" {per_minute('finished')}  failed {per_minute('failed')}  retried {per_minute('retried')}{where}"
    )


def _queue_row(sight: QueueSight, done: QueueStatistics | None, now_ms: int) -> Row:
    info, counts = sight.info, sight.info.counts
    since = milliseconds(sight.next_up.enqueued_at) if sight.next_up is not None else 0
    state = _state_of(sight)
    total = None if done is None else done.total
    ended = 0 if total is None else total.finished + total.failed
    empty_in = None if done is None or not counts.queued else done.empty_in

    return Row(
        (
            info.name,
            number(counts.queued),
            duration(now_ms - since) if since and counts.queued else "-",
            "-" if total is None or total.arrived is None else number(round(60 * total.per_second(total.arrived))),
            "-" if total is None else number(round(60 * total.per_second(ended))),
            number(counts[JobStatus.STARTED]),
            number(counts[JobStatus.FAILED]),
            number(counts.workers),
            "-" if empty_in is None else duration(1000 * empty_in),
            state,
        ),
        queue_subject(sight),
        "" if state == "ok" else "yellow",
    )


def _state_of(sight: QueueSight) -> str:
    if sight.pause is not None:
        return "paused"

    if sight.info.paused:
        return "suspended"

    return "no worker" if sight.info.counts.queued and not sight.info.counts.workers else "ok"


def queue_subject(sight: QueueSight) -> Subject:
    """What a queue's row, or its page, is about."""
    status = "" if sight.pause is None else "paused"

    return Subject("queue", sight.info.name, status=status, jobs=sight.info.counts[JobStatus.FAILED])


def queue(facts: Mapping[str, Any], failed: Sequence[JobRow], done: QueueStatistics | None) -> View:
    """One queue: its runs, the next jobs, and the jobs that failed last.

    Args:
        facts: what the dashboard's page of a queue shows.
        failed: the jobs that failed last.
        done: what it has done in the last minutes.

    """
    sight, now_ms = facts["sight"], facts["now_ms"]
    counts = sight.info.counts
    states = "  ".join(f"{state} {number(counts[state])}" for state in JobStatus)
    lines = [Line(states), Line(_rates([sight], {} if done is None else {sight.info.name: done}))]

    for each in sight.info.pauses:
        what = "All workers are suspended" if each.everywhere else "Paused"
        lines.append(Line(f"{what}{each.told()}.", "bold yellow"))

    serving = ", ".join(each.name for each in facts["workers"])
    lines.append(Line(f"workers: {serving or 'none. Start one: aioq worker ' + sight.info.name}"))

    return View(
        f"Queue {sight.info.name}",
        tuple(lines),
        (
            Section("Running", job_rows(facts["runs"], now_ms), _JOBS, "No job runs."),
            Section("Next", job_rows(facts["rows"], now_ms), _JOBS, "No job waits."),
            Section("Failed last", job_rows(failed, now_ms), _JOBS, "No job has failed."),
        ),
        queue_subject(sight),
        clock(now_ms),
    )


def job_rows(rows: Sequence[JobRow], now_ms: int) -> tuple[Row, ...]:
    """Jobs in a list."""
    return tuple(
        Row(
            (row.id, row.status, ago(row.at_ms, now_ms) if row.at_ms else "-", row.call, row.note),
            Subject("job", row.queue, row.id, row.status),
            STYLES.get(row.status, ""),
        )
        for row in rows
    )


def failures(found: Sequence[tuple[str, FailureGroup]], away: Mapping[str, object], now_ms: int) -> View:
    """What jobs have failed of, the last first.

    Args:
        found: the groups, each with its queue.
        away: what could not be read, by its name.
        now_ms: the moment by the server's clock.

    """
    shown = [(name, group) for name, group in found if not group.is_muted]
    jobs = sum(group.count for _, group in shown)
    muted = len(found) - len(shown)
    told = f"{count(jobs, 'failed job')} with {count(len(shown), 'fingerprint')}"
    told += f"; {muted} muted, see `aioq failures --all`" if muted else ""

    return View(
        Page.FAILURES,
        (Line(told), *(Line(f"{what} could not be read.", "bold red") for what in away)),
        (
            Section(
                "Failures",
                tuple(_failure_row(name, group, now_ms) for name, group in shown),
                _FAILURES,
                "No job has failed.",
            ),
        ),
        read_at=clock(now_ms),
    )


def _failure_row(name: str, group: FailureGroup, now_ms: int) -> Row:
    seen = milliseconds(group.last_seen)
    error = ": ".join(filter(None, (group.error_type, group.error_message)))

    return Row(
        (
            number(group.count),
            ago(seen, now_ms) if seen else "-",
            name,
            group.function,
            error or group.fingerprint,
        ),
        Subject("failure", name, group.fingerprint, jobs=group.count, opens=group.last_job_id),
    )


def workers(
    found: Sequence[WorkerInfo],
    runs: Sequence[tuple[str, JobRecord]],
    away: Mapping[str, object],
    now_ms: int,
    call: Mapping[str, str],
) -> View:
    """The workers and the runs in progress, the oldest first.

    Args:
        found: the workers.
        runs: the runs, each with its queue.
        away: what could not be read, by its name.
        now_ms: the moment by the server's clock.
        call: the call of each run as a line, by the id of its job.

    """
    busy, slots = sum(each.running for each in found), sum(each.concurrency for each in found)

    rows = tuple(_run_row(name, record, now_ms, call) for name, record in runs)

    return View(
        Page.WORKERS,
        (
            Line(f"{count(len(found), 'worker')}  slots {number(busy)}/{number(slots)}"),
            *(Line(f"{what} could not be read.", "bold red") for what in away),
        ),
        (
            Section("Runs in progress", rows, _RUNS, "No job runs."),
            Section("Workers", tuple(map(_worker_row, found)), _WORKERS, "No worker. Start one: aioq worker"),
        ),
        read_at=clock(now_ms),
    )


def _run_row(name: str, record: JobRecord, now_ms: int, call: Mapping[str, str]) -> Row:
    waited = wait_ms(record)

    return Row(
        (
            duration(now_ms - record.started_ms),
            "-" if waited is None else duration(waited),
            name,
            call.get(record.id, record.func_name),
            record.worker or "-",
            record.id,
        ),
        Subject("job", name, record.id, "started"),
    )


def _worker_row(worker: WorkerInfo) -> Row:
    return Row(
        (
            worker.name,
            worker.state,
            f"{worker.running}/{worker.concurrency}",
            number(worker.successful),
            number(worker.failed),
            f"{worker.lag_ms} ms",
            shown_size(worker.memory) if worker.memory else "-",
            worker.version,
            ", ".join(worker.queues),
        ),
        style=STYLES.get("paused", "") if worker.state == "stopping" else "",
    )
