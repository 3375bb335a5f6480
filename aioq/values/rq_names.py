"""RQ's names: code that uses one which aioq does not have gets an error that says what to write instead.

Type checkers and completion see none of this, and it costs nothing where nobody uses such a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any, NoReturn, TypeVar, cast

from aioq.values.errors import InvalidType

T = TypeVar("T")
C = TypeVar("C", bound=Callable[..., Any])

_MISSING = "Nothing stands for it yet."
_WORKERS = "`aioq info --json` lists the workers."

#: For each class: RQ's name of an attribute, and the code that stands here for it; or a sentence.
QUEUE = {
    "__len__": "await queue.count()",
    "enqueue_dependents": "The end of a job releases its dependents.",
    "get_job_ids": "await queue.job_ids()",
    "get_job_position": "await job.get_position()",
    "get_jobs": "await queue.jobs()",
    "remove": "await job.cancel()",
    "run_sync": "await Worker(queue).run(burst=True)",
    "schedule_job": "await queue.enqueue_at(…)",
}
REGISTRY = {
    "__contains__": "await registry.contains(job)",
    "__len__": "await registry.count()",
    "add": "A job is in the registry of its state, and in no other.",
    "cleanup": "Nobody needs it: what is past its retention is not listed.",
    "get_job_count": "await registry.count()",
    "get_job_ids": "await registry.job_ids()",
    "get_queue": "Whoever has the registry has the queue.",
    "get_scheduled_time": "job.scheduled_at",
    "schedule": "await queue.enqueue_at(…)",
}
JOB = {
    "add_child": "Only the run of a job adds children to it: `await current_job().add_child(…)`.",
    "connection": "job.queue.connection",
    "dependency": "await job.dependencies()",
    "fetch_dependencies": "await job.dependencies()",
    "get_call_string": "job.description",
    "exists": "await queue.fetch_job(job_id)",
    "key": "job.id",
    "perform": "Workers run it.",
    "enqueue_at_front_on_retry": "The Retry that was given knows it: `retry.at_front`.",
    "get_retry_interval": "The Retry that was given knows them: `retry.interval_ms`.",
    "repeat_intervals": "The Repeat that was given knows them.",
    "retry_intervals": "The Retry that was given knows them: `retry.interval_ms`.",
    "should_retry": "job.retries_left",
    "set_status": "Nobody sets it: a job's state follows from what happens to it.",
    "get_executions": "await job.results()",
    "get_id": "job.id",
    "get_ttl": "job.ttl",
    "last_heartbeat": _WORKERS,
    "number_of_retries": "job.attempt - 1",
    "save": "`await queue.enqueue_job(job)` stores a new job, and `await job.save_meta()` its meta.",
}
WORKER = {
    "connection": "The worker opens it when it runs.",
    "get_current_job": "current_job()",
    "get_state": _WORKERS,
    "queues": "worker.queue_names",
    "request_force_stop": "worker.request_stop()",
    "state": _WORKERS,
    "work": "await worker.run()",
}
POOL = {
    "num_workers": "pool.processes",
    "queues": "pool.queue_names",
    "start": "await pool.run()",
    "stop_workers": "pool.request_stop()",
}
GROUP = {
    "cleanup": "Nobody needs it: a member whose job is gone still counts.",
    "clean_registries": "Nobody needs it: workers remove groups whose retention is over.",
    "connection": "group.queue.connection",
    "delete_job": "await job.delete()",
    "get_jobs": "await group.jobs()",
    "key": "group.name",
}
TASK = {"delay": "await task.enqueue(…)"}

#: For a task that belongs to no queue.
LOOSE_TASK = dict.fromkeys(
    ("delay", "enqueue", "enqueue_at", "enqueue_in", "enqueue_many"), "await queue.enqueue(task, …)"
)

#: The same for arguments: of Queue, Worker, Job.fetch and enqueue_many.
QUEUE_ARGUMENTS = {
    "death_penalty_class": _MISSING,
    "failure_ttl": "default_failure_ttl=…",
    "is_async": "In a test, `aioq.testing` runs what was enqueued.",
    "job_class": _MISSING,
    "result_ttl": "default_result_ttl=…",
    "timeout": "default_timeout=…",
    "ttl": "default_ttl=…",
}
WORKER_ARGUMENTS = {
    "default_result_ttl": "result_ttl=…",
    "default_worker_ttl": "Nobody needs it: a worker renews its lease by itself.",
    "disable_default_exception_handler": _MISSING,
    "job_class": _MISSING,
    "job_monitoring_interval": "Nobody needs it: a worker renews its lease by itself.",
    "log_job_description": "log_jobs=True",
    "maintenance_interval": "Nobody needs it: workers look for what is due and what was lost by themselves.",
    "queue_class": _MISSING,
    "serializer": "Nobody needs it: each job says how it was serialised. One of your own: serializers=[…]",
    "worker_ttl": "Nobody needs it: a worker renews its lease by itself.",
}
POOL_ARGUMENTS = WORKER_ARGUMENTS | {
    "num_workers": "processes=…",
    "worker_class": _MISSING,
}
RUN_ARGUMENTS = {
    "logging_level": 'logging.getLogger("aioq").setLevel(…)',
    "with_scheduler": "Nobody needs it: workers enqueue what is due by themselves.",
}
FETCH_ARGUMENTS = dict.fromkeys(("connection", "serializer"), "await Job.fetch(job_id, queue)")
FETCH_MANY_ARGUMENTS = dict.fromkeys(("connection", "serializer"), "await Job.fetch_many(job_ids, queue)")
LIST_ARGUMENTS = {"length": "limit=…", "start": "offset=…", "end": "limit=…"}
GROUP_ARGUMENTS = {
    "connection": "Group.create(queue, name), Group.fetch(name, queue), Group.all(queue)",
    "pipeline": "Nobody needs it: all go in few round trips.",
    "job_datas": "await group.enqueue_many(queue, calls)",
    "id": "name=…",
}
WEBHOOK_ARGUMENTS = {
    "job_status": "events=…",
    "method": "It is always a POST: a request with another method has no body that all receivers read.",
}
ENQUEUE_MANY_ARGUMENTS = {
    "group_id": "await group.enqueue_many(queue, calls)",
    "pipeline": "Nobody needs it: all go in few round trips.",
}

RETRY = {"enqueue_at_front": "retry.at_front", "intervals": "retry.interval_ms"}
REPEAT = {"intervals": "repeat.interval_ms"}

#: What RQ exports, and what its users import here.
MODULE = {
    "CronScheduler": _MISSING,
    "RateLimit": _MISSING,
    "SimpleWorker": "Worker",
    "SpawnWorker": "Worker",
    "cancel_job": "await job.cancel()",
    "get_current_connection": "current_job().queue.connection",
    "job": "@queue.task",
    "requeue_job": "await queue.requeue(job_id)",
    "send_stop_job_command": "await job.stop()",
}
MODULE |= dict.fromkeys(
    (
        "FailedJobRegistry",
        "FinishedJobRegistry",
        "ScheduledJobRegistry",
        "StartedJobRegistry",
        "CanceledJobRegistry",
    ),
    "queue.failed_job_registry",
)


def instead_of(name: str, names: Mapping[str, str]) -> str | None:
    """What stands for one of RQ's names; None if it is none of them."""
    if (instead := names.get(name)) is None:
        return None

    return instead if instead.endswith(".") else f"Write `{instead}`."


