"""Page: one page of the dashboard, as what reads its facts and the template that shows them."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

from aioq.web.board import Board


class Ask(NamedTuple):
    """What a page is asked for.

    Args:
        board: what is read from the server.
        path: the parts of the path that have names.
        query: what stands behind the question mark.
        may_act: whether whoever asks may act.

    """

    board: Board
    path: Mapping[str, str]
    query: Mapping[str, str]
    may_act: bool


#: What a template shows.
Facts = dict[str, Any]


class Page(NamedTuple):
    """One page.

    Args:
        name: of its template, without `.html`.
        path: where it is, in Starlette's form.
        read: brings what the template shows, with few bounded calls to the server.
        title: its name in the navigation; "" for a page that is not there.

    """

    name: str
    path: str
    read: Callable[[Ask], Awaitable[Facts]]
    title: str = ""


class NotFound(Exception):
    """There is nothing under this address. The text says what to do."""


class Elsewhere(Exception):
    """What was asked for is shown at another place, which is the text: a path below the dashboard."""
