"""What the audit of a server tells at the end of a trial, and what is found there by tags."""

from __future__ import annotations

import time
from collections.abc import Sequence

from aioq import Queue

from .history import Event
from .topology import Topology
from .workload import TAGS


async def read_audit(scene: Topology, queues: Sequence[Queue]) -> None:
    """Notes each job that a row of the audit names."""
    for queue in queues:
        for entry in await queue.audit():
            for job_id in entry.subjects:
                event = Event(time.monotonic(), "told", entry.action, job_id, actor=entry.by, queue=queue.name)
                scene.note(event)


async def read_tags(scene: Topology, queues: Sequence[Queue]) -> None:
    """Notes each job that a search by a tag finds."""
    for queue in queues:
        for tag in TAGS:
            cursor, is_over = None, False

            while not is_over:
                page = await queue.search(f"tag:{tag}", limit=1_000, cursor=cursor)
                cursor, is_over = page.cursor, page.cursor is None

                for job in page.jobs:
                    scene.note(Event(time.monotonic(), "tagged", tag, job.id))
