"""Find jobs by their ids: in one queue, or in all queues of a server."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aioq.cli.common import CommandError, listed, tell_of_away
from aioq.client.queue import Queue
from aioq.store import Connection, Directory
from aioq.values.errors import ServerError
from aioq.values.options import RESULT_TTL_MS


async def find(connection: Connection, ids: Sequence[str], name: str | None) -> dict[str, list[Queue]]:
    """For each id, the queues that may have the job: the named queue, else all queues that have it."""
    if name is not None:
        queue = Queue(name, connection)

        return {job_id: [queue] for job_id in ids}

    away: dict[str, ServerError] = {}
    holders = await Directory(connection, away=away).holders(ids)
    tell_of_away(away)

    return {job_id: [Queue(each, connection) for each in names] for job_id, names in holders.items()}


def refusal(queues: Sequence[Queue]) -> str | None:
    """Why a command does nothing to a job that is in these queues; None if it is in exactly one."""
    if not queues:
        return "not found"

    return None if len(queues) == 1 else f"in {len(queues)} queues: add {_options(queues)}"


async def nowhere(connection: Connection, job_id: str, name: str | None) -> CommandError:
    """The error for a job that none of the examined queues has."""
    directory = Directory(connection, away={})

    kept = f". Finished jobs are kept for {RESULT_TTL_MS // 1000} seconds unless result_ttl says otherwise"

    if name is None:
        return CommandError(f"no queue has a job {job_id}{listed(await directory.queues())}{kept}")

    others = [Queue(each, connection) for each in (await directory.holders([job_id]))[job_id] if each != name]
    hint = f"; another queue has one: {_options(others)}" if others else kept

    return CommandError(f"queue {name} has no job {job_id}{hint}")


def by_queue(ids: Sequence[str], found: Mapping[str, Sequence[Queue]]) -> dict[Queue, list[str]]:
    """The ids of each queue, without ids that are in no queue or in several."""
    groups: dict[Queue, list[str]] = {}

    for job_id in ids:
        if refusal(found[job_id]) is None:
            groups.setdefault(found[job_id][0], []).append(job_id)

    return groups


def _options(queues: Sequence[Queue]) -> str:
    return " or ".join(f"--queue {each.name}" for each in queues)
