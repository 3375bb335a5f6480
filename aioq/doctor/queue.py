"""What is wrong with queues."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from aioq.client.queue import Queue
from aioq.doctor.across import examine_across
from aioq.doctor.examinee import Examinee
from aioq.doctor.examining import Round
from aioq.doctor.finding import Examined, Finding
from aioq.store import Connection, Store
from aioq.store.acting import act_of


async def examine(
    queue: Queue, *, repair: bool = False, advance: Callable[[int], None] | None = None
) -> list[Finding]:
    """Examine everything stored for a queue, while producers and workers go on.

    One script reads each thing together with everything that must agree with it, so a change under way is no
    finding. Nothing is written without `repair`. If a key has the wrong type, only that is reported.

    Args:
        queue: the queue.
        repair: repair the findings. No job is deleted, and no key that aioq does not know.
        advance: called with the number of jobs examined since the last call.

    Returns:
        What is wrong, or was wrong and is repaired now; usually an empty list.

    Raises:
        ServerError: the server cannot be reached, or refuses.

    Example:
        >>> for finding in await examine(Queue("mail")):  # doctest: +SKIP
        ...     print(finding)

    """
    (found,) = await examine_queues(queue.connection, [queue.name], repair=repair, advance=advance)

    if found.error is not None:
        raise found.error

    return found.findings


async def examine_queues(
    connection: Connection,
    names: Sequence[str],
    *,
    repair: bool = False,
    advance: Callable[[int], None] | None = None,
    finished: Callable[[], None] | None = None,
) -> list[Examined]:
    """Examine many queues as `examine` does one. They share round trips and one scan of all keys.

    Args:
        connection: the server, or the Cluster.
        names: the queues.
        repair: repair the findings.
        advance: called with the number of jobs examined since the last call.
        finished: called after each queue.

    Returns:
        The result for each queue, in order. A queue has an error if its server of a Cluster is away, or if the
        server refuses the examination.

    Raises:
        ServerError: the single server, or every server of the Cluster, cannot be reached.

    """
    examinees = [Examinee(connection, name) for name in names]
    groups = await connection.by_server([each.store.keys.job for each in examinees])
    round_ = Round(connection, repair, advance or _ignore, finished or _ignore)
    await asyncio.gather(*(round_.examine(server, [examinees[at] for at in mine]) for server, mine in groups))
    await examine_across(connection, examinees, repair=repair)
    found = [each.report() for each in examinees]

    if repair:
        await _tell_of_repairs(connection, found)

    return found


async def _tell_of_repairs(connection: Connection, examined: Sequence[Examined]) -> None:
    """A row in the audit of each queue that was repaired, if somebody has said who does it."""
    act = act_of("repair")

    for each in examined:
        names = [finding.name for finding in each.findings if finding.repaired]

        if names and act:
            await Store(connection, each.name).audit.add(act, names, len(names))


def _ignore(*_: object) -> None:
    pass
