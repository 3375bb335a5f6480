"""Every public call of aioq, out of the code. `python -m tests.interface` writes docs/interface.md."""

from __future__ import annotations

import importlib
import inspect
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import aioq
import aioq.testing
from aioq.logs import JobLogFilter
from aioq.middleware import EnqueuedCall
from aioq.types import (
    BoundTask,
    Explanation,
    GroupProgress,
    Histogram,
    Period,
    QueueStatistics,
    Reason,
    Registry,
    Task,
    Using,
)
from aioq.values.options import Options

PAGE = Path(__file__).parent.parent / "docs/interface.md"

#: The modules that public names stand in, and what for.
MODULES = {
    "aioq": "what most programs need",
    "aioq.errors": "[every error](jobs.md#errors)",
    "aioq.logs": "what puts jobs into [the log](logging.md#records-of-a-job) of an application",
    "aioq.middleware": "types for [middleware](middleware.md)",
    "aioq.types": "types of what calls take and give, for annotations",
}

#: For each class: what an object of it is called here.
OWNERS: dict[type, str] = {
    aioq.Queue: "queue",
    Using: "using",
    Task: "task",
    BoundTask: "task",
    aioq.Job: "job",
    Explanation: "explanation",
    Reason: "reason",
    aioq.Group: "group",
    GroupProgress: "progress",
    Registry: "registry",
    aioq.Result: "result",
    QueueStatistics: "statistics",
    Period: "period",
    Histogram: "histogram",
    aioq.Repeat: "repeat",
    aioq.Retry: "retry",
    aioq.Callback: "callback",
    aioq.Webhook: "webhook",
    aioq.Worker: "worker",
    aioq.WorkerPool: "pool",
    aioq.Connection: "connection",
    JobLogFilter: "log_filter",
    EnqueuedCall: "call",
    aioq.testing.TestKit: "kit",
    aioq.testing.JobRun: "run",
}

#: Classes that users make objects of.
MADE = {
    aioq.Queue,
    aioq.Repeat,
    aioq.Retry,
    aioq.Callback,
    aioq.Webhook,
    aioq.Worker,
    aioq.WorkerPool,
    aioq.Connection,
    JobLogFilter,
    aioq.testing.TestKit,
}

FUNCTIONS = (
    aioq.current_job,
    aioq.get_current_job,
    aioq.get_resources,
    aioq.acting_as,
    aioq.task,
    aioq.Depends,
    aioq.testing.run_inline,
)

#: What other packages of aioq use: it has no underscore, because it is not private to its module.
INTERNAL: dict[type, set[str]] = {
    aioq.Queue: {"of", "prepare", "producer", "redirect", "store"},
    Using: {"prepare", "prepare_graph", "prepare_job"},
    aioq.Job: {
        "adopt",
        "bind",
        "call",
        "cancel_dependents",
        "durability",
        "load_runs",
        "read_results",
        "read_value",
        "record",
        "server",
        "store_meta",
    },
    EnqueuedCall: {"call"},
    aioq.Group: {"check_queue", "ended_jobs", "enqueue_prepared", "values"},
    BoundTask: {"serializer"},
    Registry: {"jobs_and_missing", "requeue_chunks"},
    aioq.Repeat: {"check", "due_ms", "from_dict", "interval_ms", "to_dict", "until_ms"},
    aioq.Retry: {"delay_ms", "from_dict", "interval_ms", "max_interval_ms", "retries", "to_dict", "within_ms"},
    aioq.Callback: {"opts"},
    aioq.Webhook: {"stored"},
    JobLogFilter: {"filter"},
    Histogram: {"of"},
    aioq.Worker: {"for_tests", "has_claimed_all", "stops"},
    aioq.Connection: {
        "by_server",
        "call",
        "calls",
        "check_server",
        "companion",
        "each",
        "has_others",
        "identity",
        "is_cluster",
        "lend_wire",
        "listener",
        "opened",
        "place",
        "servers",
        "sharing",
        "sibling",
    },
}

