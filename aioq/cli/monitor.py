"""`aioq monitor`: queues, jobs, failures and workers on a terminal, live, with keys for what is done most."""

from __future__ import annotations

import asyncio
import os
import sys
from typing import Annotated

import typer

from aioq.cli.checks import read_seconds
from aioq.cli.common import CommandError, Target, connected

Interval = Annotated[
    str, typer.Option("--interval", "-i", metavar="DURATION", help="The pause between two looks: 2, 500ms, 1m.")
]


def monitor(*, interval: Interval = "2", target: Target) -> None:
    """Watch queues, jobs and workers, and act by keys.

    The key ? shows which keys there are.
    """
    seconds = read_seconds(interval, "--interval", 0.5)
    assert seconds is not None  # it has a default
    _check_terminal()

    try:
        code = asyncio.run(_monitor(target, seconds))
    except KeyboardInterrupt:  # the other way to leave it
        return

    if code:
        raise typer.Exit(code)


def _check_terminal() -> None:
    """Refuse what is no terminal, or one that cannot move its cursor.

    Raises:
        CommandError: it is none.

    """
    for stream, what in ((sys.stdin, "input"), (sys.stdout, "output")):
        if not stream.isatty():
            raise CommandError(
                f"`aioq monitor` needs a terminal, and its {what} is none. `aioq info` shows queues and workers"
                " anywhere, `aioq info --json` to programs."
            )

    if os.environ.get("TERM", "dumb") in ("", "dumb"):
        raise CommandError(
            "`aioq monitor` needs a terminal that can move its cursor, and TERM says that this one cannot."
            " `aioq info` shows queues and workers anywhere."
        )


async def _monitor(target: Target, interval: float) -> int:
    # rich and termios take longer to import than most commands to run, and not every system has the second.
    from aioq.cli.screen.monitor import Monitor  # noqa: PLC0415
    from aioq.cli.screen.terminal import Terminal  # noqa: PLC0415

    async with connected(target) as connection:
        with Terminal(sys.stdin.fileno(), sys.stdout.fileno()) as terminal:
            return await Monitor(connection, terminal, interval, sys.stdout.encoding or "ascii").run()
