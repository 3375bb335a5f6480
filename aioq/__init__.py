"""A task queue for asyncio on Redis and Valkey streams.

>>> from aioq import Queue, get_current_job
>>> queue = Queue("default", connection="redis://localhost:6379/0")  # doctest: +SKIP
>>> job = await queue.enqueue(count_words_at_url, "http://nvie.com")  # doctest: +SKIP
"""

import importlib
import typing

from aioq import errors as errors
from aioq.client.context import current_job, get_current_job, get_resources
from aioq.client.group import Group
from aioq.client.job import Job
from aioq.client.queue import Queue
from aioq.client.task import task
from aioq.store.acting import acting_as
from aioq.store.connection import Connection
from aioq.values import distribution, rq_names
from aioq.values.callback import Callback
from aioq.values.dependency import Dependency
from aioq.values.depends import Depends
from aioq.values.errors import (
    AioqError,
    InvalidInput,
    JobFailed,
    JobTimeout,
    JobTimeoutException,
    NoSuchJobError,
    ServerError,
)
from aioq.values.repeat import Repeat
from aioq.values.result import Result
from aioq.values.result_of import ResultOf
from aioq.values.retry import Retry
from aioq.values.states import JobStatus
from aioq.values.webhook import Webhook

if typing.TYPE_CHECKING:
    from aioq.pool.pool import WorkerPool
    from aioq.worker.worker import Worker

#: The version of the distribution `aioq-streams`.
__version__ = distribution.VERSION

#: What most programs need. The modules of `_ELSEWHERE` have the rest.
__all__ = [
    "AioqError",
    "Callback",
    "Connection",
    "Dependency",
    "Depends",
    "Group",
    "InvalidInput",
    "Job",
    "JobFailed",
    "JobStatus",
    "JobTimeout",
    "JobTimeoutException",
    "NoSuchJobError",
    "Queue",
    "Repeat",
    "Result",
    "ResultOf",
    "Retry",
    "ServerError",
    "Webhook",
    "Worker",
    "WorkerPool",
    "acting_as",
    "current_job",
    "get_current_job",
    "get_resources",
    "task",
]

#: The modules with the other public names; whoever looks for one of these here is told where it stands.
_ELSEWHERE = ("aioq.errors", "aioq.logs", "aioq.types", "aioq.middleware")


def __dir__() -> list[str]:
    """What the package is for: not the packages that it is made of."""
    return sorted([*__all__, *(name for name in globals() if name.startswith("__"))])


def __getattr__(name: str) -> object:
    """Load what runs jobs when it is asked for: an application that only enqueues need not wait for that."""
    if name == "Worker":
        from aioq.worker.worker import Worker  # noqa: PLC0415

        globals()[name] = Worker

        return Worker

    if name == "WorkerPool":
        from aioq.pool.pool import WorkerPool  # noqa: PLC0415

        globals()[name] = WorkerPool

        return WorkerPool

    if (instead := rq_names.instead_of(name, rq_names.MODULE)) is not None:
        # An AttributeError would be turned into an ImportError without this text.
        raise ImportError(f"aioq has no {name}, unlike RQ. {instead}", name=__name__)

    for module in _ELSEWHERE:
        if name in importlib.import_module(module).__all__:
            raise ImportError(f"{name} stands in {module}. Write `from {module} import {name}`.", name=__name__)

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
