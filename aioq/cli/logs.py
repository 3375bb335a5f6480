"""The log of `aioq worker`: its options."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Annotated, Any, NamedTuple

import typer

from aioq.cli.common import with_options
from aioq.worker.lines import DATE_FORMAT, FORMAT, Style, has_colours, install


class Level(StrEnum):
    """The least level that is logged."""

    DEBUG = "DEBUG"
    INFO = "INFO"
    WARNING = "WARNING"
    ERROR = "ERROR"
    CRITICAL = "CRITICAL"


Verbose = Annotated[bool, typer.Option("--verbose", "-v", help="Log everything: the level DEBUG.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Log problems only: the level WARNING.")]
LogLevel = Annotated[
    Level | None,
    typer.Option(
        "--logging-level",
        "--logging_level",
        "-l",
        case_sensitive=False,
        show_default=False,
        help="How much is logged. Without it: INFO.",
    ),
]
LogJobs = Annotated[
    bool | None,
    typer.Option(
        "--log-jobs/--no-log-jobs",
        show_default=False,
        help="Log the start and the end of each job. Without either option: only if stderr is a terminal.",
    ),
]
LogTracebacks = Annotated[
    bool | None,
    typer.Option(
        "--log-tracebacks/--no-log-tracebacks",
        show_default=False,
        help="Print the tracebacks of jobs that failed (default), or one line for each.",
    ),
]
LogFormat = Annotated[
    str | None,
    typer.Option(
        "--log-format",
        metavar="FORMAT",
        show_default=False,
        help="The format of a log line, as in Python's logging; also with %(job_id)s, %(queue)s, %(func)s,"
        f" %(attempt)s and %(worker)s. Without it: '{FORMAT}'.",
    ),
]
DateFormat = Annotated[
    str | None,
    typer.Option(
        "--date-format",
        metavar="FORMAT",
        show_default=False,
        help=f"The format of a line's time, as for strftime. Without it: '{DATE_FORMAT}'.",
    ),
]
LogJson = Annotated[bool, typer.Option("--log-json", help="Log one JSON object in each line.")]


OPTIONS = {
    "verbose": Verbose,
    "quiet": Quiet,
    "logging_level": LogLevel,
    "log_jobs": LogJobs,
    "log_tracebacks": LogTracebacks,
    "log_format": LogFormat,
    "date_format": DateFormat,
    "log_json": LogJson,
}


class Logs(NamedTuple):
    """How a command logs, as its options say."""

    style: Style
    #: Whether the start and the end of each job are logged.
    tells_of_jobs: bool

    def install(self) -> None:
        """Print the log on stderr, until a job's module configures logging itself.

        Raises:
            BadParameter: a format is invalid.

        """
        try:
            install(self.style)
        except (ValueError, KeyError, TypeError) as error:
            why = f"there is no {error}" if isinstance(error, KeyError) else str(error)

            raise typer.BadParameter(
                f"{self.style.format!r}: {why}; expected a format such as '%(asctime)s %(levelname)s %(message)s'",
                param_hint="'--log-format'",
            ) from None


def with_log_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of the log. They stand in the place of its argument `logs`, which gets a Logs."""
    return with_options(command, OPTIONS, _read, argument="logs", in_place=True)


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The argument `logs`.

    Raises:
        BadParameter: options do not go together.

    """
    texts = {"format": given["log_format"], "date_format": given["date_format"]}

    if given["verbose"] and given["quiet"]:
        raise typer.BadParameter("it cannot be combined with --verbose", param_hint="'--quiet'")

    for name, value in zip(("--log-format", "--date-format"), texts.values(), strict=True):
        if given["log_json"] and value is not None:
            raise typer.BadParameter("it cannot be combined with --log-json", param_hint=f"'{name}'")

    level = given["logging_level"] or Level.INFO
    level = Level.DEBUG if given["verbose"] else Level.WARNING if given["quiet"] else level
    style = Style(
        level=logging.getLevelNamesMapping()[level],
        as_json=given["log_json"],
        tracebacks=given["log_tracebacks"] is not False,
        colours=has_colours(),
        **{name: value for name, value in texts.items() if value is not None},
    )

    return {"logs": Logs(style, sys.stderr.isatty() if given["log_jobs"] is None else given["log_jobs"])}
