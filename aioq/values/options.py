"""The options of a job: one row for each, and what follows from the rows."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterable, Mapping
from typing import Any, Literal, TypedDict, Unpack

from aioq.values.callback import KINDS
from aioq.values.callback_row import CallbackOption, row_of
from aioq.values.dependency import DependsOn, Edges, read_depends_on
from aioq.values.durability import Level, check_level
from aioq.values.durations import (
    Duration,
    is_duration,
    limit_ms,
    positive_ms,
    retention_ms,
    whole_seconds,
)
from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.ids import check_id
from aioq.values.metacheck import check_meta
from aioq.values.option import Field, Flag, Option, Packed, Shown, Word
from aioq.values.option_names import asks_for_nothing, unknown_option
from aioq.values.repeat import REPEAT_OPTION, Repeat
from aioq.values.result_of import RESULTS_OPTION, Place
from aioq.values.retry import Retry
from aioq.values.retry_option import RETRY_OPTION
from aioq.values.states import KEPT_MS, JobStatus
from aioq.values.tags import check_tag, check_tags
from aioq.values.webhook import Webhook
from aioq.values.webhook_row import WEBHOOKS_OPTION, Webhooks

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
    """What `enqueue`, `using`, `task` and `Job.create` take beside the call; RQ's names.

    It repeats the names of the rows, with their types, for type checkers.
    """

    job_timeout: Duration | None
    result_ttl: Duration | None
    ttl: Duration | None
    failure_ttl: Duration | None
    description: str | None
    job_id: str | None
    at_front: bool
    meta: Mapping[str, Any] | None
    tags: Iterable[str] | None
    retry: Retry | int | None
    repeat: Repeat | None
    durability: Level | None
    executor: Executor | None
    depends_on: DependsOn | None
    deferred_ttl: Duration | None
    on_success: CallbackOption | None
    on_failure: CallbackOption | None
    on_stopped: CallbackOption | None
    on_canceled: CallbackOption | None
    on_expired: CallbackOption | None
    on_retry: CallbackOption | None
    webhooks: Webhooks | None


def check_text(value: object, name: str) -> str:
    """A text as given by a user. Raises InvalidType."""
    if not isinstance(value, str):
        raise InvalidType(f"{name}={value!r}: expected a str, not {type(value).__name__}")

    return value


def check_switch(value: object, name: str) -> bool:
    """True or False as given by a user. Raises InvalidType."""
    if not isinstance(value, bool):
        raise InvalidType(f"{name}={value!r}: expected True or False, not {type(value).__name__}")

    return value


def check_executor(value: Executor | None, name: str) -> Executor | None:
    """Where plain functions run, as given by a user; None: not given.

    Raises:
        InvalidInput: it is no such place; `name` says in the text which value it was.

    """
    if value is not None and value not in EXECUTORS:
        raise InvalidInput(f"{name}={value!r}: expected one of {', '.join(map(repr, EXECUTORS))}")

    return value


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _is_executor(value: object) -> bool:
    return value in EXECUTORS


def _lane(at_front: bool) -> str:
    return "front" if at_front else ""


def _nonce(_: str) -> str:
    """An id that a user chose may be chosen twice; the nonce tells a repeated call from that."""
    return secrets.token_hex(4)


#: The options that users give. Their order is that of the packed options, of the flags, and of what is shown.
OPTIONS = (
    Option(
        "job_timeout",
        limit_ms,
        "timeout_ms",
        Packed("timeout", is_duration, default=TIMEOUT_MS),
        Shown("timeout", whole_seconds, "limit"),
        (Flag("timeout", "DURATION", "How long a run may take: 90, 5m, 1h30m; -1: no limit.", limit_ms),),
    ),
    Option(
        "ttl",
        positive_ms,
        "ttl_ms",
        Word("ttl", field=Field(b"ttl", 0)),
        Shown("ttl", lambda ms: whole_seconds(ms) or None, "duration"),
        (Flag("ttl", "DURATION", "How long the job may wait for a worker.", positive_ms),),
    ),
    Option(
        "result_ttl",
        retention_ms,
        "result_ttl_ms",
        Packed("result_ttl", is_duration, default=RESULT_TTL_MS),
        Shown("result_ttl", whole_seconds, "retention"),
        (Flag("result_ttl", "DURATION", "How long the result is kept.", retention_ms),),
    ),
    Option(
        "failure_ttl",
        retention_ms,
        "failure_ttl_ms",
        Field(b"failure_ttl", FAILURE_TTL_MS),
        Shown("failure_ttl", whole_seconds, "retention"),
        (Flag("failure_ttl", "DURATION", "How long the job is kept if it fails.", retention_ms),),
    ),
    Option(
        "description",
        check_text,
        "description",
        Packed("description", _is_text),
        Shown("description"),
        (Flag("description", "TEXT", "A text that lists show."),),
    ),
    Option(
        "job_id",
        check_id,
        "job_id",
        Word("nonce", _nonce),
        flags=(Flag("job_id", "ID", "The job's id. Without it, a new one is made."),),
    ),
    Option(
        "at_front",
        check_switch,
        "at_front",
        Word("lane", _lane),
        flags=(Flag("at_front", "", "Put it at the front of the queue.", kind=bool),),
    ),
    Option(  # each value is a field of its own, in the job's serializer
        "meta",
        check_meta,
        "meta",
        flags=(Flag("meta", "KEY=JSON", "A value of the job's meta; any number.", kind=list),),
    ),
    Option(
        "tags",
        check_tags,
        "tags",
        Word("tags", ",".join),
        flags=(Flag("tag", "TAG", "A text by which the job is found; any number.", check_tag, list),),
    ),
    RETRY_OPTION,
    REPEAT_OPTION,
    Option("durability", check_level, "durability"),  # what is waited for; it is not stored
    Option(
        "depends_on",
        read_depends_on,
        "edges",
        Word("parents", Edges.word),
        flags=(Flag("depends_on", "ID", "Wait for this job to finish; any number.", read_depends_on, list),),
    ),
    Option(
        "deferred_ttl",
        positive_ms,
        "deferred_ttl_ms",
        Word("deferred_ttl", field=Field(b"deferred_ttl", 0)),
        Shown("deferred_ttl", lambda ms: whole_seconds(ms) or None, "duration"),
        (Flag("deferred_ttl", "DURATION", "How long the job may wait for those.", positive_ms),),
    ),
    *map(row_of, KINDS),
    WEBHOOKS_OPTION,
    Option(
        "executor",
        check_executor,
        "executor",
        Packed("executor", _is_executor),
        Shown("executor"),
        (
            Flag(
                "executor",
                "EXECUTOR",
                "Where a plain function runs: thread (default) or process.",
                check_executor,
            ),
        ),
    ),
)

#: Not given with a job, but with its queue. It concerns plain functions only, and only the worker may know whether
#: the function is one.
DEFAULT_EXECUTOR = Option(
    "default_executor",
    check_executor,
    "default_executor",
    Packed("default_executor", _is_executor),
    Shown("executor"),
)

ROWS = (*OPTIONS, DEFAULT_EXECUTOR, RESULTS_OPTION)
OPTION_NAMES: frozenset[str] = frozenset(row.name for row in OPTIONS)

#: The rows by where they are stored: each with the attribute of JobOptions.
PACKED = tuple((row.field, row.stored) for row in ROWS if isinstance(row.stored, Packed))
FIELDS = tuple((row.field, row.stored) for row in ROWS if isinstance(row.stored, Field))
WORDS = tuple((row.field, row.stored) for row in ROWS if isinstance(row.stored, Word))

_BY_NAME = {row.name: row for row in OPTIONS}
_BY_KEY = {packed.key: packed for _, packed in PACKED}


class JobOptions:
    """The options of one job, checked. It is not changed once it is made.

    An object has the options that were given as attributes, under the names of their rows' fields. An option that
    was not given is None, and a default further up applies.
    """

    # Those that code asks for by name; for the others the rows are enough.
    at_front: bool | None = None
    durability: Level | None = None
    edges: Edges | None = None
    executor: Executor | None = None
    job_id: str | None = None
    meta: Mapping[str, Any] | None = None
    repeat: Repeat | None = None
    webhooks: tuple[Webhook, ...] | None = None
    results: list[tuple[Place, str]] | None = None

    def __init__(self, **given: Any) -> None:
        self.__dict__ = given

    def over(self, defaults: JobOptions) -> JobOptions:
        """These options, with those of `defaults` where nothing was given."""
        return self if defaults is NO_OPTIONS or defaults is self else JobOptions(**(vars(defaults) | vars(self)))

    def packed(self) -> bytes:
        """What only the worker needs, as JSON; empty when all of it is default."""
        given, values = vars(self), dict[str, Any]()

        for field, stored in PACKED:
            if field in given:
                values[stored.key] = given[field] if stored.write is None else stored.write(given[field])

        if "executor" in values:  # the queue's default has nothing to say then
            values.pop("default_executor", None)

        return json.dumps(values, separators=(",", ":")).encode() if values else b""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, JobOptions) and vars(self) == vars(other)

    def __hash__(self) -> int:
        return hash(frozenset(vars(self)))  # the values need not be hashable

    def __repr__(self) -> str:
        return f"JobOptions({', '.join(f'{name}={value!r}' for name, value in vars(self).items())})"


NO_OPTIONS = JobOptions()


def read_options(given: Options) -> JobOptions:
    """Check options as users write them.

    Raises:
        InvalidInput: an option's value is not what is expected; the text names it.

    """
    if not given:
        return NO_OPTIONS

    if not OPTION_NAMES.issuperset(given):
        unknown = sorted(name for name in given if name not in OPTION_NAMES and not asks_for_nothing(name, given))

        if unknown:
            told = " ".join(unknown_option(name, OPTION_NAMES) for name in unknown)

            raise InvalidInput(f"{told} Its options are {', '.join(sorted(OPTION_NAMES))}")

    checked = {}

    for name, value in given.items():
        if value is not None and (row := _BY_NAME.get(name)) is not None:
            checked[row.field] = row.read(value, name)

    return JobOptions(**checked) if checked else NO_OPTIONS


def read_defaults(default_executor: Executor | None, **given: Unpack[Options]) -> JobOptions:
    """Check the options that a queue has for jobs that do not give their own. Raises as `read_options`."""
    place = check_executor(default_executor, "default_executor")
    defaults = read_options(given)

    return defaults if place is None else JobOptions(default_executor=place).over(defaults)


def unpack_options(packed: bytes) -> tuple[dict[str, Any], str]:
    """The packed options as they are stored, and why they cannot be used if so. Unknown ones are kept."""
    try:
        values: dict[str, Any] = json.loads(packed)

        for key, value in values.items():
            if key in _BY_KEY and not _BY_KEY[key].is_sound(value):
                return {}, "a value is of another type, or out of its range"
    except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
        return {}, f"{type(error).__name__}: {error}"

    return values, ""
