"""The jobs that are made when a group ends: what is stored of them with the group."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, TypeAlias

from aioq.client.call import submission_of
from aioq.client.producer import EnqueueData, Producer
from aioq.store.net.command import Argument
from aioq.values.errors import InvalidInput
from aioq.values.options import NO_OPTIONS
from aioq.values.submission import Submission

#: What follows from the end of a group: a call, or a function that takes no arguments.
Sequel: TypeAlias = EnqueueData[Any] | Callable[[], Any] | str

#: Options that a call cannot have here, and why.
_REFUSED = {
    "job_id": "its id is made with the group",
    "edges": "it waits for the group",
    "durability": "it is stored by the script that ends the group",
}


def record_of(sequel: Sequel, name: str, producer: Producer) -> dict[bytes, Argument]:
    """What is stored of such a job, so that a script can make it.

    Args:
        sequel: the call.
        name: of the argument, for errors.
        producer: of the queue.

    Raises:
        InvalidInput: it cannot be called, or has an option that it cannot have.

    """
    given = sequel if isinstance(sequel, EnqueueData) else EnqueueData[Any](sequel, (), {}, NO_OPTIONS)

    for field, why in _REFUSED.items():
        if vars(given.options).get(field) is not None:
            option = "depends_on" if field == "edges" else field

            raise InvalidInput(f"{name}: {option} is no option of the job of a group, since {why}")

    try:
        call = replace(producer, middleware=()).prepare(given.func, given.args, given.kwargs, given.options)
    except InvalidInput as error:
        error.args = (f"{name}: {error}",)

        raise

    submission = submission_of(call, producer.store.signer)
    words = {word.encode(): submission.words[word] for word in ("lane", "ttl", "tags") if word in submission.words}

    if after := _after(submission):
        words[b"after"] = after

    return {**submission.record.fields, **words, b"id": submission.record.id}


def _after(submission: Submission) -> str:
    """What follows from the end of the job, as `enqueue.lua` writes it for other jobs."""
    kinds = str(submission.words.get("callbacks", "")).replace(",", " ")

    return " ".join(filter(None, (kinds, "tags" if "tags" in submission.words else "")))
