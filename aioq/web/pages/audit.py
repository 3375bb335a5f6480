"""The audit: who has done what to queues and their jobs."""

from __future__ import annotations

import asyncio
import shlex
from typing import NamedTuple

from aioq.store import Store
from aioq.store.audit import PAGE as PAGE_OF_ROWS
from aioq.store.audit import read_rows
from aioq.store.scatter import scatter
from aioq.values.audit import MOST_ENTRIES, AuditEntry
from aioq.values.ids import is_queue_name, lookup_id
from aioq.web.page import Ask, Facts, Page
from aioq.web.words import milliseconds

#: The most rows that are shown, and that are read of each queue if all are shown.
MOST_ROWS, ROWS_OF_EACH = 200, 50

#: Rows that name a job are looked for in so many pages of rows of a queue; in one page of each if all are shown.
PAGES_OF_ONE = 4


class Row(NamedTuple):
    """A row of the audit.

    Args:
        queue: the queue.
        entry: what was done.
        at_ms: when.

    """

    queue: str
    entry: AuditEntry
    at_ms: int


async def read(ask: Ask) -> Facts:
    """Two round trips: the names of the queues, and the last rows of each, or of one."""
    board, wanted, job_id = ask.board, ask.query.get("queue", ""), lookup_id(ask.query.get("job", ""))
    names, now_ms = await asyncio.gather(board.names(), board.now_ms())
    chosen = ([wanted] if is_queue_name(wanted) else []) if wanted else names
    stores = {name: Store(board.connection, name) for name in chosen}
    most = MOST_ROWS if wanted else ROWS_OF_EACH
    pages = range(PAGES_OF_ONE if wanted else 1)
    found = await scatter(
        board.connection,
        chosen,
        lambda name: stores[name].keys.job,
        lambda name: (
            [stores[name].audit.rows_command(PAGE_OF_ROWS, PAGE_OF_ROWS * page) for page in pages]
            if job_id
            else [stores[name].audit.rows_command(most)]
        ),
    )
    rows = [
        Row(name, entry, milliseconds(entry.at))
        for name, replies in found.replies.items()
        for entry in dict.fromkeys(entry for reply in replies for entry in read_rows(reply, job_id))
    ]
    rows.sort(key=lambda row: row.at_ms, reverse=True)

    return {
        "title": "Audit",
        "names": names,
        "wanted": wanted,
        "job": job_id,
        "rows": rows[:MOST_ROWS],
        "is_cut": len(rows) >= most
        or (job_id != "" and any(len(each[-1]) == 2 * PAGE_OF_ROWS for each in found.replies.values())),
        "command": _command(wanted, job_id),
        "away": {f"queue {name}": error for name, error in found.errors.items()},
        "now_ms": now_ms,
    }


def _command(queue: str, job_id: str) -> str:
    """The command that shows all rows, as a shell takes it, whatever the address says."""
    words = [*([queue] if queue else []), *([f"--job={job_id}"] if job_id else [])]

    return shlex.join(["aioq", "audit", *words, "--limit", str(MOST_ENTRIES)])


PAGE = Page("audit", "/audit", read, "Audit")
