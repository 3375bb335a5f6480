"""What is wrong with one queue."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from aioq.client.queue import Queue
from aioq.doctor.kinds import KINDS
from aioq.store.examination import CHUNK, Examination, Subject
from aioq.store.examination import Finding as Found

#: One thing may have several faults; a repair mends one at a time.
ROUNDS = 6


class Finding(NamedTuple):
    """One thing that is wrong.

    Args:
        queue: the queue's name.
        kind: a word of `KINDS`; it stays the same from version to version.
        name: the job, entry, worker or key.
        words: what is wrong with it.
        repaired: whether that is so no more.

    """

    queue: str
    kind: str
    name: str
    words: str
    repaired: bool = False

    def __str__(self) -> str:
        return f"{self.queue}: {self.kind} {self.name}: {self.words}" + " (repaired)" * self.repaired


async def examine(
    queue: Queue, *, repair: bool = False, advance: Callable[[int], None] | None = None
) -> list[Finding]:
    """Look at everything that is stored of a queue, while producers and workers go on.

    Each thing is looked at in one script, together with all that must agree with it; a change under way is no
    finding. Nothing is written without `repair`. While a key has the wrong type, no more than that is reported.

    Args:
        queue: the queue.
        repair: repair what is found. No job is deleted, and no key that aioq does not know.
        advance: called with the number of jobs that were looked at since the last call.

    Returns:
        What is wrong, or was wrong and is repaired now. Nothing, as a rule.

    Raises:
        ServerError: the server cannot be reached, or refuses.

    Example:
        >>> for finding in await examine(Queue("mail")):  # doctest: +SKIP
        ...     print(finding)

    """
    examination = Examination(queue.connection, queue.store.keys)
    found: dict[tuple[str, str], Found] = {}
    await _look(queue, examination.types(), found, repair=repair)

    if not any(each.kind == "wrong-type" and not each.repaired for each in found.values()):
        has_jobs = False

        async for page in examination.pages():
            await _look(queue, page, found, repair=repair)
            jobs = sum(each.check == "job" for each in page)
            has_jobs = has_jobs or jobs > 0

            if advance is not None:
                advance(jobs)

        if has_jobs and not await queue.store.is_registered():
            if repair:
                await queue.store.register()

            words = "it is not on the list of queues"
            found["queue-not-listed", queue.name] = Found("queue-not-listed", queue.name, words, repair)

    order = list(KINDS)

    return sorted(
        (Finding(queue.name, *each) for each in found.values()),
        key=lambda each: (order.index(each.kind), each.name),
    )


async def _look(
    queue: Queue, subjects: Sequence[Subject], found: dict[tuple[str, str], Found], *, repair: bool
) -> None:
    for start in range(0, len(subjects), CHUNK):
        chunk = subjects[start : start + CHUNK]

        for _ in range(ROUNDS if repair else 1):
            left = await queue.store.examine(chunk, repair=repair)
            found.update({(each.kind, each.name): each for each in left})

            if not any(each.repaired for each in left):
                break
        else:
            # What still comes back is not repaired, whatever was done about it.
            for each in left if repair else ():
                found[each.kind, each.name] = each._replace(repaired=False)
