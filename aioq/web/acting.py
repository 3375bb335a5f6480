"""Acting: what forms do to many jobs at once, as far as a browser waits for it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import cast

from aioq.client.searching import Verb, narrowed, on_all
from aioq.values.errors import InvalidInput
from aioq.values.filter import Filter
from aioq.values.ids import check_queue_name
from aioq.web.board import Board

#: The most jobs of one form, and for how many seconds it goes on.
MOST_JOBS, LONGEST_S = 10_000, 20.0


async def on_matching(board: Board, verb: str, form: Mapping[str, str]) -> tuple[int, bool]:
    """Do something to all jobs that a filter is for, in one queue or in all.

    Returns:
        To how many it was done, and whether that was all of them.

    Raises:
        InvalidInput: the filter cannot be used, or what was typed is not the number that was shown.

    """
    count, typed = form.get("count", ""), form.get("typed", "").strip()

    if verb != "requeue" and (not typed or typed.replace(",", "") != count):
        raise InvalidInput(f"to {verb} {count} jobs, type their number; {typed!r} is another one")

    filtered = narrowed(Filter.parse(form.get("q", "")), cast("Verb", verb))
    given = form.get("queue", "")
    names = [check_queue_name(given)] if given else await board.names()
    options = {"at_front": False, "reset": True} if verb == "requeue" else {}
    done, deadline = 0, time.monotonic() + LONGEST_S

    for name in names:
        async for moved in on_all(board.store(name), cast("Verb", verb), filtered, **options):
            done += moved

            if done >= MOST_JOBS or time.monotonic() > deadline:
                return done, False

    return done, True
