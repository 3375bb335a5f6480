"""Actions: what the forms of the pages do. Each is one call of the interface that programs use."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple
from urllib.parse import urlencode

from aioq.client.bulk import requeue_all
from aioq.client.queue import Queue
from aioq.values.durations import positive_ms
from aioq.values.errors import InvalidInput, NoSuchFailureError
from aioq.values.failure_group import check_fingerprint
from aioq.values.ids import check_queue_name, lookup_id
from aioq.values.states import JobStatus
from aioq.web.acting import on_matching
from aioq.web.board import Board
from aioq.web.requests import back_to
from aioq.web.words import count

Form = Mapping[str, str]


class Done(NamedTuple):
    """What has become of an action.

    Args:
        word: for the address that is shown then: `TOLD` has its sentence.
        number: of the jobs that it concerned.

    """

    word: str
    number: int = 0


#: The most failed jobs that one form brings back.
MOST_REQUEUED = 10_000

#: No number of jobs has so many digits.
LONGEST_NUMBER = 12

#: What is told after an action, by its word. An address cannot bring a sentence of its own.
TOLD: dict[str, str] = {
    "requeued": "The job waits in its queue again.",
    "canceled": "The job is canceled.",
    "stopped": "The run is stopped.",
    "deleted": "The job is deleted.",
    "paused": "The queue is paused. Runs in progress go on.",
    "resumed": "The queue is resumed.",
    "emptied": "{jobs} that waited: deleted.",
    "back": "{jobs} requeued.",
    "muted": "The failure is muted.",
    "unmuted": "The failure is shown again.",
    "no_failure": "Nothing was done: no job has failed so any more.",
    "all_requeue": "{jobs} requeued.",
    "all_cancel": "{jobs} canceled.",
    "all_delete": "{jobs} deleted.",
    "some_requeue": "{jobs} requeued; there may be more of them.",
    "some_cancel": "{jobs} canceled; there may be more of them.",
    "some_delete": "{jobs} deleted; there may be more of them.",
    "late": "Nothing was done: the job is in another state by now.",
    "gone": "Nothing was done: there is no such job any more.",
}


def told(query: Mapping[str, str]) -> str:
    """The sentence that an address asks for, after an action; "" for none."""
    word, number = query.get("told", ""), query.get("n", "")

    jobs = count(int(number), "job") if number.isdecimal() and len(number) < LONGEST_NUMBER else "No job"

    return TOLD.get(word, "").format(jobs=jobs)


async def carry_out(board: Board, form: Form) -> str:
    """Do what a form asks for; the path of the page to show then.

    Raises:
        InvalidInput: the form asks for nothing that there is.
        ServerError: the server cannot be reached, or refuses.

    """
    verb = form.get("verb", "")

    if verb in _MATCHING_VERBS:
        return await _to_all(board, verb, form)

    name = check_queue_name(form.get("queue", ""))

    if verb in _JOB_VERBS:
        done = await _JOB_VERBS[verb](Queue(name, board.connection), lookup_id(form.get("id", "")))
    elif verb in _QUEUE_VERBS:
        done = await _QUEUE_VERBS[verb](Queue(name, board.connection), form)
    else:
        raise InvalidInput(
            f"verb={verb!r}: expected one of {', '.join([*_JOB_VERBS, *_QUEUE_VERBS, *_MATCHING_VERBS])}"
        )

    words = {"told": done.word} | ({"n": str(done.number)} if done.number else {})

    return back_to("/" if done.word == "deleted" else form.get("back", ""), words)


async def _to_all(board: Board, verb: str, form: Form) -> str:
    """Do something to all jobs that a filter is for; then they are looked at again."""
    word = verb.removesuffix("_matching")
    number, is_all = await on_matching(board, word, form)
    told = {"told": f"all_{word}" if is_all else f"some_{word}", "n": str(number)}

    return "/jobs?" + urlencode({"q": form.get("q", ""), "queue": form.get("queue", "")} | told)


def _of_verdict(verdict: str, word: str) -> Done:
    return Done(word if verdict == "ok" else "gone" if verdict == "gone" else "late")


async def _requeue(queue: Queue, job_id: str) -> Done:
    (verdict,) = await queue.store.changes.requeue([job_id], at_front=False, reset=True)

    return _of_verdict(verdict, "requeued")


async def _cancel(queue: Queue, job_id: str) -> Done:
    return _of_verdict((await queue.store.changes.cancel(job_id))[0], "canceled")


async def _stop(queue: Queue, job_id: str) -> Done:
    return _of_verdict((await queue.store.changes.stop(job_id))[0], "stopped")


async def _delete(queue: Queue, job_id: str) -> Done:
    return Done("deleted" if await queue.store.changes.delete([job_id]) else "gone")


async def _pause(queue: Queue, form: Form) -> Done:
    given = form.get("duration", "").strip()

    if given:
        positive_ms(given, "duration")

    await queue.pause(given or None, reason=form.get("reason", "").strip() or None)

    return Done("paused")


async def _resume(queue: Queue, _: Form) -> Done:
    await queue.resume()

    return Done("resumed")


async def _requeue_failed(queue: Queue, _: Form) -> Done:
    """So many at once that a browser waits for it."""
    number = 0

    async for chunk in requeue_all(queue.store, JobStatus.FAILED, at_front=False, reset=True):
        number += sum(verdict == "ok" for _, verdict in chunk)

        if number >= MOST_REQUEUED:
            break

    return Done("back", number)


async def _mute(queue: Queue, form: Form) -> Done:
    given = form.get("duration", "").strip() or None
    fingerprint = check_fingerprint(form.get("fingerprint", ""))

    try:
        await queue.mute_failure(fingerprint, given, muted_by=form.get("by", "").strip())
    except NoSuchFailureError:
        return Done("no_failure")

    return Done("muted")


async def _unmute(queue: Queue, form: Form) -> Done:
    try:
        await queue.unmute_failure(check_fingerprint(form.get("fingerprint", "")))
    except NoSuchFailureError:
        return Done("no_failure")

    return Done("unmuted")


async def _empty(queue: Queue, form: Form) -> Done:
    if form.get("typed", "").strip() != queue.name:
        raise InvalidInput(f"to empty queue {queue.name}, type its name; {form.get('typed', '')!r} is another one")

    return Done("emptied", await queue.empty())


_JOB_VERBS: dict[str, Callable[[Queue, str], Awaitable[Done]]] = {
    "requeue": _requeue,
    "cancel": _cancel,
    "stop": _stop,
    "delete": _delete,
}

_QUEUE_VERBS: dict[str, Callable[[Queue, Form], Awaitable[Done]]] = {
    "pause": _pause,
    "resume": _resume,
    "requeue_failed": _requeue_failed,
    "empty": _empty,
    "mute": _mute,
    "unmute": _unmute,
}

_MATCHING_VERBS = ("requeue_matching", "cancel_matching", "delete_matching")
