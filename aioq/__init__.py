"""A task queue for asyncio on Redis and Valkey streams.

>>> from aioq import Queue, get_current_job
>>> queue = Queue("default", connection="redis://localhost:6379/0")  # doctest: +SKIP
>>> job = await queue.enqueue(count_words_at_url, "http://nvie.com")  # doctest: +SKIP
"""

import typing

from aioq import errors
from aioq.client.context import current_job, get_current_job, get_resources
from aioq.client.job import Job
from aioq.client.log_filter import JobLogFilter
from aioq.client.producer import EnqueueData
from aioq.client.queue import Queue
from aioq.client.registry import Registry
from aioq.client.task import Task, task
from aioq.store.connection import Connection
from aioq.values import distribution, rq_names
from aioq.values.depends import Depends
from aioq.values.durability import Durability
from aioq.values.errors import (
    AbandonedJobError,
    AioqError,
    BadSignature,
    DeserializationError,
    DuplicateJobError,
    FunctionNotAllowed,
    InvalidFunction,
    InvalidInput,
    InvalidJobOperation,
    JobCanceled,
    JobExpired,
    JobFailed,
    JobNotFound,
    JobProcessError,
    JobStopped,
    JobTimeout,
    JobTimeoutException,
    NoSuchJobError,
    NotDurable,
    PayloadTooLarge,
    ResultNotKept,
    SerializationError,
    ServerError,
    ServerFull,
    ServerRefused,
    ServerUnreachable,
    ServerUnsuitable,
    TimeoutFormatError,
)
from aioq.values.result import Result
from aioq.values.retry import Retry
from aioq.values.states import JobStatus

if typing.TYPE_CHECKING:
    from aioq.worker.worker import Worker

#: The version of the distribution `aioq-streams`.
__version__ = distribution.VERSION

__all__ = [
    "AbandonedJobError",
    "AioqError",
    "BadSignature",
    "Connection",
    "Depends",
    "DeserializationError",
    "DuplicateJobError",
    "Durability",
    "EnqueueData",
    "FunctionNotAllowed",
    "InvalidFunction",
    "InvalidInput",
    "InvalidJobOperation",
    "Job",
    "JobCanceled",
    "JobExpired",
    "JobFailed",
    "JobLogFilter",
    "JobNotFound",
    "JobProcessError",
    "JobStatus",
    "JobStopped",
    "JobTimeout",
    "JobTimeoutException",
    "NoSuchJobError",
    "NotDurable",
    "PayloadTooLarge",
    "Queue",
    "Registry",
    "Result",
    "ResultNotKept",
    "Retry",
    "SerializationError",
    "ServerError",
    "ServerFull",
    "ServerRefused",
    "ServerUnreachable",
    "ServerUnsuitable",
    "Task",
    "TimeoutFormatError",
    "Worker",
    "current_job",
    "get_current_job",
    "get_resources",
    "task",
]


def __dir__() -> list[str]:
    """What the package is for: not the packages that it is made of."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


def __getattr__(name: str) -> object:
    """Load the worker when it is asked for: an application that only enqueues need not wait for that."""
    if name == "Worker":
        from aioq.worker.worker import Worker  # noqa: PLC0415

        globals()[name] = Worker

        return Worker

    if hasattr(errors, name):
        return getattr(errors, name)

    if (instead := rq_names.instead_of(name, rq_names.MODULE)) is not None:
        # An AttributeError would be turned into an ImportError without this text.
        raise ImportError(f"aioq has no {name}, unlike RQ. {instead}", name=__name__)

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