#: What objects have beside what their classes say, with its type and what it is.
ATTRIBUTES: dict[type, dict[str, tuple[str, str]]] = {
    aioq.Queue: {
        "name": ("str", "Its name."),
        "connection": ("Connection", "The way to the server, to be shared with other queues."),
    },
    aioq.Job: {
        "durability": (
            "Durability | None",
            "How durable the job was known to be when `enqueue` returned; None for other handles.",
        )
    },
    aioq.Group: {
        "name": ("str", "Its name in its queue."),
        "queue": ("Queue", "The queue that keeps it."),
    },
    Task: {"function": ("Callable", "What a worker runs.")},
    BoundTask: {"function": ("Callable", "What a worker runs.")},
    aioq.Repeat: {
        "interval_ms": ("tuple[int, ...]", "The pauses, in ms."),
        "until_ms": ("int | None", "The moment after which no run is due, in ms since 1970."),
    },
    aioq.Retry: {
        "interval_ms": ("tuple[int, ...]", "The pauses, in ms."),
        "max_interval_ms": ("int", "The longest pause, in ms."),
        "within_ms": ("int | None", "The deadline of all attempts, in ms after the first one has begun."),
    },
    Registry: {"status": ("JobStatus", "The state of its jobs.")},
    aioq.Worker: {
        "name": ("str", "Its name: the one that was given, and a random end."),
        "queue_names": ("list[str]", "The names of its queues, in their order."),
        "concurrency": ("int", "How many jobs run side by side."),
        "job_processes": ("int", "How many processes there may be for jobs."),
    },
    aioq.WorkerPool: {
        "processes": ("int", "How many processes it keeps going."),
        "queue_names": ("list[str]", "The names of its queues, in their order."),
    },
    aioq.Connection: {"url": ("str", "The server, without passwords.")},
    aioq.testing.TestKit: {
        "url": ("str", "The server."),
        "prefix": ("str", "The first word of every key of the test."),
        "connection": ("Connection", "The way to the server, for more queues of the test."),
    },
}

#: The types in words. One that is not here is written as it is.
WORDS = {
    "Duration": "a duration",
    "Duration | None": "a duration",
    "Server | Connection": "a URL, a `redis.asyncio` client, or a Connection",
    "Server": "a URL, or a `redis.asyncio` client",
    "Secret": "a text, or a list of texts",
    "Job[Any] | str": "a job or its id",
    "Job[Any] | str | None": "a job or its id",
    "Job[R]": "a Job of `Job.create`",
    "Iterable[Job[Any] | str]": "jobs or their ids",
    "Job[Any] | str | Iterable[Job[Any] | str]": "a job, its id, or several of them",
    "Iterable[EnqueueData[R]]": "what `prepare_data` and `call` give",
    "Callable[..., Any] | str": "a function, or its dotted name",
    "Callable[..., Any]": "a function",
    "Overrides | None": "a dict of functions",
    "Queue": "a Queue",
    "Queue | str | None": "a Queue, or the name of one",
    "LifespanFunction | None": "a function with `@asynccontextmanager`",
    "Iterable[RunMiddleware | str]": "[coroutine functions](middleware.md#around-each-run), or their names",
    "Iterable[ExceptionHandler | str]": "[functions](middleware.md#when-an-attempt-fails), or their names",
    "Iterable[WorkerHook | str]": "functions that are called with the worker, or their names",
    "Iterable[WorkerHook]": "functions that are called with the worker",
    "Iterable[RunMiddleware]": "[coroutine functions](middleware.md#around-each-run)",
    "Iterable[EnqueueMiddleware]": "[coroutine functions](middleware.md#around-each-enqueue)",
    "Iterable[ExceptionHandler] | ExceptionHandler": "[functions](middleware.md#when-an-attempt-fails)",
    "ProcessLifespan | None": "a function with `@contextmanager`, or its name",
    "LifespanFunction | str | None": "a function with `@asynccontextmanager`, or its module and name",
    "Size | None": "a size",
    "Callable[P, R] | None": "a function",
    "Sequence[Any]": "a tuple or a list",
    "Callable[..., object] | str": "a function, or its dotted name",
    "Mapping[str, Any] | None": "a dict",
    "Iterable[str] | None": "a list of texts",
    "bool | None": "True, False or None",
    "Filter | str": "a [filter](search.md#search), or its text",
    "FailureGroup | str": "a fingerprint, or its group",
    "HasStore": "a Queue",
    "HasProducer": "a Queue",
    "Sequel | None": "what `prepare_data` and `call` return, or a function without arguments",
    "Unpack[Options]": "[options](#options)",
    "str | OwnSerializer": '"pickle", "json", "typed", or one of your own',
    "str | OwnSerializer | Sequence[str | OwnSerializer]": "serializers, or their places",
    "Iterable[Job[Any]]": "jobs that `Job.create` has made",
    "DependsOn | None": "a job, its id, a [Dependency](dependencies.md), or a list of them",
    "CallbackOption | None": "a function, its name, or a [Callback](callbacks.md)",
    "Webhooks | None": "a [Webhook](webhooks.md), or a list of them",
    "Event | Iterable[Event]": "the name of an event, or a list of them",
    "Mapping[str, str] | None": "a dict of texts",
    "Mapping[str, str | Sequence[str]] | None": "a dict of texts, or of lists of texts",
    "Level | None": '"memory", "fsync" or "replicated"',
    "Placement | None": '"thread" or "process"',
    "Executor | None": '"thread" or "process"',
    "Retry | int | None": "a Retry, or a number of further attempts",
    "Repeat | None": "a Repeat",
    "OnFailure": '"stop" or "continue"',
    "datetime | None": "a datetime",
    "Since | None": "a datetime, or how long ago as a duration",
    "Step": '"minute" or "hour"',
    "Iterable[float]": "numbers",
    "Histogram": "a Histogram",
    "Interval": "a duration, or a list of durations",
    "ExceptionTypes": "a class, or a tuple of classes",
    "str | Sequence[str]": "a text, or a list of texts",
    "str | Sequence[str] | None": "a text, or a list of texts",
    "str | Queue | Sequence[str | Queue]": "a Queue, the name of one, or several of them",
    "Iterable[type[BaseException]]": "classes",
    "Callable[[int], None] | None": "a function that takes a number",
    "Callable[[], None] | None": "a function without arguments",
    "str": "a text",
    "str | None": "a text",
    "int": "a whole number",
    "int | None": "a whole number",
    "bool": "True or False",
    "float": "a number",
    "float | str": 'a number, or "full"',
    "datetime": "a datetime",
    "Any": "",
    "P.args": "",
    "P.kwargs": "",
}

