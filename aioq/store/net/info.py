"""Info: what a server says of itself when it is asked by INFO."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

#: The oldest versions that aioq works with.
OLDEST = {"redis": (6, 2), "valkey": (7, 2)}


class Version(NamedTuple):
    """The version of a server.

    Args:
        kind: redis or valkey.
        text: the version as the server says it; "" if it does not.
        numbers: the first two numbers of that.

    """

    kind: str
    text: str
    numbers: tuple[int, ...]


def facts_of(info: bytes) -> dict[str, str]:
    """The reply to INFO, by name."""
    return dict(line.split(":", 1) for line in info.decode().splitlines() if ":" in line)


def version_of(facts: Mapping[str, str]) -> Version:
    """The version that stands among the facts of a server."""
    kind = "valkey" if "valkey_version" in facts else "redis"
    text = facts.get(f"{kind}_version", "")

    return Version(kind, text, tuple(int(part) for part in re.findall(r"\d+", text)[:2]))
