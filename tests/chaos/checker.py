"""Judges a history without any server. Each rule names what broke it, with the fewest events that show it."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from itertools import pairwise

from aioq.store.keys import SharedKeys
from aioq.values.states import JobStatus

from .history import Event
from .judging import (
    Found,
    History,
    Violation,
    acked,
    buried,
    how_ended,
    jobs,
    losses,
    lost,
    reason,
    repeats,
    runs,
)  # fmt: skip
from .lists import LISTS
from .promises import PROMISES, is_brief, is_over

#: Keys that may be left when all retentions have passed: what exists is registered for good.
KEPT = frozenset({SharedKeys().queues})

#: The names of the states in which a job has ended.
FINAL = frozenset(status.value for status in JobStatus if status.is_final)

#: Within so many seconds a group ends after its last member.
GROUP_END_S = 30.0


def ended_once(history: History) -> Found:
    """I1. Each enqueue that was confirmed runs, and ends in one final state, if the server kept what it wrote."""
    faults = losses(history)

    for events in jobs(history).values():
        states = [e.name for e in events if e.kind == "final"]
        withdrawn = bool({"canceled", "stopped", "expired"} & set(states))
        withdrawn |= buried(events, history)

        if not acked(events) or lost(events, faults):
            continue

        if not states and is_brief(events):
            if not is_over(events, history):
                yield Violation("I1", "confirmed, and gone before it has run to an end", tuple(events))
        elif not (len(states) == 1 and states[0] in FINAL):
            yield Violation("I1", f"confirmed, and ended as {states or 'nothing'}", tuple(events))
        elif not withdrawn and not any(e.kind == "begin" for e in events):
            yield Violation("I1", "confirmed, and never ran", tuple(events))


def one_index(history: History) -> Found:
    """I2. A job is in one index, not in two; one that ran is not in none, if the server kept what it wrote."""
    faults = losses(history)

    for events in jobs(history).values():
        count = sum(e.kind == "final" for e in events)
        is_kept = any(e.kind == "begin" for e in events) and not lost(events, faults) and not is_brief(events)

        if count > 1 or (count == 0 and is_kept):
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
    """I4. Each run beyond the first has its reason: a retry, a repeat, a requeue, or a fault in the one before."""
    faults = [e for e in history if e.kind == "fault"]

    for events in jobs(history).values():
        retries = max((e.retries for e in events if e.kind == "invoke"), default=0)
        left, further = retries, max((e.repeats for e in events if e.kind == "invoke"), default=0)

        for before, after in repeats(events):
            why = reason(before, after, events, faults)

            if why is not None and why.kind == "invoke":
                left = retries
            elif why is None and left and how_ended(events, before) == "raised":
                left -= 1
            elif why is None and further and how_ended(events, before) == "returned":
                left, further = retries, further - 1
            elif why is None:
                near = [f for f in faults if before.at - 10 <= f.at <= after.at and f.pid in (0, before.pid)]
                text = f"the run with fence {after.fence} came without a reason"
                yield Violation("I4", text, tuple(sorted([*events, *near], key=lambda e: e.at)))


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
    """I7. A scheduled job does not begin before it is due, by the clock of the server."""
    steps = [e for e in history if e.kind == "fault" and e.shift]

    for events in jobs(history).values():
        due = max((e.due for e in events if e.due is not None), default=None)

        if due is None:
            continue

        asked = min(e.at for e in events)
        # The clock was set forward at the fault's begin, and back by as much at its end; a negative shift, the
        # other way round. So the job may be due by that much sooner.
        sooner = sum(abs(e.shift) for e in steps if asked <= max(e.at, e.until) and e.at <= due)

        if any(e.kind == "begin" and e.at < due - sooner for e in events):
            yield Violation("I7", f"began before {due}", tuple(events))


def one_callback(history: History) -> Found:
    """I8. The callback of a group runs once."""
    for group, count in Counter(e.callback for e in history if e.kind == "begin" and e.callback).items():
        if count > 1:
            yield Violation(
                "I8", f"{group} called {count} times", tuple(e for e in history if e.callback == group)
            )


def never_twice(history: History) -> Found:
    """I9. An enqueue that was not confirmed may have happened, but not twice: no two runs with one fence.

    What counts is the bodies that ran. A job may have run and been forgotten before the call was repeated.
    """
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


def after_the_other(history: History) -> Found:
    """I22. A job that depends on another begins after that one has returned, if the server kept what it wrote."""
    faults, by_id = losses(history), jobs(history)

    for events in by_id.values():
        parent = max((e.after for e in events if e.kind == "invoke"), default="")
        begun = [e for e in events if e.kind == "begin"]

        if not parent or not begun or lost(events, faults) or lost(by_id.get(parent, []), faults):
            continue

        ends = [e for e in by_id.get(parent, []) if e.kind == "end" and e.name == "returned"]

        if not any(e.at <= begun[0].at for e in ends):
            yield Violation("I22", f"began before job {parent} has returned", (*ends[:1], begun[0]))


def after_the_children(history: History) -> Found:
    """I28. A job that depends on one with children begins after these have returned."""
    faults, by_id = losses(history), jobs(history)
    children: dict[str, list[History]] = defaultdict(list)

    for events in by_id.values():
        if (parent := max((e.child_of for e in events), default="")) and acked(events):
            children[parent].append(events)

    for events in by_id.values():
        parent = max((e.after for e in events), default="")
        begun = [e for e in events if e.kind == "begin"]

        if not begun or lost(events, faults) or lost(by_id.get(parent, []), faults):
            continue

        for child in children.get(parent, []):
            returned = any(e.kind == "end" and e.name == "returned" and e.at <= begun[0].at for e in child)

            if not returned and not lost(child, faults):
                yield Violation("I28", f"began before a child of {parent} has returned", (*child, begun[0]))


def came_back(history: History) -> Found:
    """I29. A job that has come back with the one that it depends on runs when that one has returned."""
    faults, by_id = losses(history), jobs(history)

    for events in by_id.values():
        parent = max((e.after for e in events), default="")
        back = [e for e in events if e.kind == "ok" and e.name == "requeue"]
        others = by_id.get(parent, [])

        if not parent or not back or any(e.kind == "begin" for e in events) or buried(events, history):
            continue

        if math.isfinite(_returned_at(others)) and not lost(events, faults) and not lost(others, faults):
            yield Violation("I29", f"came back with job {parent}, and never ran", tuple(events))


def group_ended(history: History) -> Found:
    """I26. A group ends after its members have returned, and not long after the last of them."""
    faults, by_id = losses(history), jobs(history)
    waits: dict[tuple[float, int], list[Event]] = defaultdict(list)

    for event in history:
        if event.name == "group" and event.kind in ("ok", "fail"):
            waits[round(event.at, 1), event.pid].append(event)

    for members in waits.values():
        known = [by_id.get(each.job, []) for each in members]
        ends = [_returned_at(events) for events in known]

        if any(lost(events, faults) or any(e.name == "buried" for e in events) for events in known):
            continue

        if members[0].kind == "ok" and math.inf in ends:
            yield Violation("I26", "a group has ended before a member has returned", tuple(members))

        if members[0].kind == "fail" and max(ends) < members[0].at - GROUP_END_S:
            yield Violation("I26", "a group has not ended though all members have", tuple(members))


def _returned_at(events: History) -> float:
    """When a job returned last; infinity for one that never did."""
    return max((e.at for e in events if e.kind == "end" and e.name == "returned"), default=math.inf)


RULES: tuple[Callable[[History], Found], ...] = (
    ended_once, one_index, one_result, few_repeats, unique_holder, within_limit,
    not_early, one_callback, never_twice, memory_returns, in_order, one_for_each_slot, after_the_other,
    group_ended, after_the_children, came_back, *PROMISES, *LISTS,
)  # fmt: skip


def check(history: Iterable[Event]) -> list[Violation]:
    """All violations, those with the fewest events first."""
    events = sorted(history, key=lambda event: event.at)

    return sorted((v for rule in RULES for v in rule(events)), key=lambda v: len(v.events))
