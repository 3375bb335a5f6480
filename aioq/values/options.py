"""The options of a job, as users write them, checked once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, TypedDict

from aioq.values.durability import Level, check_level
from aioq.values.durations import FOREVER, Duration, limit_ms, positive_ms, retention_ms
from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.ids import check_id
from aioq.values.option_names import asks_for_nothing, unknown_option
from aioq.values.retry import Retry, as_retry
from aioq.values.states import KEPT_MS, JobStatus

TIMEOUT_MS = 180_000  # RQ's default
RESULT_TTL_MS = KEPT_MS[JobStatus.FINISHED]
FAILURE_TTL_MS = KEPT_MS[JobStatus.FAILED]
CANCELED_TTL_MS = KEPT_MS[JobStatus.CANCELED]
EXPIRED_TTL_MS = KEPT_MS[JobStatus.EXPIRED]
MAX_PAYLOAD = 1_048_576  # bytes of arguments and meta, together

#: Where a plain function runs: on a thread of the worker, or in a process of its own.
Executor = Literal["thread", "process"]
THREAD: Executor = "thread"
PROCESS: Executor = "process"
EXECUTORS = (THREAD, PROCESS)


class Options(TypedDict, total=False):
    """What `enqueue`, `using`, `task` and `Job.create` take beside the call; RQ's names."""

    job_timeout: Duration | None
    result_ttl: Duration | None
    ttl: Duration | None
    failure_ttl: Duration | None
    description: str | None
    job_id: str | None
    at_front: bool
    meta: Mapping[str, Any] | None
    retry: Retry | int | None
    durability: Level | None
    executor: Executor | None


OPTION_NAMES: frozenset[str] = frozenset(Options.__annotations__)


@dataclass(frozen=True, slots=True)
class JobOptions:
    """The options of one job. None means: not given, a default further up applies.

    default_executor: of the queue. It concerns plain functions only; whether the job's is one may be known to the
        worker alone.
    """

    timeout_ms: int | None = None
    result_ttl_ms: int | None = None
    ttl_ms: int | None = None
    failure_ttl_ms: int | None = None
    description: str | None = None
    job_id: str | None = None
    at_front: bool | None = None
    meta: Mapping[str, Any] | None = None
    retry: Retry | None = None
    durability: Level | None = None
    executor: Executor | None = None
    default_executor: Executor | None = None

    def over(self, defaults: JobOptions) -> JobOptions:
        """These options, with those of `defaults` where nothing was given."""
        if defaults is NO_OPTIONS:
            return self

        missing = {
            name: value
            for name in self.__slots__
            if getattr(self, name) is None and (value := getattr(defaults, name)) is not None
        }

        return replace(self, **missing) if missing else self

    def packed(self) -> bytes:
        """What only the worker needs, as JSON; empty when all of it is default."""
        values = {
            "timeout": self.timeout_ms,
            "result_ttl": self.result_ttl_ms,
            "description": self.description,
            "retry": None if self.retry is None else self.retry.to_dict(),
            "executor": self.executor,
            "default_executor": self.default_executor if self.executor is None else None,
        }
        given = {name: value for name, value in values.items() if value is not None}

        return json.dumps(given, separators=(",", ":")).encode() if given else b""


NO_OPTIONS = JobOptions()


def read_options(given: Options) -> JobOptions:
    """Check options as users write them.

    Raises:
        InvalidInput: an option's value is not what is expected; the text names it.

    """
    if not given:
        return NO_OPTIONS

    if given.keys() - OPTION_NAMES:
        unknown = sorted(name for name in given if name not in OPTION_NAMES and not asks_for_nothing(name, given))

        if unknown:
            told = " ".join(unknown_option(name, OPTION_NAMES) for name in unknown)

            raise InvalidInput(f"{told} Its options are {', '.join(sorted(OPTION_NAMES))}")

    if all(value is None for value in given.values()):
        return NO_OPTIONS

    job_timeout, result_ttl = given.get("job_timeout"), given.get("result_ttl")
    ttl, failure_ttl = given.get("ttl"), given.get("failure_ttl")
    job_id = given.get("job_id")

    return JobOptions(
        timeout_ms=None if job_timeout is None else limit_ms(job_timeout, "job_timeout"),
        result_ttl_ms=None if result_ttl is None else retention_ms(result_ttl, "result_ttl"),
        ttl_ms=None if ttl is None else positive_ms(ttl, "ttl"),
        failure_ttl_ms=None if failure_ttl is None else retention_ms(failure_ttl, "failure_ttl"),
        description=_description(given.get("description")),
        job_id=None if job_id is None else check_id(job_id),
        at_front=_at_front(given.get("at_front")),
        meta=None if given.get("meta") is None else check_meta(given["meta"]),
        retry=as_retry(given.get("retry")),
        durability=None if given.get("durability") is None else check_level(given["durability"]),
        executor=check_executor(given.get("executor"), "executor"),
    )


def seconds(ms: int | None) -> float | None:
    """Milliseconds as seconds; FOREVER stays -1."""
    if ms is None or ms == FOREVER:
        return ms

    return ms / 1000


def _description(value: object) -> str | None:
    if value is not None and not isinstance(value, str):
        raise InvalidType(f"description={value!r}: expected a str, not {type(value).__name__}")

    return value


def _at_front(value: object) -> bool | None:
    if value is not None and not isinstance(value, bool):
        raise InvalidType(f"at_front={value!r}: expected True or False, not {type(value).__name__}")

    return value


def check_executor(value: Executor | None, name: str) -> Executor | None:
    """Where plain functions run, as given by a user; None: not given.

    Raises:
        InvalidInput: it is no such place; `name` says in the text which value it was.

    """
    if value is not None and value not in EXECUTORS:
        raise InvalidInput(f"{name}={value!r}: expected one of {', '.join(map(repr, EXECUTORS))}")

    return value


def check_meta(value: object) -> Mapping[str, Any]:
    """Values of meta as given by a user.

    Raises:
        InvalidType: it is not a mapping, or a key is not a str.
        InvalidInput: a key cannot be encoded.

    """
    if not isinstance(value, Mapping):
        raise InvalidType(f"meta={value!r}: expected a mapping, not {type(value).__name__}")

    for key in value:
        if not isinstance(key, str):
            raise InvalidType(f"meta key {key!r}: expected a str, not {type(key).__name__}")

        try:
            key.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"meta key {key!r}: expected text that can be encoded as UTF-8") from None

    return value
