"""Scatter: the same small questions about many queues or workers, in few round trips.

In a Cluster, those whose keys are on one server travel together. So a server that is away fails its own only.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from aioq.store.connection import Connection
from aioq.store.net.command import Argument, Command
from aioq.values.errors import ServerError, ServerUnreachable

#: The most names of one round trip.
NAMES_PER_ROUND_TRIP = 200


class Answers(NamedTuple):
    """What was answered, by name: the replies in order, or the error."""

    replies: dict[str, list[Any]]
    errors: dict[str, ServerError]


async def scatter(
    connection: Connection,
    names: Sequence[str],
    key: Callable[[str], Argument],
    ask: Callable[[str], Sequence[Command]],
) -> Answers:
    """Ask about each of these names.

    Args:
        connection: the server, or the Cluster.
        names: what is asked about.
        key: a key of that name: it says which server is asked.
        ask: the commands for a name.

    Returns:
        The replies for each name. The error, where the server refuses a command, or is one of a Cluster and away.

    Raises:
        ServerUnreachable: the only server is away, or nobody of the Cluster answers.

    """
    found = Answers({}, {})

    async def ask_one_server(mine: Sequence[str]) -> None:
        for start in range(0, len(mine), NAMES_PER_ROUND_TRIP):
            chunk = mine[start : start + NAMES_PER_ROUND_TRIP]
            commands = [tuple(ask(name)) for name in chunk]

            try:
                replies = iter(await connection.each([each for some in commands for each in some]))
            except ServerUnreachable as error:
                if not connection.is_cluster:
                    raise

                found.errors.update(dict.fromkeys(mine[start:], error))
                return

            for name, some in zip(chunk, commands, strict=True):
                answers = [next(replies) for _ in some]
                refused = [each for each in answers if isinstance(each, ServerError)]

                if refused:
                    found.errors[name] = refused[0]
                else:
                    found.replies[name] = answers

    groups = await connection.by_server([key(name) for name in names])
    await asyncio.gather(*(ask_one_server([names[at] for at in mine]) for _, mine in groups))

    return found
