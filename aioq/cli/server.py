"""`aioq server`: the embedded server in the foreground."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from aioq.cli import output
from aioq.cli.common import JsonOption

Directory = Annotated[Path, typer.Argument(metavar="DIR", help="Where the server keeps its data.")]


def server(directory: Directory = Path(".aioq"), *, as_json: JsonOption = False) -> None:
    """Run the embedded server of a directory in the foreground.

    `embedded://` URLs of the same directory name this server. It stops when its last user has left.
    """
    from aioq.embedded import EmbeddedServer  # noqa: PLC0415 - an edge of its own, only this command needs it

    running = EmbeddedServer.open(directory)

    try:
        # Signals are blocked from here on, so sigwait also sees one that comes before it.
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM})
        facts = {"url": running.url, "pid": running.pid, "directory": str(running.directory)}
        output.say_json(facts) if as_json else output.say(running.url)
        signal.sigwait({signal.SIGINT, signal.SIGTERM})
    finally:
        running.close()
