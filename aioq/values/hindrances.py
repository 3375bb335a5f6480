"""Hindrances: what keeps the jobs of a whole queue from being run, as sentences. Nothing here knows a server."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from aioq.values.allowlist import Allowlist
from aioq.values.durations import in_two_units
from aioq.values.explanation import Reason, ReasonKind
from aioq.values.facts import JobFacts, LiveWorker
from aioq.values.moments import moment_of
from aioq.values.numbers import count
from aioq.values.summary import printable

#: So many names stand in one sentence.
MOST_NAMED = 5

#: The states of workers that claim no job.
RESTING = ("stopping", "lapsed")

K = ReasonKind


def command(*words: str) -> str:
    """A command of aioq, as a shell takes it, whatever the words are.

    Example:
        >>> print(command("job", "requeue", "a b"))
        `aioq job requeue 'a b'`

    """
    return f"`{shlex.join(('aioq', *map(printable, words)))}`"


def job_command(facts: JobFacts, *words: str) -> str:
    """A command about the job itself."""
    return command(*words, facts.record.id, "--queue", facts.queue)


def named(names: Sequence[str]) -> str:
    """Some names, as a part of a sentence."""
    rest = len(names) - MOST_NAMED

    return printable(", ".join(names[:MOST_NAMED])) + (f" and {rest} more" if rest > 0 else "")


def span(ms: float) -> str:
    """A time, in words; one that is below 0, because a clock was set back, is 0."""
    return in_two_units(max(0, ms) / 1000)


def moment(ms: float | None) -> datetime | None:
    """A moment of the server's clock; None for what is none."""
    try:
        return None if not ms else moment_of(str(int(ms)))
    except (ValueError, OverflowError, OSError):
        return None


def at(ms: float) -> str:
    """A moment as it stands in a sentence."""
    found = moment(ms)

    return "at an unknown time" if found is None else f"at {found:%Y-%m-%d %H:%M:%S} UTC"


def paused(facts: JobFacts) -> Iterator[Reason]:
    """All workers are suspended, the queue is paused, or both."""
    for pause in facts.pauses:
        data: dict[str, Any] = {"by": pause.by, "reason": pause.reason}
        data["until"] = None if pause.left_ms is None else moment(facts.now_ms + pause.left_ms)

        if pause.everywhere:
            yield Reason(
                K.SUSPENDED,
                f"All workers are suspended{pause.told()}.",
                f"Let them go on: {command('resume')}",
                data,
            )
        else:
            yield Reason(
                K.PAUSED,
                f"Queue {facts.queue} is paused{pause.told()}.",
                f"Let its jobs run: {command('resume', '--queue', facts.queue)}",
                data,
            )


def unserved(facts: JobFacts) -> Iterator[Reason]:
    """No worker serves the queue."""
    if facts.workers:
        return

    told, data = "", dict[str, Any]()

    if facts.last_lease is not None:
        name, ended_ms = facts.last_lease
        told = f" The last one was {named([name])}; its lease ended {span(facts.now_ms - ended_ms)} ago."
        data = {"last_worker": name, "last_lease_ended_at": moment(ended_ms)}

    yield Reason(
        K.NO_WORKER,
        f"No live worker serves queue {facts.queue}.{told}",
        f"Start one: {command('worker', facts.queue)}",
        data,
    )


def none_claims(facts: JobFacts) -> bool:
    """Whether no worker of the queue claims jobs now, as far as all of them have told of themselves."""
    workers = facts.described

    return bool(workers) and len(workers) >= facts.workers and all(each.state in RESTING for each in workers)


def not_claiming(facts: JobFacts) -> Iterator[Reason]:
    """There are workers, and none of them claims a job now."""
    workers = facts.described

    if not workers or len(workers) < facts.workers:
        return  # those of which nothing is known may claim

    resting = [each for each in workers if each.state in RESTING]
    others = [each for each in workers if each not in resting]

    if none_claims(facts):
        told = ", ".join(f"{each.name} is {each.state}" for each in resting[:MOST_NAMED])
        yield Reason(
            K.NOT_CLAIMING,
            f"No worker of queue {facts.queue} claims jobs now: {printable(told)}.",
            f"Start another one: {command('worker', facts.queue)}",
            {"workers": [each.name for each in resting]},
        )
    elif all(each.concurrency and each.running >= each.concurrency for each in others):
        slots = sum(each.concurrency for each in others)
        yield Reason(
            K.BUSY,
            f"The workers of queue {facts.queue} are full: all {slots} slots of {count(len(others), 'worker')} are"
            " taken.",
            f"Wait, or start another one: {command('worker', facts.queue)}",
            {"workers": [each.name for each in others], "slots": slots},
        )


def not_allowed(facts: JobFacts) -> Iterator[Reason]:
    """Workers that may claim the job may not run its function."""
    func = facts.record.func_name
    refusing = [each for each in facts.described if _refuses(each, func)]

    if not refusing:
        return

    patterns = sorted({pattern for each in refusing for pattern in each.allow})
    why = f"--allow {printable(' '.join(patterns))} does not cover it"

    if len(refusing) == facts.workers:
        told = (
            f"No live worker of queue {facts.queue} may run {printable(func)}: {why}. If one claims it, it fails."
        )
    else:
        told = (
            f"Some workers of queue {facts.queue} may not run {printable(func)}: {why} on"
            f" {named([each.name for each in refusing])}. If one of them claims the job, it fails."
        )

    yield Reason(
        K.NOT_ALLOWED,
        told,
        f"Restart them with a pattern that covers it: {command('worker', facts.queue, '--allow', func)}",
        {"function": func, "workers": [each.name for each in refusing], "patterns": patterns},
    )


def _refuses(worker: LiveWorker, func: str) -> bool:
    return bool(worker.allow) and not Allowlist(worker.allow).covers(func)
