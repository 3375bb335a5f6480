"""What happened in a run, as lines of JSON: what clients asked, what jobs did, what was broken, what was left."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal

#: invoke, ok, fail, info: an operation of a client; info says that nobody knows whether it was carried out.
#: begin, end: a job's body, recorded outside the queue's server; an end is named returned, raised or cancelled.
#: commit: a result that somebody read. fault: something was broken. final: one job in one index, after the drain.
#: key: a key that is left.
Kind = Literal["invoke", "ok", "fail", "info", "begin", "end", "commit", "fault", "final", "key"]


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history. Times are seconds of one monotonic clock; what does not apply keeps its default."""

    at: float
    kind: Kind
    name: str = ""  # the operation, how a run ended, the fault, the state, the key
    job: str = ""
    fence: int = 0
    pid: int = 0  # of a begin, an end: who ran it; of a fault: the worker that it hit (0: all of them)
    due: float | None = None  # of an enqueue: not before this
    unique: str = ""  # of an enqueue: the scope in which it is the only one
    limit: tuple[str, int] | None = None  # of an enqueue: the key, and how many may run at once
    sequence: str = ""  # of an enqueue: runs of one sequence begin in the order of their enqueues
    slot: str = ""  # of an enqueue: the moment of a cron that it stands for
    retries: int = 0  # of an enqueue: how often a run that raised may be followed by another
    callback: str = ""  # of a begin: the group whose end it is called for
    until: float = 0  # of a fault: when it was over, if not at once
    redelivers: bool = False  # of a fault: runs that it interrupts come again
    loses: float = 0  # of a fault: writes of this many seconds before it may be gone from the server


def dump(events: Iterable[Event]) -> str:
    """The history as text, one event on each line."""
    return "".join(json.dumps(asdict(event)) + "\n" for event in events)


def append(path: Path, event: Event) -> None:
    """Adds one event to a file that many processes write: one call, so that lines never mix."""
    file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)

    try:
        os.write(file, dump([event]).encode())
    finally:
        os.close(file)


def load(text: str) -> list[Event]:
    """The history from its text, by time. A last line that was cut off by a kill is left out."""
    whole = text[: text.rfind("\n") + 1]
    rows = [json.loads(line) for line in whole.splitlines()]

    return sorted(
        (Event(**{**row, "limit": tuple(row["limit"]) if row["limit"] else None}) for row in rows),
        key=lambda event: event.at,
    )


def gather(folder: Path) -> list[Event]:
    """The history that many processes wrote, each into a file of its own."""
    return sorted(
        (event for file in folder.glob("*.events") for event in load(file.read_text())), key=lambda event: event.at
    )
