"""What happened in a run, as lines of JSON: what clients asked, what jobs did, what was broken, what was left."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal, get_args

#: invoke, ok, fail, info: an operation of a client; info says that nobody knows whether it was carried out.
#: begin, end: a job's body, noted outside the server; an end is named returned, raised, cancelled or killed.
#: commit: a result that somebody read; its fence is NO_FENCE if it is the result of no run. call: a callback of a
#: job began, named after its kind, or a webhook has come, named after its type. fault: something was broken.
#: start: a worker's process was started. final: one job in one index, after the drain. key: a key that is left.
#: counted: how many (fence) runs of this name the statistics of all queues tell. told: a row of the audit names
#: the job; its action gives the name. tagged: a search by the tag of this name finds the job. damaged: a line that
#: is no event.
Kind = Literal[
    "invoke",
    "ok",
    "fail",
    "info",
    "begin",
    "end",
    "commit",
    "call",
    "fault",
    "start",
    "final",
    "key",
    "counted",
    "told",
    "tagged",
    "damaged",
]

#: The fence of what is no result of a run: None, say, or bytes of which a part is missing.
NO_FENCE = 0


#: The name of a commit that is an argument of another job.
TAKEN = "taken"


@dataclass(frozen=True, slots=True)
class Event:
    """One line of a history. Times are seconds of one monotonic clock; what does not apply keeps its default."""

    at: float
    kind: Kind
    name: str = ""  # the operation, how a run ended, the fault, the state, the key
    job: str = ""
    fence: int = 0
    pid: int = (
        0  # who wrote it; of a fault: the process that it hit (0: all of them); of a start: who was started;
    )
    # of a job that failed for its workers: the last of these, if the job was alone there
    due: float | None = None  # of an enqueue: not before this
    unique: str = ""  # of an enqueue: the scope in which it is the only one
    limit: tuple[str, int] | None = None  # of an enqueue: the key, and how many may run at once
    sequence: str = ""  # of an enqueue: runs of one sequence begin in the order of their enqueues
    after: str = ""  # of an enqueue: the job that must have returned before it begins
    patience: float = 0  # of an enqueue: for how many seconds it may wait for that
    child_of: str = ""  # of an enqueue: the job whose run has added this one to it
    slot: str = ""  # of an enqueue: the moment of a cron that it stands for
    retries: int = 0  # of an enqueue: how often a run that raised may be followed by another
    deadline: float = (
        0  # of an enqueue: no run that follows one that raised begins later than so many seconds after the first
    )
    repeats: int = 0  # of an enqueue: how many runs of its series follow the first one
    brief: bool = False  # of an enqueue: no record is left soon after the job's end
    kills: bool = False  # of an enqueue: each run ends the process of its worker
    called: bool = False  # of an enqueue: its end has a callback and a webhook
    tags: str = ""  # of an enqueue: the tags of the job, with a comma between them
    actor: str = ""  # of an operation, and of a row of the audit: who acts
    queue: str = ""  # of an enqueue, and of a row of the audit
    callback: str = ""  # of a begin: the group whose end it is called for
    until: float = 0  # of a fault: when it was over, if not at once
    redelivers: bool = False  # of a fault: runs that it interrupts come again
    loses: float = 0  # of a fault: writes of this many seconds before it may be gone from the server
    within: float = 0  # of a fault: the process that it hit must have ended within this many seconds
    shift: float = 0  # of a fault: by how many seconds the server's clock was set forward at its begin
    away: tuple[str, ...] = ()  # of a fault: the queues whose server was away, while those of others were there


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
    """The history from its text, by time. A last line that was cut off by a kill is left out.

    Any other line that is no event becomes one of the kind "damaged", which the checker names.
    """
    whole = text[: text.rfind("\n") + 1]

    return sorted(map(_read, whole.splitlines()), key=lambda event: event.at)


def gather(folder: Path) -> list[Event]:
    """The history that many processes wrote, each into a file of its own."""
    texts = (file.read_text(errors="replace") for file in folder.glob("*.events"))

    return sorted((event for text in texts for event in load(text)), key=lambda event: event.at)


#: No monotonic clock gets so far, in seconds.
LATEST = 1e12


def _is_number(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False

    return value == math.inf or abs(value) < LATEST


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_flag(value: object) -> bool:
    return isinstance(value, bool)


#: What each field of a line must be.
_FIELDS: dict[str, Callable[[Any], bool]] = {
    "at": lambda value: _is_number(value) and value != math.inf,
    "kind": lambda value: value in get_args(Kind),
    **dict.fromkeys(
        ("name", "job", "unique", "sequence", "after", "child_of", "slot", "tags", "actor", "queue", "callback"),
        _is_text,
    ),
    **dict.fromkeys(("fence", "pid", "retries", "repeats"), _is_count),
    **dict.fromkeys(("brief", "kills", "called", "redelivers"), _is_flag),
    **dict.fromkeys(("until", "loses", "within", "shift", "deadline", "patience"), _is_number),
    "due": lambda value: value is None or _is_number(value),
    "limit": lambda value: value is None or _is_limit(value),
    "away": lambda value: isinstance(value, list) and all(map(_is_text, value)),
}


def _is_limit(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and _is_text(value[0]) and _is_count(value[1])


def _read(line: str) -> Event:
    """The event of a line."""
    try:
        row = json.loads(line)
    except (ValueError, RecursionError):
        row = None

    is_event = isinstance(row, dict) and {"at", "kind"} <= row.keys() <= _FIELDS.keys()

    if not is_event or not all(_FIELDS[name](value) for name, value in row.items()):
        return Event(0, "damaged", line[:200])

    limit, away = row.get("limit"), row.get("away", ())

    return Event(**row | {"limit": None if limit is None else tuple(limit), "away": tuple(away)})