INTRODUCTION = """\
# Every public call

`python -m tests.interface` writes this page out of the code, and a test compares the two.

- **What talks to the server is awaited.** A property shows the snapshot that a job was loaded with.
- **Without an event loop**, `aioq.sync` has `Queue`, `Job`, `Registry`, `current_job` and `get_current_job` with
  the same calls, which are not awaited; `aclose` is `close` there. [Code without a loop](sync.md) tells more.
- **A job or its id**: where one is asked for, the other does as well. One of another queue is refused.
- **A duration** is a number of seconds, a timedelta, or a text such as "43", "90s", "1h30m" or "2d". -1 means no
  limit, and for ever. A `ttl` is the exception, as in RQ: it is greater than 0, and no limit is none.
- **A size** is a number of bytes, or a text such as "500MB" or "1.5GiB".
- **None** means that nothing was given. Then the default holds: that of the task, the queue, or aioq.
- **A list is whole**, unless `limit` says otherwise.
- **A call for one job raises** if it cannot be done. A call for several gives a verdict for each.
- **What is for tests** stands in `aioq.testing`: `TestKit`, `JobRun` and `run_inline`. See [Testing](testing.md).
- **[Errors](jobs.md#errors)** are subclasses of `AioqError`, and stand in `aioq.errors`. A value of a wrong
  type is an `InvalidType`, which is an `InvalidInput` and a `TypeError`.
"""

NAMES = """\
## Names

An import from `aioq` of a name that stands elsewhere fails, and the error says where.
"""


def public(kind: type) -> Iterator[tuple[str, Any]]:
    """The attributes of a class, with those of its bases inside of aioq.

    Its own ways to make an object come first, and then what it has from the classes that are its parts.
    """
    seen = set(INTERNAL.get(kind, set()))
    bases = [base for base in kind.__mro__[1:] if base.__module__.startswith("aioq.")]
    parts = [base for base in reversed(bases) if base not in OWNERS]
    makers = {name: value for name, value in vars(kind).items() if isinstance(value, classmethod)}

    for names in (makers, *map(vars, parts), vars(kind), *(vars(base) for base in bases if base in OWNERS)):
        for name, value in names.items():
            if not name.startswith("_") and name not in seen:
                seen.add(name)
                yield name, value


def parameters(function: Any) -> list[inspect.Parameter]:
    """What a call takes, without what it is called on."""
    found = list(inspect.signature(function).parameters.values())

    return found[1:] if found and found[0].name in ("self", "cls") else found


def arguments(function: Any) -> str:
    """What stands between the parentheses of a call."""
    bare = inspect.Signature([each.replace(annotation=each.empty) for each in parameters(function)])

    return str(bare).replace("'", '"')[1:-1]


def given(function: Any) -> str:
    """The type of what a call gives."""
    text = str(inspect.get_annotations(inspect.unwrap(function)).get("return", ""))

    if "Coroutine[Any, Any, " in text:
        text = text.removeprefix("Coroutine[Any, Any, ").removesuffix("]")

    text = re.sub(r"\[(Any|R|R_co|P, R|P, R_co|Any, Any|P, Any)\]", "", text)

    return {"R_co": "what the function returned", "R_co | None": "what the function returned, or None"}.get(
        text, text
    )


def first_sentence(text: str | None) -> str:
    """The first sentence of a docstring."""
    paragraph = " ".join((inspect.cleandoc(text or "").partition("\n\n")[0]).split())

    return re.split(r"(?<=\.)\s", paragraph)[0]


