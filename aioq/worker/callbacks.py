"""Callbacks, as a worker runs them: they are called with the job that they follow, and with what became of it."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from inspect import Signature
from typing import Any

from aioq.client.context import CurrentJob
from aioq.client.endings import ENDINGS, ending_error
from aioq.store import Store
from aioq.values.callback import followed_by
from aioq.values.callback_form import Form, form_of
from aioq.values.errors import DeserializationError, JobFailed
from aioq.values.record import JobRecord
from aioq.values.reference import Function, signature_of


class FollowedJob(CurrentJob):
    """The job that a callback follows, as it was when the callback was made. Its meta can be saved.

    Args:
        kind: of the callback.
        record: what the callback carries of the job.
        store: the queue.
        is_webhook: whether the callback is a webhook.

    """

    __slots__ = ("_callback", "is_webhook")

    def __init__(self, kind: str, record: JobRecord, store: Store, *, is_webhook: bool = False) -> None:
        super().__init__(record, store)
        self._callback = kind
        self.is_webhook = is_webhook

    @property
    def callback(self) -> str:
        """The option that the running callback was given as, such as "on_success"."""
        return self._callback


def followed_job(record: JobRecord, store: Store) -> FollowedJob:
    """The job that a callback follows.

    Args:
        record: the callback.
        store: its queue.

    Raises:
        DeserializationError: the record is no callback, or does not carry the job.

    """
    followed = followed_by(record.id)

    if followed is None:
        raise DeserializationError(f"job {record.id} is no callback, and no other job can have such an id")

    return FollowedJob(followed.kind, record.carried(), store, is_webhook=followed.number > 0)


def called_with(
    job: FollowedJob, func: Function, instance: object | None, args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> tuple[Any, ...]:
    """All that a callback is called with by position.

    Args:
        job: the job that it follows.
        func: what is called.
        instance: what the function is bound to; None: nothing.
        args: the callback's own arguments by position.
        kwargs: those by name.

    Raises:
        InvalidFunction: it takes neither aioq's form nor that of RQ.
        DeserializationError: what became of the job cannot be read here; a BadSignature, if it is not signed and
            the queue signs.

    """
    signature = _known_signature(func, instance is not None)
    form = form_of(job.callback, job.func_name, signature, args, kwargs)
    values = {"job": job, **_outcome(job, form)}
    first = () if instance is None else (instance,)

    return (*first, *(values[name] for name in form.value), *args)


@lru_cache(maxsize=1024)
def _known_signature(func: Function, is_bound: bool) -> Signature | None:
    return signature_of(func, bound=is_bound)


def _outcome(job: FollowedJob, form: Form) -> dict[str, Any]:
    """What became of the job, by the names that a form has for it."""
    if job.callback == "on_success":
        result = {"result": job.record.result()}

        return result if form is Form.AIOQ_SUCCESS else {"connection": job.queue.connection, **result}

    error = _error(job.record)

    if form is Form.AIOQ:
        return {"error": error}

    return {"connection": job.queue.connection, "type": type(error), "value": error, "traceback": None}


def _error(record: JobRecord) -> JobFailed:
    """What `Job.result()` raises; of a job that is retried, what its last run has failed with."""
    if record.status in ENDINGS:
        return ending_error(record, {})

    failure = record.failure

    if failure is None:
        return JobFailed(record.id, "")

    return JobFailed(record.id, failure.text, failure.type, failure.message)
