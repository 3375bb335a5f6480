"""Library: the scripts that this process sends by their SHA, for servers that have forgotten them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

from aioq.store.net.command import Command

_TEXTS: dict[str, str] = {}
_NAMES: dict[str, str] = {}


def add(name: str, text: str) -> str:
    """Take a script in. Returns its SHA, by which EVALSHA calls it.

    Args:
        name: what errors call it.
        text: the Lua that the server runs.

    """
    sha = hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()
    _TEXTS[sha], _NAMES[sha] = text, name

    return sha


def loading(shas: Iterable[str]) -> list[Command]:
    """The commands that make scripts known to a server.

    What is loaded is not evicted, unlike what EVAL brings. Each script is loaded when it is needed first: the more
    Lua a server has, the longer each script takes, and who uses no dependencies need not pay for theirs.

    Args:
        shas: those of the scripts.

    """
    return [("SCRIPT", "LOAD", _TEXTS[sha]) for sha in dict.fromkeys(shas)]


def name_of(command: Command) -> str:
    """The name of the script that a command calls; "" if it calls none."""
    return _NAMES.get(str(command[1]), "") if command[:1] == ("EVALSHA",) else ""