def tell_rq_names(names: Mapping[str, str]) -> Callable[[type[T]], type[T]]:
    """Let objects of a class name the attribute that was meant."""

    def decorate(kind: type[T]) -> type[T]:
        def look_up(self: T, name: str) -> Any:
            if (instead := instead_of(name, names)) is None:
                return object.__getattribute__(self, name)  # it raises what the attribute has raised

            raise AttributeError(f"{kind.__name__} has no {name!r}, unlike RQ's. {instead}", name=name, obj=self)

        added: dict[str, Any] = {"__getattr__": look_up}

        for name in names.keys() & {"__len__", "__contains__"}:
            added |= {
                name: _refused(
                    f"{kind.__name__} cannot answer without asking the server. {instead_of(name, names)}"
                )
            }
            added |= {"__bool__": lambda _: True}

        for name, method in added.items():
            setattr(kind, name, method)

        return kind

    return decorate


def tell_rq_arguments(names: Mapping[str, str]) -> Callable[[C], C]:
    """Let a function name the argument that was meant."""

    def decorate(function: C) -> C:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                return function(*args, **kwargs)
            except TypeError as error:
                name = re.search(r"unexpected keyword argument '(\w+)'", str(error))

                if name is None or name[1] not in kwargs or (instead := instead_of(name[1], names)) is None:
                    raise

                called = function.__qualname__.removesuffix(".__init__")

                raise InvalidType(f"{called} has no argument {name[1]!r}, unlike RQ's. {instead}") from None

        return cast("C", call)

    return decorate


def _refused(text: str) -> Callable[..., NoReturn]:
    def refuse(*_: object) -> NoReturn:
        raise TypeError(text)

    return refuse
