"""Explaining: facts about a job to the reasons why it does not run, or how it ended. Nothing here knows a server.

Each state has a row in `STATES`, and a test fails if one has none. What keeps the jobs of a whole queue is in
hindrances.py, what earlier runs say in earlier_runs.py, and how a job ended in ends.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from aioq.values.earlier_runs import last_run, quarantine
from aioq.values.ends import ended_states, gone
from aioq.values.errors import DeserializationError
from aioq.values.explanation import Explanation, Reason, ReasonKind
from aioq.values.facts import JobFacts, Parent, Place
from aioq.values.hindrances import (
    at,
    command,
    job_command,
    moment,
    none_claims,
    not_allowed,
    not_claiming,
    paused,
    span,
    unserved,
)
from aioq.values.numbers import count
from aioq.values.states import FINAL, JobStatus
from aioq.values.summary import printable

#: So many parents have a sentence of their own.
MOST_PARENTS = 10

#: A queue that begins fewer jobs a second than this has no rate worth telling.
SLOWEST = 1e-6

#: A retry that waits for so many ms longer than its Retry says was held back by the budget of its queue.
HELD_MS = 1_000

K = ReasonKind
S = JobStatus

#: What explains a state.
Tell = Callable[[JobFacts], Iterator[Reason]]


def explain(facts: JobFacts) -> Explanation:
    """Why a job does not run, or how it ended."""
    record, status, reasons = facts.record, None, list[Reason]()

    if not facts.is_there:
        reasons = [gone(facts)]
    else:
        try:
            status = record.status
        except DeserializationError:
            reasons = [
                Reason(
                    K.DAMAGED,
                    "Its record has no state that is known; it can only be deleted.",
                    f"Delete it: {job_command(facts, 'job', 'delete')}",
                )
            ]
        else:
            reasons = list(STATES[status](facts))

    return Explanation(record.id, facts.queue, status, tuple(reasons))


# Jobs that wait for a worker


def _queued(facts: JobFacts) -> Iterator[Reason]:
    for hindrance in (paused, unserved, not_claiming, not_allowed, quarantine, last_run):
        yield from hindrance(facts)

    place = facts.place

    if place is None or not place.is_listed:
        yield Reason(
            K.DAMAGED,
            "Its lane does not list it, so no worker would find it.",
            f"Look, and repair: {command('doctor', facts.queue, '--repair')}",
        )
    else:
        yield _ahead(facts, place)

    if (expires := facts.record.expires_at) is not None:
        left_ms = facts.record.expires_ms - facts.now_ms
        yield Reason(
            K.TTL,
            f"It expires if no worker starts it within {span(left_ms)}, {at(facts.record.expires_ms)}.",
            data={"expires_at": expires},
        )


def _ahead(facts: JobFacts, place: Place) -> Reason:
    number, lane = place.ahead, "" if place.lane == "main" else f" It waits in the lane {printable(place.lane)}."
    is_usual = place.lane not in ("alone", "suspects")  # which jobs of these may run, quarantine tells
    has_way = not facts.pauses and facts.workers > 0 and is_usual
    data = {"ahead": number, "is_exact": place.is_exact, "lane": place.lane}

    if not number:
        text = "No job is ahead of it" + (": it starts when a worker has a free slot" if has_way else "")
    elif place.is_exact:
        text = f"{count(number, 'job')} {'is' if number == 1 else 'are'} ahead of it"
    else:
        text = f"About {_rounded(number):,} jobs are ahead of it (an estimate)"

    if number and has_way and facts.rate is not None and facts.rate > SLOWEST and not none_claims(facts):
        starts_ms = 1000 * number / facts.rate
        lane += (
            f" It is expected to begin in about {span(starts_ms)} (an estimate: lately"
            f" {facts.rate:.3g} jobs a second have begun)."
        )
        data |= {"expected_at": moment(facts.now_ms + starts_ms), "rate": facts.rate}

    return Reason(K.AHEAD, f"{text}.{lane}", data=data)


def _rounded(number: int) -> int:
    """With two digits: an estimate is not better than that."""
    return round(number, 2 - len(str(number)))


# Jobs that wait for a moment


def _scheduled(facts: JobFacts) -> Iterator[Reason]:
    record = facts.record
    is_repeat, is_retry = record.repeats > 0 and not record.attempt, bool(record.attempt)
    kind = K.REPEAT if is_repeat else K.RETRY if is_retry else K.DUE
    what = {K.REPEAT: "The next run of its series", K.RETRY: "Its next attempt", K.DUE: "It"}[kind]
    left_ms = record.due_ms - facts.now_ms
    data = {"due_at": record.due_at, "runs_so_far": record.repeats}

    if left_ms > 0:
        yield Reason(kind, f"{what} is due in {span(left_ms)}, {at(record.due_ms)}.", data=data)
    else:
        yield Reason(
            kind,
            f"{what} was due {span(-left_ms)} ago; the next claim of a worker puts it into its lane.",
            data=data,
        )

    if is_retry:
        yield from last_run(facts)
        yield from _budget(facts)

    for hindrance in (paused, unserved):
        yield from hindrance(facts)


def _budget(facts: JobFacts) -> Iterator[Reason]:
    budget = facts.budget

    if budget is None or budget.next_at is None:
        return

    now, held_ms = moment(facts.now_ms), _held_ms(facts)
    is_spent = now is not None and budget.next_at > now

    if held_ms < HELD_MS and not is_spent:
        return

    share = f" It holds this one back by about {span(held_ms)}." if held_ms >= HELD_MS else ""
    yield Reason(
        K.RETRY_BUDGET,
        f"The retry budget of queue {facts.queue} {'is' if is_spent else 'was'} spent: {_retries(budget.limit)} in"
        f" {span(1000 * budget.per)}.{share}",
        f"See it, or raise it: {command('retry-budget', facts.queue)}",
        {"limit": budget.limit, "per": budget.per, "next_at": budget.next_at, "held_ms": max(0, held_ms)},
    )


def _retries(number: int) -> str:
    return "1 retry" if number == 1 else f"{number:,} retries"


def _held_ms(facts: JobFacts) -> int:
    """By how many ms a retry waits longer than its policy says; 0 if that cannot be told."""
    record, run = facts.record, facts.last_run

    if run is None or run.ended_ms is None or record.retry is None or run.outcome != "failed":
        return 0

    return record.due_ms - run.ended_ms - record.retry.delay_ms(max(1, record.attempt), 1)


# Jobs that wait for others


def _deferred(facts: JobFacts) -> Iterator[Reason]:
    policies = {name: letter for letter, name in facts.record.edges}
    turns = {name: turn for turn, name in enumerate(policies)}
    parents = sorted(facts.parents, key=lambda each: (turns.get(each.name, -1), each.name))

    if not parents:
        yield Reason(
            K.DAMAGED,
            "There is no job any more that it waits for, and nothing lets it go on.",
            f"Look, and repair: {command('doctor', facts.queue, '--repair')}",
        )

    for parent in parents[:MOST_PARENTS]:
        yield _parent(facts, parent, policies.get(parent.name, "w"))

    if (rest := facts.open - min(len(parents), MOST_PARENTS)) > 0:
        yield Reason(
            K.PARENT,
            f"It waits for {count(rest, 'other job')}, too.",
            f"See all of them: {job_command(facts, 'job', 'show')}",
            {"more": rest},
        )

    for hindrance in (paused, unserved):
        yield from hindrance(facts)


def _parent(facts: JobFacts, parent: Parent, policy: str) -> Reason:
    job_id, _, queue = parent.name.partition("@")
    place = ("--queue", queue or facts.queue)
    name, status = printable(job_id), parent.status
    data = {"job": job_id, "queue": queue or facts.queue, "status": status or None}
    see = f"See why that one has not ended: {command('explain', job_id, *place)}"

    if queue:
        text = f"It waits for job {name} of queue {printable(queue)}. Only that queue knows its state."

        return Reason(K.PARENT, text, see, data)

    if status not in FINAL and status != "gone":
        return Reason(K.PARENT, f"It waits for job {name}, which is {printable(status)}.", see, data)

    if parent.unfinished and status != "gone":
        text = f"It waits for job {name}, which is {status}; {parent.unfinished} children of it did not finish."

        return Reason(K.PARENT, text, f"See that job: {command('job', 'show', job_id, *place)}", data)

    if policy == "w" and status not in ("finished", "gone"):
        return Reason(
            K.PARENT_UNFINISHED,
            f"It waits for job {name} to finish. That one is {status}, and only a requeue can bring its finish.",
            f"Bring it back: {command('job', 'requeue', job_id, *place)}. Or give up this one:"
            f" {job_command(facts, 'job', 'cancel')}",
            data,
        )

    return Reason(
        K.UNDECIDED,
        f"Job {name}, for which it waits, is {status}. The next claim of a worker decides what that means to it.",
        "",
        data,
    )


# Jobs that run


def _started(facts: JobFacts) -> Iterator[Reason]:
    record = facts.record
    worker, lease_ms = record.worker or "?", facts.lease_ms
    lasts = f" for {span(facts.now_ms - record.started_ms)}" if record.started_ms else ""
    data = {"worker": worker, "started_at": record.started_at, "attempt": record.attempt}

    if lease_ms is not None and lease_ms > facts.now_ms:
        yield Reason(
            K.RUNS,
            f"Worker {printable(worker)} has run it{lasts}.{_timeout(facts)}",
            f"If it hangs, end its run: {job_command(facts, 'job', 'stop')}",
            data,
        )
    else:
        ended = "is gone" if not lease_ms else f"ended {span(facts.now_ms - lease_ms)} ago"
        yield Reason(
            K.LEASE_ENDED,
            f"Worker {printable(worker)}, which has run it{lasts}, has died or cannot reach the server: its lease"
            f" {ended}. A live worker of the queue brings the job back.",
            data={**data, "lease_ended_at": moment(lease_ms)},
        )
        yield from unserved(facts)

    yield from quarantine(facts)


def _timeout(facts: JobFacts) -> str:
    timeout_ms = facts.record.timeout_ms

    if timeout_ms < 0:
        return " It has no timeout."

    return f" Its timeout is {span(timeout_ms)}."


#: What explains each state. A job that a limit holds back gets its row here: it tells which key, and what helps.
STATES: dict[JobStatus, Tell] = {
    S.QUEUED: _queued,
    S.SCHEDULED: _scheduled,
    S.DEFERRED: _deferred,
    S.STARTED: _started,
    **ended_states(),
}
