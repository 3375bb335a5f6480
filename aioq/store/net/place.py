"""Place: where a server listens."""

from __future__ import annotations

#: A server, by host and port.
Place = tuple[str, int]


def spelled(place: Place) -> str:
    """A server as URLs and messages have it."""
    host, port = place

    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
