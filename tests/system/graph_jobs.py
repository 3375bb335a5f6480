"""The jobs of a graph: each notes its begin and its end in a file."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path


def note(path: str, what: str, number: int) -> None:
    with Path(path).open("a") as file:
        file.write(f"{what} {number} {time.time()}\n")


async def node(path: str, number: int, seconds: float, fails: bool) -> int:
    note(path, "begin", number)
    await asyncio.sleep(seconds)

    if fails:
        raise ValueError(number)

    note(path, "end", number)

    return number


def noted(path: Path, what: str) -> dict[int, list[float]]:
    """When the jobs began or ended, by their numbers."""
    found: dict[int, list[float]] = {}

    for line in path.read_text().splitlines() if path.exists() else ():
        kind, number, at = line.split()

        if kind == what:
            found.setdefault(int(number), []).append(float(at))

    return found
