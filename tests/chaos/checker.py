"""Judges a history without any server. Each rule names what broke it, with the fewest events that show it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import asdict, dataclass
from itertools import pairwise

from aioq.store.keys import SharedKeys
from aioq.values.states import JobStatus

from .history import Event

#: Keys that may be left when all retentions have passed: what exists is registered for good.
KEPT = frozenset({SharedKeys().queues})

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


def ended_once(history: History) -> Found:
    """I1. Each enqueue that was confirmed runs, and ends in one final state, if the server kept what it wrote."""
    faults = losses(history)

    for events in jobs(history).values():
        states = [e.name for e in events if e.kind == "final"]
        withdrawn = bool({"canceled", "stopped", "expired"} & set(states))
        withdrawn |= buried(events, history)

        if not acked(events) or lost(events, faults):
            continue

        if not (len(states) == 1 and JobStatus(states[0]).is_final):
            yield Violation("I1", f"confirmed, and ended as {states or 'nothing'}", tuple(events))
        elif not withdrawn and not any(e.kind == "begin" for e in events):
            yield Violation("I1", "confirmed, and never ran", tuple(events))


def one_index(history: History) -> Found:
    """I2. A job is in one index, not in two; one that ran is not in none, if the server kept what it wrote."""
    faults = losses(history)

    for events in jobs(history).values():
        count = sum(e.kind == "final" for e in events)

        if count > 1 or (count == 0 and any(e.kind == "begin" for e in events) and not lost(events, faults)):
            yield Violation("I2", f"in {count} indexes", tuple(events))


def one_result(history: History) -> Found:
    """I3. All who read a job's result read that of one run, and no run with a higher fence began.

    A job that has a result cannot be requeued, so this holds for the whole life of a job.
    """
    faults = losses(history)

    for events in jobs(history).values():
        commits = {e.fence for e in events if e.kind == "commit"}
        stale = [e for e in events if e.kind == "begin" and commits and e.fence > max(commits)]

        if (len(commits) > 1 or stale) and not lost(events, faults):
            yield Violation("I3", f"{len(commits)} results, {len(stale)} later runs", tuple(events))


def few_repeats(history: History) -> Found:
    """I4. Each run beyond the first has its reason: a retry, a requeue, or a fault that hit the run before it."""
    faults = [e for e in history if e.kind == "fault"]

    for events in jobs(history).values():
        retries = max((e.retries for e in events if e.kind == "invoke"), default=0)
        left = retries

        for before, after in repeats(events):
            why = reason(before, after, events, faults)

            if why is not None and why.kind == "invoke":
                left = retries
            elif why is None and left and how_ended(events, before) == "raised":
                left -= 1
            elif why is None:
                near = [f for f in faults if before.at - 10 <= f.at <= after.at and f.pid in (0, before.pid)]
                text = f"the run with fence {after.fence} came without a reason"
                yield Violation("I4", text, tuple(sorted([*events, *near], key=lambda e: e.at)))


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


def overlaps(history: History, label: Callable[[Event], str], room: Callable[[Event], int], rule: str) -> Found:
    of = {e.job: e for e in history if e.kind == "invoke" and e.name == "enqueue" and label(e)}
    groups: dict[str, list[tuple[Event, float]]] = defaultdict(list)

    for begin, end in runs(history):
        if begin.job in of:
            groups[label(of[begin.job])].append((begin, end))

    for key, members in groups.items():
        for begin, _ in members:
            at_once = [b for b, end in members if b.at <= begin.at < end]

            if len(at_once) > room(of[begin.job]):
                yield Violation(rule, f"{len(at_once)} at once in {key}", tuple(at_once))
                break


def unique_holder(history: History) -> Found:
    """I5. What is unique in its scope never runs twice at once."""
    return overlaps(history, lambda e: e.unique, lambda _: 1, "I5")


def within_limit(history: History) -> Found:
    """I6. No more runs of one key at once than its limit."""
    return overlaps(history, lambda e: e.limit[0] if e.limit else "", lambda e: e.limit[1] if e.limit else 0, "I6")


def not_early(history: History) -> Found:
    """I7. A scheduled job does not begin before it is due."""
    for events in jobs(history).values():
        due = max((e.due for e in events if e.due is not None), default=None)

        if due is not None and any(e.kind == "begin" and e.at < due for e in events):
            yield Violation("I7", f"began before {due}", tuple(events))


def one_callback(history: History) -> Found:
    """I8. The callback of a group runs once."""
    for group, count in Counter(e.callback for e in history if e.kind == "begin" and e.callback).items():
        if count > 1:
            yield Violation(
                "I8", f"{group} called {count} times", tuple(e for e in history if e.callback == group)
            )


def never_twice(history: History) -> Found:
    """I9. An enqueue that was not confirmed may have happened, but not twice: no two runs with one fence."""
    faults = losses(history)

    for events in jobs(history).values():
        fences = Counter(e.fence for e in events if e.kind == "begin")

        # A claim that was forgotten may give its fence again.
        if any(count > 1 for count in fences.values()) and not lost(events, faults):
            yield Violation("I9", "two runs have one fence", tuple(events))


def memory_returns(history: History) -> Found:
    """I10. When the last retention has passed, nothing is left but what is registered."""
    if left := tuple(e for e in history if e.kind == "key" and e.name not in KEPT):
        yield Violation("I10", f"{len(left)} keys are left", left)


def in_order(history: History) -> Found:
    """I11. First runs of one sequence begin in the order of their enqueues."""
    enqueued: dict[str, list[Event]] = defaultdict(list)
    first: dict[str, Event] = {}

    for event in sorted(history, key=lambda e: e.at):
        if event.kind == "invoke" and event.sequence:
            enqueued[event.sequence].append(event)
        elif event.kind == "begin":
            first.setdefault(event.job, event)

    for name, members in enqueued.items():
        began = [first[e.job] for e in members if e.job in first]

        for one, two in pairwise(began):
            if one.at > two.at:
                yield Violation("I11", f"out of order in {name}", (two, one))


def one_for_each_slot(history: History) -> Found:
    """I12. Each moment of a cron has one job."""
    slots: dict[str, dict[str, Event]] = defaultdict(dict)

    for event in history:
        if event.slot:
            slots[event.slot][event.job] = event

    for slot, members in slots.items():
        if len(members) > 1:
            yield Violation("I12", f"{len(members)} jobs for {slot}", tuple(members.values()))


RULES: tuple[Callable[[History], Found], ...] = (
    ended_once, one_index, one_result, few_repeats, unique_holder, within_limit,
    not_early, one_callback, never_twice, memory_returns, in_order, one_for_each_slot,
)  # fmt: skip


def check(history: Iterable[Event]) -> list[Violation]:
    """All violations, those with the fewest events first."""
    events = sorted(history, key=lambda event: event.at)

    return sorted((v for rule in RULES for v in rule(events)), key=lambda v: len(v.events))
