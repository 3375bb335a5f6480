"""`aioq ls` with a filter: the jobs that it is for."""

from __future__ import annotations

import asyncio
import re
import sys
from collections.abc import Sequence
from dataclasses import replace

from aioq.cli import output
from aioq.cli.common import Target, opened, tell_of_missing
from aioq.cli.describe import list_table, row, short_list_table
from aioq.client.searching import SearchPage
from aioq.values.filter import Filter
from aioq.values.states import JobStatus
from aioq.values.tags import check_tags

#: What tells a filter from the name of a queue. A queue with such a name is given with --queue.
_FILTER = re.compile(r"(?:^|\s)(?:id|state|fn|tag|error|worker|fingerprint|after|before|meta\.[^:\s]+):")


def parted(given: Sequence[str]) -> tuple[list[str], list[str]]:
    """The names of queues, and the words of a filter, among what stands behind `aioq ls`.

    Example:
        >>> parted(["mail", "state:failed", "tag:vip error:refused"])
        (['mail'], ['state:failed', 'tag:vip error:refused'])

    """
    words = [each for each in given if _FILTER.search(each)]

    return [each for each in given if each not in words], words


def read_words(words: Sequence[str], tags: Sequence[str], status: JobStatus | None) -> Filter | None:
    """The filter that was given in several places; None if there is none.

    Raises:
        InvalidInput: one cannot be used.

    """
    if not words and not tags:
        return None

    found = Filter.parse(" ".join(words))
    found = replace(found, tags=(*found.tags, *check_tags(list(tags), "--tag")))

    return found if status is None else replace(found, states=(status,))


def list_matching(names: Sequence[str], target: Target, wanted: Filter, limit: int, *, as_json: bool) -> None:
    """Print the jobs of queues that a filter is for."""
    documents = []

    for name in names:
        page = asyncio.run(_search(name, target, wanted, limit))

        if as_json:
            documents.append(
                {
                    "queue": name,
                    "scanned": page.scanned,
                    "total": page.total,
                    "is_complete": page.cursor is None,
                    "jobs": [row(job) for job in page.jobs],
                }
            )
            continue

        if len(names) > 1:
            output.say(f"{name}:")

        on_terminal = sys.stdout.isatty()

        if page.jobs or not on_terminal:
            output.say_table((short_list_table if on_terminal else list_table)(page.jobs))

        told = f"{output.count(len(page.jobs), 'job')} found; {page.scanned} of {page.total} were looked at"
        (output.say if on_terminal else output.warn)(
            told + ("" if page.cursor is None else "; --limit shows more")
        )

    if as_json:
        output.say_json(documents[0] if len(documents) == 1 else documents)


async def _search(name: str, target: Target, wanted: Filter, limit: int) -> SearchPage:
    async with opened(name, target) as queue:
        await tell_of_missing(queue.connection, [name])
        page = await queue.search(wanted, limit=limit)
        jobs = page.jobs

        while page.cursor is not None and len(jobs) < limit:
            page = await queue.search(wanted, limit=limit - len(jobs), cursor=page.cursor)
            jobs = jobs + page.jobs

        return replace(page, jobs=jobs)
