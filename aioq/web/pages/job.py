"""A job as a story: what it is, where it stands, how it spent its time, its attempts and the jobs around it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from aioq.store import Directory, Store
from aioq.values.calltext import argument_texts, value_text
from aioq.values.errors import DeserializationError
from aioq.values.ids import is_queue_name, lookup_id
from aioq.values.record import JobRecord
from aioq.values.result import Result, earlier_result
from aioq.values.signed import META
from aioq.values.states import JobStatus, allows
from aioq.values.summary import printable
from aioq.web.graph import Graph, Node, drawn
from aioq.web.options import option_rows
from aioq.web.page import Ask, Facts, NotFound, Page
from aioq.web.rows import shown_call, status_of
from aioq.web.timeline import pieces, stretches, told
from aioq.web.why import heading, why

#: The most jobs of each side of the graph, and members of its group that are shown.
MOST_AROUND = 8

#: The most characters of a traceback that are shown, and of its end.
LONGEST_TRACE = 40_000


async def read(ask: Ask) -> Facts:
    """Five round trips: names of queues, which has it, the job, the jobs around it, and workers."""
    job_id = lookup_id(ask.path["id"])
    queues = await _holders(ask, job_id)
    queue = queues[0] if queues else ""
    store = ask.board.store(queue)
    reads = store.reads

    if not queues:
        raise NotFound(f"No queue has a job {job_id}. It may be over: a finished job is kept for its result_ttl.")

    (record,), packed, dependents, now_ms = await asyncio.gather(
        reads.load([job_id]), reads.attempts(job_id), reads.dependents(job_id, MOST_AROUND + 1), ask.board.now_ms()
    )

    if record is None:
        raise NotFound(f"Queue {queue} has no job {job_id} any more.")

    status = status_of(record)
    runs = [run for each in packed if (run := _earlier(record, each)) is not None]
    last = _last_run(record, status)
    spent = stretches(record, status, [*runs, *([last] if last else [])], now_ms)
    around, members, reasons = await asyncio.gather(
        _around(store, record, dependents), _members(store, record), why(ask.board, store, record)
    )

    return {
        "title": f"Job {job_id}",
        "id": job_id,
        "record": record,
        "queue": queue,
        "queues": queues,
        "status": status,
        "call": shown_call(ask.board, record),
        "arguments": _arguments(ask, record),
        "meta": _meta(ask, record),
        "result": _result(ask, record, status),
        "why": reasons,
        "why_heading": heading(status),
        "runs": [_shown(ask, record, run) for run in reversed(runs)],
        "last": None if last is None else _shown(ask, record, last),
        "spent": spent,
        "pieces": pieces(spent),
        "spent_words": told(spent),
        "options": option_rows(record),
        "graph": around,
        "members": members,
        "verbs": _verbs(status),
        "now_ms": now_ms,
    }


async def _holders(ask: Ask, job_id: str) -> list[str]:
    """The queues that have the job; the one that was asked for is the first."""
    wanted = ask.query.get("queue", "")
    found = (await Directory(ask.board.connection, away={}).holders([job_id]))[job_id]

    if wanted and wanted not in found:
        return [wanted] if is_queue_name(wanted) and not found else []

    return sorted(found, key=lambda name: name != wanted)


def _verbs(status: str) -> list[str]:
    if status not in list(JobStatus):
        return ["delete"]

    return [*(verb for verb in ("requeue", "cancel", "stop") if allows(JobStatus(status), verb)), "delete"]


def _earlier(record: JobRecord, packed: bytes) -> Result | None:
    try:
        return earlier_result(record, packed, lambda _: None)
    except DeserializationError:
        return None


def _last_run(record: JobRecord, status: str) -> Result | None:
    """The last run, if it has ended and the job has not been put back since."""
    failure = record.failure

    if status not in ("finished", "failed", "canceled", "stopped") or record.started_at is None:
        return None

    text = None if failure is None else failure.text
    kind = None if failure is None else failure.type
    message = None if failure is None else failure.message

    return Result(
        record.id,
        status,
        record.fence,
        None,
        text,
        record.worker,
        record.started_at,
        record.ended_at,
        kind,
        message,
    )


def _shown(ask: Ask, record: JobRecord, run: Result) -> dict[str, Any]:
    line = ": ".join(filter(None, (run.error_type, run.error_message)))

    return {
        "outcome": run.type,
        "fence": run.fence,
        "worker": run.worker_name or "",
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "line": _error(ask, record, printable(line)),
        "trace": _error(ask, record, run.exc_info or ""),
    }


def _error(ask: Ask, record: JobRecord, text: str) -> str:
    cut = text if len(text) <= LONGEST_TRACE else f"…\n{text[-LONGEST_TRACE:]}"

    return ask.board.shown(record, "error", cut) if cut else ""


def _arguments(ask: Ask, record: JobRecord) -> list[tuple[str, str]] | None:
    found = argument_texts(record)

    return None if found is None else [(name, ask.board.shown(record, name, text)) for name, text in found]


def _meta(ask: Ask, record: JobRecord) -> list[tuple[str, str | None]]:
    found = []

    for field, data in sorted(record.meta_fields().items()):
        name, text = field[len(META) :].decode(), value_text(data)
        found.append((printable(name), None if text is None else ask.board.shown(record, f"meta.{name}", text)))

    return found


def _result(ask: Ask, record: JobRecord, status: str) -> str | None:
    """The result as text; None if there is none, or it cannot be read here."""
    data = record.fields.get(b"result", b"")
    text = value_text(data) if status == "finished" and data else None

    return None if text is None else ask.board.shown(record, "result", text)


async def _around(store: Store, record: JobRecord, dependents: Sequence[str]) -> Graph | None:
    """The jobs that it waits for, and those that wait for it; None if there are none."""
    parents = [name for _, name in record.edges][:MOST_AROUND]
    children = list(dependents[:MOST_AROUND])

    if not parents and not children:
        return None

    here = [name for name in (*parents, *children) if "@" not in name]
    known = dict(zip(here, await store.lists.glance(here), strict=True))
    center = Node(record.id, store.queue, status_of(record), record.func_name)

    def node(name: str) -> Node:
        job_id, _, queue = name.partition("@")

        if queue:
            return Node(job_id, queue, "elsewhere", f"in queue {queue}")

        found = known[name]

        return Node(name, store.queue, "gone" if found is None else status_of(found), _label(found))

    return drawn([node(name) for name in parents], center, [node(name) for name in children])


def _label(record: JobRecord | None) -> str:
    return "its record is gone" if record is None else printable(record.func_name)


async def _members(store: Store, record: JobRecord) -> list[tuple[str, str]]:
    """The first members of its group, each as an id and a queue."""
    if record.group is None or "@" in record.group:
        return []

    found = await store.groups.members(record.group, 0, MOST_AROUND)

    return [(job_id, queue or store.queue) for job_id, _, queue in (name.partition("@") for name in found)]


PAGE = Page("job", "/jobs/{id:path}", read)
