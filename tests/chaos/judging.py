"""What all rules of the checker share: events by job, runs, and what a fault accounts for."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

from .history import Event

#: How long after its function's end a run may still be unrecorded, in seconds: the trip to the server takes time
#: on a busy machine, and jobs of trials block their worker's event loop for up to 1.5. A worker that was cut off
#: pauses for up to three seconds before it tries again.
UNRECORDED = 2.5
RETURN = 4.0


@dataclass(frozen=True, slots=True)
class Violation:
    """A rule that does not hold, and the events of the jobs concerned."""

    rule: str
    why: str
    events: tuple[Event, ...]

    def __str__(self) -> str:
        start = min((event.at for event in self.events), default=0)

        return "\n".join([f"{self.rule}: {self.why}", *(f"  {told(event, start)}" for event in self.events)])


def told(event: Event, start: float) -> str:
    """An event as one line: seconds since the first one, and all that is not default."""
    details = [
        f"{name}={value - start:.3f}" if name in ("due", "until") else f"{name}={value}"
        for name, value in asdict(event).items()
        if name not in ("at", "kind", "name") and value
    ]

    return " ".join([f"{event.at - start:9.3f}", event.kind, event.name, *details])


History = list[Event]
Found = Iterator[Violation]


def jobs(history: History) -> dict[str, History]:
    """The events of each job."""
    by: dict[str, History] = defaultdict(list)

    for event in history:
        if event.job:
            by[event.job].append(event)

    return by


def runs(events: History) -> Iterator[tuple[Event, float]]:
    """The runs that began, each with its end; one that was killed has none, and is taken to end as it began."""
    ends = {(e.job, e.fence): e.at for e in events if e.kind == "end"}

    return ((e, ends.get((e.job, e.fence), e.at)) for e in events if e.kind == "begin")


def acked(events: History) -> bool:
    return any(e.kind == "ok" and e.name == "enqueue" for e in events)


def fell(fault: Event, event: Event) -> bool:
    """Whether what the server wrote around this event may be gone by a fault that loses writes.

    A claim is written some time before its run begins, and its reply may be on its way when the server dies.
    """
    return bool(fault.loses) and fault.at - fault.loses <= event.at <= max(fault.at, fault.until) + UNRECORDED


def lost(events: History, faults: History) -> bool:
    """Whether a loss excuses this job: one of the server's writes about it may be gone."""
    return any(fell(fault, event) for fault in faults for event in events if event.kind not in ("final", "key"))


def buried(events: History, history: History) -> bool:
    """Whether a job failed because its workers were lost three times; it may never have had its turn."""
    told = next((e.at for e in events if e.kind == "info" and e.name == "buried"), None)

    if told is None:
        return False

    asked = min(e.at for e in events)

    return sum(e.kind == "fault" and e.redelivers and asked <= max(e.at, e.until) <= told for e in history) >= 3


def losses(history: History) -> History:
    return [e for e in history if e.kind == "fault" and e.loses]


def reason(before: Event, after: Event, events: History, faults: History) -> Event | None:
    """The requeue or the fault for which one run was followed by another. What is left are retries.

    A fault goes before a retry: a run may have raised just before it, and then the retry was never recorded.
    """
    asked = (e for e in events if e.kind == "invoke" and e.name == "requeue" and before.at <= e.at <= after.at)

    return next(asked, None) or next((f for f in faults if explains(f, before, after, events, faults)), None)


def repeats(events: History) -> Iterator[tuple[Event, Event]]:
    """The runs of one job that were followed by another, each with that one."""
    return pairwise(sorted((e for e in events if e.kind == "begin"), key=lambda e: (e.fence, e.at)))


def how_ended(events: History, begin: Event) -> str:
    """returned, raised, cancelled; nothing, if the run was killed."""
    return next((e.name for e in events if e.kind == "end" and e.fence == begin.fence), "")


def explains(fault: Event, before: Event, after: Event, events: History, faults: History) -> bool:
    """Whether a fault accounts for it that one run was followed by another."""
    if lost(events, [fault]):
        return True

    if not fault.redelivers or fault.pid not in (0, before.pid):
        return False

    end = next((e.at for e in events if e.kind == "end" and e.fence == before.fence), None)

    # What has ended while the way to the server was broken stands in no record until the way is whole again.
    for each in sorted(faults, key=lambda e: e.at) if end is not None else ():
        if each.pid in (0, before.pid) and each.at <= end + UNRECORDED and each.until + RETURN > end:
            end = max(end, each.until + RETURN)

    return (
        fault.at <= after.at
        and max(fault.at, fault.until) >= before.at - 1
        and (end is None or fault.at <= end + UNRECORDED)
    )