def fields(kind: type) -> dict[str, str]:
    """What a class's docstring says of its arguments, which are the fields of a dataclass."""
    lines = re.findall(r"^ {4}(\w[\w, ]*): (.*(?:\n {5,}.*)*)", inspect.cleandoc(kind.__doc__ or ""), re.MULTILINE)

    return {name: " ".join(text.split()) for names, text in lines for name in names.split(", ")}


def rows(kind: type) -> Iterator[tuple[str, str, str]]:
    """Each call or property as it is written, the type of what it gives, and what it is for."""
    owner, told = OWNERS[kind], fields(kind)

    for name, value in public(kind):
        place = f"{owner}.{name}"

        if isinstance(value, property):
            yield place, given(value.fget), first_sentence(value.__doc__)
            continue

        call = getattr(value, "__func__", value)

        if call is not value:
            place = f"{kind.__name__}.{name}"

        if inspect.isfunction(call):
            await_ = "await " if _is_awaited(call) else ""
            yield f"{await_}{place}({arguments(call)})", given(call), first_sentence(call.__doc__)
        else:
            text = first_sentence(told.get(name, ""))
            yield place, str(inspect.get_annotations(kind).get(name, "")), text[:1].upper() + text[1:]

    for name, (annotation, text) in ATTRIBUTES.get(kind, {}).items():
        yield f"{owner}.{name}", annotation, text


def taken() -> dict[str, set[str]]:
    """The types of each argument of the public calls, by its name."""
    found: dict[str, set[str]] = {}

    for kind in OWNERS:
        calls = [kind.__init__] if kind in MADE else []  # type: ignore[misc]
        calls += [inspect.unwrap(getattr(value, "__func__", value)) for _, value in public(kind)]

        for call in filter(inspect.isfunction, calls):
            for each in parameters(call):
                found.setdefault(each.name, set()).add(str(each.annotation))

    return found


def page() -> str:
    """The whole page."""
    parts = [INTRODUCTION, NAMES, _names(), "## Functions\n", _table((_call(each) for each in FUNCTIONS), "gives")]

    for kind in OWNERS:
        name = kind.__name__
        parts.append(f"## {name}\n\n{first_sentence(kind.__doc__)}\n")

        if kind in MADE:
            parts.append(f"```text\n{_folded(f'{name}({arguments(kind.__init__)})')}\n```\n")  # type: ignore[misc]

        parts.append(_table(rows(kind), "gives"))

    options = {name: str(kind.__forward_arg__) for name, kind in Options.__annotations__.items()}
    parts.append("## Options\n\n[Jobs](jobs.md#options) tells what they mean.\n")
    parts.append(_pairs("option", {name: _words(kind) for name, kind in options.items()}))
    parts.append("## Arguments\n")
    arguments_ = {
        name: "; or ".join(sorted({_words(kind) for kind in kinds} - {""})) for name, kinds in taken().items()
    }
    parts.append(_pairs("argument", dict(sorted(arguments_.items()))))

    return "\n".join(parts)


def _names() -> str:
    rows = [
        f"| `{module}` | {use} | {', '.join(f'`{name}`' for name in importlib.import_module(module).__all__)} |\n"
        for module, use in MODULES.items()
    ]

    return "| module | for | names |\n|---|---|---|\n" + "".join(rows)


def _call(function: Any) -> tuple[str, str, str]:
    return f"{function.__name__}({arguments(function)})", given(function), first_sentence(function.__doc__)


def _is_awaited(function: Any) -> bool:
    return inspect.iscoroutinefunction(inspect.unwrap(function)) or str(
        inspect.get_annotations(function).get("return", "")
    ).startswith("Coroutine")


def _pairs(noun: str, words: dict[str, str]) -> str:
    lines = [f"| `{name}` | {each} |\n" for name, each in words.items() if each]

    return f"| {noun} | takes |\n|---|---|\n" + "".join(lines)


def _words(annotation: str) -> str:
    return WORDS.get(annotation, annotation)


def _table(found: Iterable[tuple[str, str, str]], gives: str) -> str:
    lines = [f"| call | {gives} | |\n|---|---|---|"]
    lines += [f"| `{call}` | {_escaped(kind)} | {text} |" for call, kind, text in found]

    return "\n".join(lines) + "\n" if len(lines) > 1 else ""


def _escaped(kind: str) -> str:
    if not kind or kind.startswith("what "):
        return kind

    return f"`{kind}`".replace("|", "\\|")


def _folded(call: str) -> str:
    if len(call) <= 100:
        return call

    name, _, inside = call.partition("(")

    return f"{name}(\n" + "".join(f"    {each},\n" for each in inside[:-1].split(", ")) + ")"


if __name__ == "__main__":
    PAGE.write_text(page())
