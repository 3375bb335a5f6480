"""Jobs that note what becomes of them, and jobs that wait for a gate."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from typing import Any

notes: defaultdict[str, list[Any]] = defaultdict(list)
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)


async def note(key: str, value: Any = None) -> Any:
    notes[key].append(value)
    return value


async def hold(key: str) -> str:
    notes[key].append("begun")
    try:
        await gates[key].wait()
    except asyncio.CancelledError:
        notes[key].append("canceled")
        raise
    notes[key].append("done")
    return key


def hold_sync(key: str) -> str:
    notes[key].append("begun")
    pause = threading.Event()
    try:
        while not gates[key].is_set():
            pause.wait(0.005)
    except BaseException as error:
        notes[key].append(type(error).__name__)
        raise
    notes[key].append("done")
    return key
