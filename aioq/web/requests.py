"""Requests: where the dashboard is mounted, which path below it is asked for, and what a form says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from urllib.parse import parse_qsl, quote, unquote, urlencode

from starlette.requests import Request

#: The most bytes of a form.
MOST_FORM_BYTES = 65_536

#: A path as `below` writes one. Of a second slash at its beginning a browser makes another host.
_PLAIN = re.compile(r"/(?!/)[A-Za-z0-9_.~:@+/%-]*")

#: What an address says of the last action. The next action says it anew.
TOLD_BY = ("told", "n")


def base_of(request: Request) -> str:
    """Where the dashboard is mounted: "" or a path that does not end in a slash."""
    return str(request.scope.get("root_path", "")).rstrip("/")


def below(request: Request) -> str:
    """The path below the place where the dashboard is mounted, as it was asked for."""
    return quote(request.scope["path"].removeprefix(base_of(request)) or "/", safe="/:@+")


async def form_of(request: Request) -> dict[str, str]:
    """The fields of a form. Raises nothing: what is too long or none has no fields."""
    body = b""

    async for part in request.stream():
        body += part

        if len(body) > MOST_FORM_BYTES:
            return {}

    return dict(parse_qsl(body.decode(errors="replace"), keep_blank_values=True))


def back_to(given: str, words: Mapping[str, str]) -> str:
    """The address that a form leads back to.

    A form may be sent by anybody who may act, so its text is not trusted: browsers take a backslash for a slash,
    leave out tabs and the ends of lines, and `..` leads out of the place where the dashboard is mounted.

    Args:
        given: the path and the query of the page that the form stood on. Of anything else it is the overview.
        words: what the address says besides, such as what has been done.

    """
    path, _, query = given.partition("?")
    is_plain = _PLAIN.fullmatch(path) and not {".", ".."} & set(unquote(path).split("/"))
    kept = {name: value for name, value in parse_qsl(query) if name not in TOLD_BY} if is_plain else {}

    return f"{path if is_plain else '/'}?{urlencode({**kept, **words})}"
