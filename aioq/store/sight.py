"""Sight: what many queues show at once, in few round trips. It only reads."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from aioq.store.connection import Connection
from aioq.store.directory import QueueInfo
from aioq.store.duty import read_late_workers
from aioq.store.failures import PAGE as GROUPS_PER_CALL
from aioq.store.failures import read_page as read_failures
from aioq.store.lists import IdPage, read_page
from aioq.store.net.command import Command
from aioq.store.reads import read_counts, read_pauses
from aioq.store.scatter import Answers, scatter
from aioq.store.store import Store
from aioq.values.counts import Counts
from aioq.values.errors import ServerError
from aioq.values.failure_group import FailureGroup
from aioq.values.pause import Pause
from aioq.values.record import JobRecord
from aioq.values.retry_budget import read_budget
from aioq.values.states import JobStatus

#: The most runs that are shown of one queue.
MOST_RUNS = 100

#: A queue has at most so many fingerprints, with the one of all others.
MOST_GROUPS = 1_001


class QueueSight(NamedTuple):
    """A queue as a page shows it.

    Args:
        info: its numbers, and what keeps workers from it.
        next_up: the job that will be claimed next; None if none waits.
        next_due: the scheduled job that is due first; None if there is none.

    """

    info: QueueInfo
    next_up: JobRecord | None
    next_due: JobRecord | None

    @property
    def pause(self) -> Pause | None:
        """The pause of the queue itself, and not of all workers; None if it is not paused."""
        return next((each for each in self.info.pauses if not each.everywhere), None)


async def look_at(connection: Connection, names: Sequence[str], away: dict[str, ServerError]) -> list[QueueSight]:
    """These queues, in two round trips.

    Args:
        connection: the server, or the Cluster.
        names: of the queues.
        away: what cannot be reached, or is refused, goes here.

    """

    def ask(store: Store) -> list[Command]:
        return [
            *store.reads.pauses_commands(),
            store.reads.count_command(),
            store.duty.holders_command(""),
            store.reads.retry_budget_command(),
            store.lists.page_command(JobStatus.QUEUED, 1),
            store.lists.page_command(JobStatus.SCHEDULED, 1),
        ]

    stores = {name: Store(connection, name) for name in names}
    found = await _scatter(connection, stores, {name: ask(store) for name, store in stores.items()}, away)
    ids = {name: [*read_page(row[-2]).ids, *read_page(row[-1]).ids] for name, row in found.items()}
    records = await _glance(connection, stores, ids, away)
    sights = []

    for name, (*pauses, counts, holders, budget, first, due) in found.items():
        info = QueueInfo(
            name,
            read_pauses(pauses),
            read_counts(counts),
            read_late_workers(holders),
            read_budget(budget),
        )
        known = records.get(name, {})
        next_up, next_due = (next(map(known.get, read_page(page).ids), None) for page in (first, due))
        sights.append(QueueSight(info, next_up, next_due))

    return sights


async def counts_of(
    connection: Connection, names: Sequence[str], away: dict[str, ServerError]
) -> dict[str, Counts]:
    """How many jobs are in each state, by queue, in one round trip."""
    stores = {name: Store(connection, name) for name in names}
    asked = {name: [store.reads.count_command()] for name, store in stores.items()}
    found = await _scatter(connection, stores, asked, away)

    return {name: read_counts(reply) for name, (reply,) in found.items()}


async def pages_of(
    connection: Connection,
    state: JobStatus,
    asked: Mapping[str, tuple[int, str]],
    away: dict[str, ServerError],
    *,
    desc: bool,
) -> dict[str, IdPage]:
    """The ids of jobs in one state, by queue, in one round trip.

    Args:
        connection: the server, or the Cluster.
        state: the state.
        asked: by queue, the most ids, and the cursor of the page before.
        away: what cannot be reached, or is refused, goes here.
        desc: the last one first.

    """
    stores = {name: Store(connection, name) for name in asked}
    commands = {
        name: [stores[name].lists.page_command(state, most, cursor=cursor, desc=desc)]
        for name, (most, cursor) in asked.items()
    }
    found = await _scatter(connection, stores, commands, away)

    return {name: read_page(reply) for name, (reply,) in found.items()}


async def glance_at(
    connection: Connection, ids: Mapping[str, list[str]], away: dict[str, ServerError]
) -> list[tuple[str, JobRecord]]:
    """What lists show of jobs, in one round trip: those that are there, each with its queue, in order.

    Args:
        connection: the server, or the Cluster.
        ids: of the jobs, by queue.
        away: what cannot be reached, or is refused, goes here.

    """
    records = await _glance(connection, {name: Store(connection, name) for name in ids}, ids, away)

    return [(name, record) for name in ids for record in records.get(name, {}).values()]


async def runs_of(
    connection: Connection, names: Sequence[str], away: dict[str, ServerError]
) -> list[tuple[str, JobRecord]]:
    """The runs in progress, each with its queue, the oldest first: at most `MOST_RUNS` of a queue."""
    stores = {name: Store(connection, name) for name in names}
    asked = {name: [store.lists.page_command(JobStatus.STARTED, MOST_RUNS)] for name, store in stores.items()}
    found = await _scatter(connection, stores, asked, away)
    ids = {name: read_page(page).ids for name, (page,) in found.items()}
    records = await _glance(connection, stores, ids, away)
    runs = [(name, record) for name, known in records.items() for record in known.values()]

    return sorted(runs, key=lambda run: run[1].started_ms)


def wait_ms(record: JobRecord) -> int | None:
    """For how long a job that runs had waited in its queue, in ms; None: not known."""
    since = record.enqueued_at

    return None if since is None else max(0, record.started_ms - round(since.timestamp() * 1000))


async def failures_of(
    connection: Connection, names: Sequence[str], away: dict[str, ServerError]
) -> list[tuple[str, FailureGroup]]:
    """What the failed jobs of these queues have failed of, each with its queue, the one seen last first.

    Two round trips: the second one brings the groups of queues that have more than one call brings.
    """
    stores = {name: Store(connection, name) for name in names}
    found: dict[tuple[str, str], FailureGroup] = {}
    asked = {name: [store.failures.page_command(0)] for name, store in stores.items()}

    while asked:
        more = {}

        for name, replies in (await _scatter(connection, stores, asked, away)).items():
            pages = [read_failures(reply) for reply in replies]
            found |= {(name, group.fingerprint): group for groups, _ in pages for group in groups}

            if len(pages) == 1 and pages[0][1] == GROUPS_PER_CALL:
                skips = range(GROUPS_PER_CALL, MOST_GROUPS, GROUPS_PER_CALL)
                more[name] = [stores[name].failures.page_command(skip) for skip in skips]

        asked = more

    groups = [(name, group) for (name, _), group in found.items()]

    return sorted(groups, key=lambda each: (-_seen(each[1]), each[0], each[1].fingerprint))


def _seen(group: FailureGroup) -> float:
    return 0.0 if group.last_seen is None else group.last_seen.timestamp()


async def _glance(
    connection: Connection, stores: dict[str, Store], ids: Mapping[str, list[str]], away: dict[str, ServerError]
) -> dict[str, dict[str, JobRecord]]:
    """What lists show of some jobs of each queue, by their ids; those that are there."""
    wanted = {name: some for name, some in ids.items() if some}
    asked = {name: stores[name].lists.glance_commands(some) for name, some in wanted.items()}
    found = await _scatter(connection, stores, asked, away)

    return {
        name: {record.id: record for record in stores[name].lists.read_glance(wanted[name], replies) if record}
        for name, replies in found.items()
    }


async def _scatter(
    connection: Connection,
    stores: dict[str, Store],
    asked: dict[str, list[Command]],
    away: dict[str, ServerError],
) -> dict[str, list[Any]]:
    answers: Answers = await scatter(
        connection, list(asked), lambda name: stores[name].keys.job, asked.__getitem__
    )
    away.update({f"queue {name}": error for name, error in answers.errors.items()})

    return answers.replies
