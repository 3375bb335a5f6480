"""Acting: what the keys for actions do. Each is what a command does, too."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Callable

from aioq.cli.actor import actor
from aioq.cli.screen.state import Act
from aioq.client.bulk import requeue_all
from aioq.client.queue import Queue
from aioq.client.searching import on_all
from aioq.store import Connection
from aioq.values.filter import make_filter
from aioq.values.pause import MAX_BY
from aioq.values.states import JobStatus
from aioq.web.words import count

#: What has become of the jobs, by the verb.
_DONE = {"requeue": "requeued", "cancel": "canceled", "stop": "stopped", "delete": "deleted"}


async def carry_out(connection: Connection, act: Act, tell: Callable[[str], None]) -> str:
    """Do it; the sentence that tells what has become of it.

    Args:
        connection: the server.
        act: what to do.
        tell: called with how far it is, if there are many jobs.

    Raises:
        AioqError: it cannot be done.

    """
    verb, subject = act
    queue = Queue(subject.queue, connection)

    if verb == "pause":
        await queue.pause(by=actor()[:MAX_BY])

        return f"Queue {queue.name} is paused. Runs in progress go on."

    if verb == "resume":
        await queue.resume()

        return f"Queue {queue.name} is resumed."

    if verb in ("requeue_all", "delete_all"):
        word, number = _DONE[verb.partition("_")[0]], 0

        async for moved in _all(queue, act):
            number += moved
            tell(f"{count(number, 'job')} of {subject.jobs:,} {word} ...")

        return f"{count(number, 'job')} {word}."

    return _told(verb, subject.id, await _one(queue, act))


async def _one(queue: Queue, act: Act) -> tuple[str, str]:
    """The verdict on one job, and the state that refuses it."""
    changes, job_id = queue.store.changes, act.subject.id

    if act.verb == "delete":
        return ("ok" if await changes.delete([job_id]) else "gone"), ""

    if act.verb == "requeue":
        (verdict,) = await changes.requeue([job_id], at_front=False, reset=True)

        return (verdict, "") if verdict in ("ok", "gone") else ("refused", verdict)

    return await (changes.cancel(job_id) if act.verb == "cancel" else changes.stop(job_id))


def _told(verb: str, job_id: str, found: tuple[str, str]) -> str:
    verdict, status = found

    if verdict == "ok":
        return f"Job {job_id} is {_DONE[verb]}."

    if verdict == "gone":
        return f"Nothing was done: there is no job {job_id} any more."

    return f"Nothing was done: job {job_id} is {status or 'in another state'} by now."


async def _all(queue: Queue, act: Act) -> AsyncGenerator[int]:
    """Chunk by chunk, how many jobs it was done to."""
    if act.subject.kind == "failure":
        matching, options = make_filter(fingerprint=act.subject.id), {"at_front": False, "reset": True}
        chunks = (
            on_all(queue.store, "requeue", matching, **options)
            if act.verb == "requeue_all"
            else on_all(queue.store, "delete", matching)
        )

        async for moved in chunks:
            yield moved

        return

    async for chunk in requeue_all(queue.store, JobStatus.FAILED, at_front=False, reset=True):
        yield sum(verdict == "ok" for _, verdict in chunk)
