"""Matching: what is done to all jobs of a queue that a filter is for."""

from __future__ import annotations

import asyncio
import sys
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.common import Target, opened, tell_of_missing
from aioq.cli.describe import list_table, row, short_list_table
from aioq.client.searching import SearchPage, Verb, narrowed, on_all
from aioq.values.errors import InvalidInput
from aioq.values.filter import Filter

#: How many of the jobs are shown before anything is done to them.
SAMPLE = 5

FilterOption = Annotated[
    str | None,
    typer.Option(
        "--filter", metavar="FILTER", help="All jobs that it is for, such as 'state:failed error:\"time out\"'."
    ),
]
FingerprintOption = Annotated[
    str | None,
    typer.Option("--fingerprint", metavar="FINGERPRINT", help="All jobs with it, as `aioq failures` shows it."),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="With --filter: count the jobs and show some; change nothing.")
]


def joined(text: str | None, fingerprint: str | None) -> str:
    """The text of a filter, and what else it is for."""
    return " ".join(filter(None, (fingerprint and f"fingerprint:{fingerprint}", text)))


def act_on_all(
    verb: Verb,
    word: str,
    text: str,
    *,
    queue: str | None,
    target: Target,
    dry_run: bool,
    as_json: bool,
    quiet: bool = False,
    **options: bool,
) -> None:
    """Do something to all jobs of a queue that a filter is for: count them, show some, and then go through them.

    Args:
        verb: what is done.
        word: what was done then: "requeued".
        text: the filter.
        queue: the name of the queue; it must be given.
        target: the server.
        dry_run: change nothing.
        as_json: print a document at the end.
        quiet: print errors only.
        options: those of the verb.

    """
    if queue is None:
        raise InvalidInput("--filter: name the queue with --queue")

    found = narrowed(Filter.parse(text), verb)
    asyncio.run(_act(verb, word, found, queue, target, dry_run, as_json, quiet or as_json, options))


def is_for_all(
    verb: Verb,
    word: str,
    ids: list[str] | None,
    text: str | None,
    queue: str | None,
    target: Target,
    *,
    dry_run: bool,
    as_json: bool,
) -> bool:
    """Whether a command was given a filter in the place of ids; then it is done with all jobs that it is for.

    Raises:
        InvalidInput: there is both, or neither.

    """
    if (text is None) == (not ids):
        raise InvalidInput("give ids, or --queue with --filter")

    if text is not None:
        act_on_all(verb, word, text, queue=queue, target=target, dry_run=dry_run, as_json=as_json)

    return text is not None


async def _act(
    verb: Verb,
    word: str,
    found: Filter,
    name: str,
    target: Target,
    dry_run: bool,
    as_json: bool,
    quiet: bool,
    options: dict[str, bool],
) -> None:
    done = 0

    async with opened(name, target) as queue:
        if await tell_of_missing(queue.connection, [name]):
            raise typer.Exit(1)

        first = await queue.search(found, limit=SAMPLE)
        count = await _count(queue, found, first)

        if not quiet:
            output.say_table((short_list_table if sys.stdout.isatty() else list_table)(first.jobs))
            output.say(
                f"{output.count(count, 'job')} of queue {name}" + ("; nothing was changed" if dry_run else "")
            )

        if not dry_run:
            async for moved in on_all(queue.store, verb, found, **options):
                done += moved

    if as_json:
        sample = [row(job) for job in first.jobs]
        output.say_json({"queue": name, "matched": count, "sample": sample, word: done, "dry_run": dry_run})
    elif not dry_run and not quiet:
        output.say(f"{output.count(done, 'job')} {word}")


async def _count(queue: Any, found: Filter, page: SearchPage) -> int:
    while page.cursor is not None:
        page = await queue.search(found, limit=1_000, cursor=page.cursor)

    return page.matched
