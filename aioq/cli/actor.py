"""Actor: the name under which the command line acts."""

from __future__ import annotations

import getpass
import inspect
import os
import socket
from collections.abc import Callable
from functools import wraps
from typing import Any

from aioq.store.acting import acting_as
from aioq.values.audit import MAX_BY, checked_by
from aioq.values.summary import printable

ACTOR_VARIABLE = "AIOQ_ACTOR"


def actor() -> str:
    """The user and the machine: "ann@desk"; or what AIOQ_ACTOR says.

    Raises:
        InvalidInput: AIOQ_ACTOR cannot be used.

    """
    if (named := os.environ.get(ACTOR_VARIABLE)) is not None:
        return checked_by(named, ACTOR_VARIABLE)

    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        user = "unknown"

    return printable(f"{user}@{socket.gethostname()}")[:MAX_BY]


def audited(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose changes leave rows in the audit."""

    @wraps(command)
    def run(*args: Any, **given: Any) -> None:
        with acting_as(actor(), source="cli"):
            command(*args, **given)

    # typer reads this; the command's own annotations are texts with names of another module.
    run.__signature__ = inspect.signature(command, eval_str=True)  # type: ignore[attr-defined]

    return run
