"""Relay: the rows of a queue's outbox are carried on to the queues that they are for."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence

from aioq.store.outbox import GONE, WAITS, End, Watch
from aioq.store.store import Store
from aioq.values.errors import ServerError, ServerUnreachable

log = logging.getLogger("aioq.store")


async def relay(store: Store) -> list[str]:
    """Carry on what stands in the outbox of a queue.

    Rows for a server that is away stay, and so do those that an older version does not know.

    Returns:
        The queues whose jobs the jobs of this one wait for: their rows may be for this one.

    Raises:
        ServerError: the queue's own server cannot be reached, or refuses.

    """
    rows, sources = await store.outbox.rows()

    while rows and (done := await _carry(store, rows)):
        rows, sources = await store.outbox.rows(done)

    return sources


async def _carry(store: Store, rows: Sequence[str]) -> list[str]:
    """The rows that were carried on."""
    done: list[str] = []

    for (kind, queue), each in _by_queue(rows).items():
        other = Store(store.connection, queue)

        try:
            if kind == "depend":
                await _depend(store, other, each)
            elif kind == "let_go":
                await other.outbox.let_go([_let_go(row, store) for row in each])
            elif kind == "member":
                await other.groups.tell([_told(row) for row in each])
            else:
                await _decide(store, other, each)
        except ServerError as error:
            level = logging.DEBUG if isinstance(error, ServerUnreachable) else logging.WARNING
            log.log(level, "rows of queue %s could not be carried on to %s: %s", store.queue, queue, error)
        else:
            done += each

    return done


def _by_queue(rows: Sequence[str]) -> dict[tuple[str, str], list[str]]:
    found = defaultdict[tuple[str, str], list[str]](list)

    for row in rows:
        kind, name, *_ = row.split(" ")

        if kind in ("depend", "decide", "let_go", "member"):
            found[kind, name.partition("@")[2]].append(row)

    return found


def _told(row: str) -> str:
    """A row of a member, as the group's own queue is told it."""
    _, group, *rest = row.split(" ")

    return " ".join((group.partition("@")[0], *rest))


def _let_go(row: str, store: Store) -> tuple[str, str]:
    _, parent, taker = row.split(" ")

    return parent.partition("@")[0], f"{taker}@{store.queue}"


async def _depend(store: Store, other: Store, rows: Sequence[str]) -> None:
    words = (row.split(" ") for row in rows)
    await tell(store, other, [End(child, parent, float(policy), WAITS) for _, parent, policy, child in words])


async def tell(store: Store, other: Store, ends: Sequence[End], gone: str = GONE) -> list[str]:
    """Let jobs of another queue know of jobs of this one that depend on them. An end that has come is decided.

    Args:
        store: the queue of the jobs that wait.
        other: the queue of the jobs that are waited for.
        ends: the pairs, whatever their status.
        gone: what it is to a job if the other one is not there.

    Returns:
        How each of the other jobs has ended; or waits, or gone.

    """
    watches = [
        Watch(each.parent.partition("@")[0], f"{each.dependent}@{store.queue}", each.policy) for each in ends
    ]
    answers = [answer.split(" ") for answer in await other.outbox.depend(watches)]
    decided: list[End] = []

    for each, (status, *child) in zip(ends, answers, strict=True):
        by = f"{child[0]}@{other.queue}" if child else ""
        decided.append(each._replace(status=gone if status == GONE else status, child=by))

    await _decide_in(store, other, decided)

    return [status for status, *_ in answers]


async def _decide(store: Store, other: Store, rows: Sequence[str]) -> None:
    ends: list[End] = []

    for row in rows:
        _, dependent, parent, policy, status, *child = row.split(" ")
        by = f"{child[0]}@{store.queue}" if child else ""
        ends.append(End(dependent.partition("@")[0], f"{parent}@{store.queue}", float(policy), status, by))

    await _decide_in(other, store, ends)


async def _decide_in(store: Store, other: Store, ends: Sequence[End]) -> None:
    """Decide the jobs of a queue. The other queue lets go of those whose results it keeps for nothing."""
    if over := await store.outbox.decide(ends):
        await other.outbox.let_go(
            [(each.parent.partition("@")[0], f"{each.dependent}@{store.queue}") for each in over]
        )
