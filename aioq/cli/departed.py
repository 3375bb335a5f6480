"""Workers that have left, for `aioq info --departed`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from aioq.cli import output
from aioq.cli.common import on_each
from aioq.client.queue import Queue
from aioq.store import Connection
from aioq.values.departed import REASONS, DepartedWorker
from aioq.values.errors import ServerError

#: Of each queue, so many that have left last.
MOST = 20


async def departed_of(
    connection: Connection, names: Sequence[str], away: dict[str, ServerError]
) -> dict[str, list[DepartedWorker]]:
    """The workers that have left each queue, the last ones first."""
    queues = [Queue(name, connection) for name in names]

    return await on_each(queues, lambda queue: queue.departed_workers(MOST), away)


def departed_rows(departed: Mapping[str, Sequence[DepartedWorker]]) -> list[dict[str, Any]]:
    """Workers that have left, as JSON values."""
    return [
        {
            "worker": each.name,
            "queue": queue,
            "left_at": output.moment(each.left_at),
            "reason": each.reason,
            "held": each.held,
            "job_ids": list(each.job_ids),
        }
        for queue, workers in departed.items()
        for each in workers
    ]


def departed_table(departed: Mapping[str, Sequence[DepartedWorker]]) -> output.Table:
    """Workers that have left, as a table."""
    rows: list[list[str | int | None]] = [
        [
            each.name,
            queue,
            output.age(each.left_at),
            REASONS.get(each.reason, each.reason),
            each.held,
            ", ".join(each.job_ids),
        ]
        for queue, workers in departed.items()
        for each in workers
    ]

    return output.Table(
        ["departed", "queue", "left", "because", "held", "jobs"],
        rows,
        wraps=["departed", "queue", "because", "jobs"],
    )
