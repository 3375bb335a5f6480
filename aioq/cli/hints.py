"""The advice that a command adds to its output when a server or a worker is missing."""

from __future__ import annotations

from urllib.parse import urlsplit

from aioq.cli import output
from aioq.client.queue import Queue
from aioq.client.unserved import unserved
from aioq.store.net.absent import HERE, START, can_embed, folder_has_one
from aioq.values.errors import ServerUnreachable

_THIS_MACHINE = ("localhost", "127.0.0.1", "::1")


def with_hint(error: ServerUnreachable, url: str) -> str:
    """The text of the error, and the advice: start a server (if the URL names this machine), or use another."""
    text = str(error.args[0])
    advice = [error.advice] if error.advice and not error.nobody_listens else []  # else it is for programs

    if can_embed() and url != HERE and folder_has_one():
        advice.append(f"This folder has an embedded one: add -u {HERE}")
    elif error.nobody_listens and _is_here(url):
        advice.append(START + (f", or add -u {HERE}" if can_embed() else ""))

    return ". ".join([text.rstrip(".") if advice else text, *advice])


async def tell_of_no_worker(queue: Queue) -> None:
    """Report on stderr if no worker serves the queue. Without the right to check, nothing is reported."""
    if await unserved(queue.store):
        output.warn(f"No worker serves queue {queue.name}. Start one: aioq worker {queue.name}")


def _is_here(url: str) -> bool:
    parts = urlsplit(url)

    return parts.scheme == "unix" or parts.hostname in _THIS_MACHINE
