"""Actor: who uses the command line, as it is told to others."""

from __future__ import annotations

import getpass
import socket


def actor() -> str:
    """The user and the machine: "ann@desk"."""
    try:
        user = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a user without a name, as in some containers
        user = "unknown"

    return f"{user}@{socket.gethostname()}"[:200]
