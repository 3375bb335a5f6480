"""The options of a worker that name functions of the user's, which run around its jobs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, TypeAlias

import typer

from aioq.cli.checks import checked
from aioq.cli.common import with_options
from aioq.values.resolving import split_spec

#: Arguments of a Worker or a WorkerPool that were given, as names "module:name".
Functions: TypeAlias = dict[str, str | list[str]]


#: The option of each argument that names functions.
FLAGS = {
    "lifespan": "--lifespan",
    "process_lifespan": "--process-lifespan",
    "middleware": "--middleware",
    "exception_handlers": "--exception-handler",
}


def _option(argument: str, kind: Any, help_text: str) -> Any:
    return Annotated[
        kind, typer.Option(FLAGS[argument], metavar="MODULE:NAME", callback=checked(split_spec), help=help_text)
    ]


_OPTIONS = {
    "lifespan": _option(
        "lifespan",
        str | None,
        "Open what jobs share before the first job, and close it at the end, such as shop.worker:lifespan.",
    ),
    "process_lifespan": _option(
        "process_lifespan", str | None, "As --lifespan, for each process of jobs with executor='process'."
    ),
    "middleware": _option(
        "middleware",
        list[str] | None,
        "Run this around each job's function, such as shop.worker:timing; any number, the outermost first.",
    ),
    "exception_handlers": _option(
        "exception_handlers",
        list[str] | None,
        "Call this for each attempt that has failed, such as shop.worker:report; any number.",
    ),
}


def with_function_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command these options. They stand in the place of its argument `functions`, which gets the names."""
    return with_options(command, _OPTIONS, _read, argument="functions", in_place=True)


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    return {"functions": {name: value for name, value in given.items() if value}}
