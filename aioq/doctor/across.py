"""Across: whether jobs that wait for jobs of other queues are known there. No script reaches two queues."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aioq.doctor.examinee import Examinee
from aioq.store import Connection
from aioq.store.examination import Finding, scan
from aioq.store.relay import relay
from aioq.store.reply import text
from aioq.values.errors import ServerError

#: The kind of all that is found here.
UNTOLD = "dependency-untold"

#: Rows of an outbox that are looked at. There are more only while nobody carries them on: another finding.
ROWS = 1000


class Pair(NamedTuple):
    """A job, the name by which others know it, and one of another queue that it waits for."""

    job_id: str
    name: str
    parent: str
    queue: str


async def examine_across(connection: Connection, examinees: Sequence[Examinee], *, repair: bool) -> None:
    """Find jobs that wait for a job of another one of these queues which does not know them.

    A queue that cannot be read is left out: its error is told where it was examined.
    """
    by_name = {each.name: each for each in examinees if not each.is_blocked}
    replies = await connection.each([("SMEMBERS", each.store.keys.sources) for each in by_name.values()])

    for each, reply in zip(list(by_name.values()), replies, strict=True):
        if isinstance(reply, ServerError) or by_name.keys().isdisjoint(map(text, reply)):
            continue

        try:
            await _examine(connection, each, by_name, repair=repair)
        except ServerError as error:
            each.error = each.error or error


async def _examine(
    connection: Connection, examinee: Examinee, by_name: Mapping[str, Examinee], *, repair: bool
) -> None:
    keys = examinee.store.keys

    async for rows in scan(connection.call, ("ZSCAN", keys.deferred)):
        for pair in [each for row in rows[::2] for each in await _pairs(connection, examinee, text(row), by_name)]:
            if await _is_untold(connection, examinee, by_name[pair.queue], pair):
                words = f"it waits for job {pair.parent} of queue {pair.queue}, whose end it would not hear of"
                examinee.found[UNTOLD, pair.job_id] = Finding(UNTOLD, pair.job_id, words, repair)

    untold = [name for kind, name in examinee.found if kind == UNTOLD]

    if repair and untold:
        await examinee.store.outbox.tell_again(untold)
        await relay(examinee.store)


async def _pairs(
    connection: Connection, examinee: Examinee, job_id: str, by_name: Mapping[str, Examinee]
) -> list[Pair]:
    keys, own = examinee.store.keys, job_id.encode()
    members, edition = await connection.calls([("SMEMBERS", keys.open + own), ("HGET", keys.job + own, "edition")])
    name = f"{job_id}#{text(edition)}" if edition else job_id
    parents = [text(each).partition("@") for each in members]

    return [Pair(job_id, name, parent, queue) for parent, _, queue in parents if queue in by_name]


async def _is_untold(connection: Connection, examinee: Examinee, other: Examinee, pair: Pair) -> bool:
    """Whether the other job does not know the pair, and nothing is under way that tells it, or tells of its end.

    The order matters, as things change meanwhile: a row goes after what it says was done, and what is open last.
    """
    own, parent = examinee.store.keys, f"{pair.parent}@{other.name}"
    row = f"{pair.name}@{examinee.name}"

    async def rows(of: Examinee) -> list[str]:
        return [text(each) for each in await connection.call(("ZRANGE", of.store.keys.outbox, 0, ROWS - 1))]

    async def ask(*command: Any) -> Any:
        return await connection.call(command)

    if any(
        each.startswith(f"depend {parent} ") and each.endswith(f" {pair.name}") for each in await rows(examinee)
    ):
        return False

    if await ask("ZSCORE", other.store.keys.dependents + pair.parent.encode(), row) is not None:
        return False

    if any(each.startswith(f"decide {row} {pair.parent} ") for each in await rows(other)):
        return False

    return bool(await ask("SISMEMBER", own.open + pair.job_id.encode(), parent))
