"""`aioq retry-budget`: how many retries queues take."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from aioq.cli import output, words
from aioq.cli.checks import checked
from aioq.cli.common import JsonOption, Target, connected, on_each, tell_of_away, tell_of_missing
from aioq.cli.complete import queue_names
from aioq.client.queue import Queue
from aioq.store import Connection, Directory
from aioq.values.durations import positive_ms
from aioq.values.errors import ServerError
from aioq.values.numbers import whole
from aioq.values.retry_budget import RetryBudget


def _count(value: int, name: str) -> int:
    return whole(value, name, 1)


Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="The queues; without any, all are shown."),
]
Limit = Annotated[
    int | None,
    typer.Option(
        "--limit",
        metavar="N",
        callback=checked(_count),
        help="Set the budget: so many retries in the time of --per.",
    ),
]
Per = Annotated[
    str | None,
    typer.Option(
        "--per", metavar="DURATION", callback=checked(positive_ms), help="That time; without it, a second."
    ),
]
Burst = Annotated[
    int | None,
    typer.Option(
        "--at-once", metavar="N", callback=checked(_count), help="So many at once; without it, as many as --limit."
    ),
]


def retry_budget(
    queues: Names = None,
    *,
    limit: Limit = None,
    per: Per = None,
    at_once: Burst = None,
    off: Annotated[bool, typer.Option("--off", help="Remove the budget.")] = False,
    target: Target,
    as_json: JsonOption = False,
) -> None:
    """Show or set how many retries queues take.

    It holds for all their workers and at once. A retry that is too much is held back, and none fails for it.
    """
    changes = off or limit is not None

    if off and limit is not None:
        raise typer.BadParameter("it cannot be combined with --limit", param_hint="'--off'")

    for name, value in (("--per", per), ("--at-once", at_once)):
        if value is not None and limit is None:
            raise typer.BadParameter("it needs --limit", param_hint=f"'{name}'")

    if changes and not queues:
        raise typer.BadParameter("name the queues whose budget is to change", param_hint="'QUEUES'")

    new = {"limit": limit, "per": per or 1, "at_once": at_once} if changes else None
    found, missing, away = asyncio.run(_run(target, list(dict.fromkeys(queues or [])), new))

    if as_json:
        output.say_json({"budgets": {name: shown_budget(budget) for name, budget in found.items()}})
    else:
        for name, budget in found.items():
            output.say(f"Queue {name}: {told_budget(budget)}.")

    tell_of_away(away)

    if missing or away:
        raise typer.Exit(1)


async def _run(
    target: Target, names: list[str], new: Mapping[str, Any] | None
) -> tuple[dict[str, RetryBudget | None], list[str], dict[str, ServerError]]:
    away: dict[str, ServerError] = {}

    async with connected(target) as connection:
        missing = await tell_of_missing(connection, names)
        wanted = names or await Directory(connection, away=away).queues()

        async def look(queue: Queue) -> RetryBudget | None:
            if new is not None:
                await queue.set_retry_budget(**new)

            return await queue.retry_budget()

        found = await on_each(_queues(connection, wanted, missing), look, away)

    return found, missing, away


def _queues(connection: Connection, names: list[str], missing: list[str]) -> list[Queue]:
    return [Queue(name, connection) for name in names if name not in missing]


def shown_budget(budget: RetryBudget | None) -> dict[str, Any] | None:
    """A budget as JSON."""
    if budget is None:
        return None

    return {
        "limit": budget.limit,
        "per": budget.per,
        "at_once": budget.at_once,
        "next_at": budget.next_at and budget.next_at.isoformat(),
    }


def told_budget(budget: RetryBudget | None) -> str:
    """A budget in words.

    Example:
        >>> told_budget(RetryBudget(100, 60, 20))
        'at most 100 retries in 1 minute, 20 at once'

    """
    if budget is None:
        return "any number of retries"

    noun = "retry" if budget.limit == 1 else "retries"
    text = f"at most {budget.limit:,} {noun} in {words.duration(budget.per)}, {budget.at_once:,} at once"
    left = held_seconds(budget)

    return f"{text}; the next one is held back for {words.duration(left)}" if left else text


def held_seconds(budget: RetryBudget) -> int:
    """For how long the next retry is held back, by the clock of this machine; 0: it is not."""
    return 0 if budget.next_at is None else max(0, round((budget.next_at - datetime.now(UTC)).total_seconds()))
