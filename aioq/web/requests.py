"""Requests: where the dashboard is mounted, which path below it is asked for, and what a form says."""

from __future__ import annotations

from urllib.parse import parse_qsl, quote

from starlette.requests import Request

#: The most bytes of a form.
MOST_FORM_BYTES = 65_536


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
