"""Rules of the checker about the load and the faults of single features: see `checker` for those of every job."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Callable
from itertools import pairwise

from .history import TAKEN, Event
from .judging import Found, History, Violation, jobs, losses, lost

#: The fault that nobody has planned: a job has ended the process of its worker.
BY_A_JOB = "killed-by-a-job"

#: How long a process may take beyond its limit, in seconds: it shares two cores with up to thirty others.
BUSY = 2.5

#: What a fault needs until all have noticed it, and what a worker needs until it serves, in seconds.
NOTICED = 10.0
STARTED = 25.0

#: How long before a wait gives up a fault may have been over that explains it, in seconds.
LONGEST_WAIT = 60.0

#: Of so many jobs of a queue something can be said.
ENOUGH = 5


def readable(history: History) -> Found:
    """I0. Each line of the history is an event."""
    for event in history:
        if event.kind == "damaged":
            yield Violation("I0", "a line is no event", (event,))


def results_of_runs(history: History) -> Found:
    """I13. What somebody reads as a result is the result of a run: never None, and never a part of it."""
    for events in jobs(history).values():
        begun = {e.fence for e in events if e.kind == "begin"}

        for event in events:
            if event.kind == "commit" and event.fence not in begun:
                yield Violation("I13", "a result that no run has returned", tuple(events))
                break


def asked_for(history: History) -> Found:
    """I14. What runs was asked for."""
    for events in jobs(history).values():
        began = any(e.kind == "begin" for e in events)

        if began and not any(e.kind == "invoke" and e.name == "enqueue" for e in events):
            yield Violation("I14", "nobody has asked for this job", tuple(events))


#: Faults after which a process says nothing more.
KILLS = ("producer-kill", "worker-kill", "child-kill")


def answered(history: History) -> Found:
    """I15. Each call comes back, with an answer or an error, unless its process was killed."""
    # A worker makes calls, too: those of its jobs. A job that ends its process is noted as killed there.
    killed = {
        e.pid for e in history if (e.kind == "fault" and e.name in KILLS) or (e.kind, e.name) == ("end", "killed")
    }

    for events in jobs(history).values():
        open_calls: Counter[tuple[int, str]] = Counter()

        for event in events:
            if event.kind == "invoke":
                open_calls[event.pid, event.name] += 1
            elif event.kind in ("ok", "fail", "info"):
                open_calls[event.pid, event.name] -= 1

        for (pid, name), count in open_calls.items():
            if count > 0 and pid and pid not in killed:
                yield Violation("I15", f"{name} has not come back", tuple(events))


def in_time(history: History) -> Found:
    """I16. A worker that is told to stop ends within its limits, whatever its jobs do."""
    for event in history:
        if event.kind == "fault" and event.within and event.until - event.at > event.within + BUSY:
            why = f"{event.name} took {event.until - event.at:.1f} s, and may take {event.within:g}"
            yield Violation("I16", why, (event,))


def _is_buried(events: History) -> bool:
    return any(e.kind == "info" and e.name == "buried" for e in events)


def _is_killer(events: History) -> bool:
    return any(e.kills for e in events)


def _planned(history: History) -> History:
    """Faults for which runs come again, but for those that a job was to blame for."""
    return [e for e in history if e.kind == "fault" and e.redelivers and e.name != BY_A_JOB]


def spares_innocents(history: History) -> Found:
    """I17. A job that fails because its workers were lost was alone on the last one, or ends workers itself."""
    by_a_job = {e.pid for e in history if e.kind == "end" and e.name == "killed"}
    faults, planned = losses(history), _planned(history)

    for events in jobs(history).values():
        if not _is_buried(events) or _is_killer(events) or lost(events, faults):
            continue

        last = max((e for e in events if e.kind == "begin"), key=lambda e: e.fence, default=None)
        alone_on = next(e.pid for e in events if e.kind == "info" and e.name == "buried")

        if alone_on and any(
            f.pid == alone_on for f in planned
        ):  # its last run may have ended before it began to write events
            continue

        if last is None:
            is_blamed = not planned
        else:
            hit = any(f.pid in (0, last.pid) and max(f.at, f.until) >= last.at for f in planned)
            is_blamed = last.pid in by_a_job and not hit

        if is_blamed:
            yield Violation("I17", "failed for what another job has done", tuple(events))


def three_deaths(history: History) -> Found:
    """I18. A job that ends its workers fails, and not before three of them were lost."""
    faults, planned = losses(history), _planned(history)

    for events in jobs(history).values():
        if not _is_killer(events) or lost(events, faults):
            continue

        states = {e.name for e in events if e.kind == "final"}
        deaths = sum(e.kind == "begin" for e in events)
        asked = min(e.at for e in events)

        if states and states != {"failed"}:
            yield Violation("I18", f"ended its workers, and is {', '.join(sorted(states))}", tuple(events))
        elif _is_buried(events) and deaths < 3 and not any(max(f.at, f.until) >= asked for f in planned):
            yield Violation("I18", f"failed when {deaths} of its workers were lost", tuple(events))


def living_shards(history: History) -> Found:
    """I19. While a shard is away, jobs of queues on the others are taken and run."""
    for fault in (e for e in history if e.kind == "fault" and e.away):
        asked: dict[str, list[str]] = defaultdict(list)

        for event in history:
            is_inside = fault.at + NOTICED <= event.at <= fault.until - NOTICED

            if event.kind == "invoke" and event.name == "enqueue" and is_inside and event.queue not in fault.away:
                asked[event.queue].append(event.job)

        seen = [e for e in history if e.at <= fault.until]
        taken = {e.job for e in seen if e.kind == "ok" and e.name == "enqueue"}
        done = taken & {e.job for e in seen if e.kind == "begin"}

        for queue, members in asked.items():
            if len(members) >= ENOUGH and len(done.intersection(members)) < len(members) / 2:
                why = f"{len(done.intersection(members))} of {len(members)} jobs of {queue} have begun"
                yield Violation("I19", f"{why} while {', '.join(fault.away)} was away", (fault,))


def starts_beside(history: History) -> Found:
    """I20. A worker that starts while a shard is away serves the others, if a queue of it is there."""
    queues = {e.queue for e in history if e.queue}

    for fault in (e for e in history if e.kind == "fault" and e.away):
        if queues and queues <= set(fault.away):
            continue  # slots have moved, and now one shard has all of them

        starts = [e for e in history if e.kind == "start" and fault.at < e.at < fault.until - STARTED]
        pids = {e.pid for e in starts}

        if starts and not any(e.kind == "begin" and e.pid in pids and e.at <= fault.until for e in history):
            yield Violation("I20", f"{len(starts)} workers were started, and none has served", (fault, *starts))


#: Faults that only make things slower.
SLOW = frozenset({"narrow-network", "slow-network"})


def heard(history: History) -> Found:
    """I21. Who waits for a result gets it, however many bytes it has and however slow the way is."""
    faults = [e for e in history if e.kind == "fault" and e.name not in SLOW]

    for events in jobs(history).values():
        for event in events:
            if event.kind != "info" or event.name != "result":
                continue

            if not any(f.at <= event.at and max(f.at, f.until) >= event.at - 2 * LONGEST_WAIT for f in faults):
                yield Violation("I21", "a result was waited for, and did not come", tuple(events))
                break


def before_deadline(history: History) -> Found:
    """I23. A job is not retried after its deadline. After a fault it may be: interrupted runs come again."""
    faults = [e for e in history if e.kind == "fault"]

    for events in jobs(history).values():
        deadline = max((e.deadline for e in events), default=0)
        begun = sorted((e for e in events if e.kind == "begin"), key=lambda e: (e.fence, e.at))

        for before, after in pairwise(begun) if deadline > 0 else ():
            is_late = after.at - begun[0].at > deadline + NOTICED
            is_hit = any(
                f.shift or (f.at <= after.at and max(f.at, f.until) >= before.at - NOTICED) for f in faults
            )

            if is_late and not is_hit:
                yield Violation(
                    "I23", f"retried {after.at - begun[0].at:.1f} s after its first run", tuple(events)
                )
                break


def whole_series(history: History) -> Found:
    """I24. A series that has finished has had all its runs."""
    faults = losses(history)

    for events in jobs(history).values():
        repeats = max((e.repeats for e in events if e.kind == "invoke"), default=0)
        returned = sum(e.kind == "end" and e.name == "returned" for e in events)
        is_finished = any(e.kind == "final" and e.name == "finished" for e in events)

        if repeats and is_finished and returned <= repeats and not lost(events, faults):
            yield Violation("I24", f"finished after {returned} of {repeats + 1} runs", tuple(events))


#: The callback and the webhook of each end that a job of the load with callbacks can have.
CALLBACKS = {"finished": ("on_success", "job.finished"), "failed": ("on_failure", "job.failed")}


def called_back(history: History) -> Found:
    """I25. The end of a job has its callback and its webhook, whoever has ended it, and no others come."""
    faults = losses(history)
    # Callbacks whose workers were lost again and again.
    failed = {e.job.partition(".")[0] for e in history if e.kind == "final" and "." in e.job}

    for job_id, events in jobs(history).items():
        if not any(e.called for e in events) or lost(events, faults) or job_id in failed:
            continue

        ends = [e.name for e in events if e.kind == "final" and e.name in CALLBACKS]
        expected = {name for end in ends for name in CALLBACKS[end]}
        calls = {e.name for e in events if e.kind == "call"}

        if calls != expected:
            why = f"{', '.join(sorted(calls)) or 'nothing'} was called, and not {', '.join(sorted(expected))}"
            yield Violation("I25", why, tuple(events))


def taken_from_the_other(history: History) -> Found:
    """I27. The result that a job takes as an argument is what a run of the other job has returned before that."""
    faults = losses(history)

    for events in jobs(history).values():
        returned = {e.fence: e.at for e in events if e.kind == "end" and e.name == "returned"}

        for taken in (e for e in events if e.kind == "commit" and e.name == TAKEN):
            if returned.get(taken.fence, math.inf) > taken.at and not lost(events, faults):
                yield Violation("I27", "a job took what no run had returned", tuple(events))


def not_too_late(history: History) -> Found:
    """I30. A job that may wait for another one only so long does not begin if that one returns later."""
    faults, by_id = losses(history), jobs(history)
    shifts = any(e.shift for e in history)

    for events in by_id.values():
        patience = max((e.patience for e in events), default=0)
        stored = next((e.at for e in events if e.kind == "ok" and e.name == "enqueue"), math.inf)
        parent = by_id.get(max((e.after for e in events), default=""), [])
        returned = [e.at for e in parent if e.kind == "end" and e.name == "returned"]

        if patience <= 0 or not returned or shifts or lost(events, faults) or lost(parent, faults):
            continue

        if any(e.kind == "begin" for e in events) and min(returned) > stored + patience:
            yield Violation("I30", f"began after it had waited for more than {patience} s", tuple(events))


def counted_once(history: History) -> Found:
    """I31. The statistics count no run twice, and all that workers have recorded which no fault has hit.

    A run has begun once, or its job was failed with its worker. Of runs that have returned, those count for sure
    whose job has finished, on a worker that nothing has hit, while nothing was wrong with the server.
    """
    told = {e.name: e.fence for e in history if e.kind == "counted"}
    faults, by_id = [e for e in history if e.kind == "fault"], jobs(history)

    if not told or losses(history):
        return

    begun = sum(e.kind == "begin" for e in history)
    most = begun + sum(_is_buried(events) for events in by_id.values())
    hit = {f.pid for f in faults}
    least = 0

    for events in by_id.values():
        ends = [e for e in events if e.kind == "end" and e.name == "returned"]
        is_finished = any(e.kind == "final" and e.name == "finished" for e in events)

        if is_finished and ends and (last := ends[-1]).pid not in hit:
            outages = (f for f in faults if f.pid == 0)
            least += not any(f.at - NOTICED <= last.at <= max(f.at, f.until) + NOTICED for f in outages)

    if told.get("finished", 0) + told.get("failed", 0) > most:
        yield Violation("I31", f"counted more ends than the {most} runs that there were", _counts(history))

    if told.get("finished", 0) < least:
        yield Violation("I31", f"counted fewer runs than the {least} that have finished", _counts(history))


def _counts(history: History) -> tuple[Event, ...]:
    return tuple(e for e in history if e.kind == "counted")


PROMISES: tuple[Callable[[History], Found], ...] = (
    readable, results_of_runs, asked_for, answered, in_time, spares_innocents, three_deaths,
    living_shards, starts_beside, heard, before_deadline, whole_series, called_back,
    taken_from_the_other, not_too_late, counted_once,
)  # fmt: skip


def is_over(events: History, history: History) -> bool:
    """Whether a job of which no record may be left has had its end: its body, or three lost workers."""
    if any(e.kind == "end" and e.name in ("returned", "raised") for e in events):
        return True

    asked = min((e.at for e in events), default=0.0)

    return sum(max(f.at, f.until) >= asked for f in history if f.kind == "fault" and f.redelivers) >= 3


def is_brief(events: History) -> bool:
    return any(e.brief for e in events)
