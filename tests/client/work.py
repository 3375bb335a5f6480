"""Jobs that tests talk to. Test and worker share a process; each test has a key of its own."""

from __future__ import annotations

import asyncio
import threading
from collections import defaultdict
from typing import Any

from aioq import get_current_job

#: What jobs have noted, by key.
notes: defaultdict[str, list[Any]] = defaultdict(list)

#: What jobs wait for, by key.
gates: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
thread_gates: defaultdict[str, threading.Event] = defaultdict(threading.Event)


async def note(key: str, value: Any = None) -> Any:
    notes[key].append(value)
    return value


async def note_and_fail(key: str, value: Any = None) -> None:
    notes[key].append(value)
    raise ValueError(f"failed on purpose: {value}")


async def fail_until(key: str, runs: int) -> int:
    """Fails in all but the last of `runs` runs."""
    notes[key].append(get_current_job().attempt)
    if len(notes[key]) < runs:
        raise ValueError(f"run {len(notes[key])} failed on purpose")
    return len(notes[key])


async def hold(key: str) -> str:
    """Runs until the gate opens; notes how it ends."""
    notes[key].append("begun")
    try:
        await gates[key].wait()
    except asyncio.CancelledError:
        notes[key].append("canceled")
        raise
    notes[key].append("done")
    return key


def hold_sync(key: str) -> str:
    """As `hold`, on a thread. It waits in short steps, so that an exception can be raised in it."""
    notes[key].append("begun")
    try:
        while not thread_gates[key].wait(0.005):
            pass
    except BaseException as error:
        notes[key].append(type(error).__name__)
        raise
    notes[key].append("done")
    return key
