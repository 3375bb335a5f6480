"""The log of `aioq worker`: its options."""

from __future__ import annotations

import logging
import sys
from enum import StrEnum
from typing import Annotated

import typer

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
    Level,
    typer.Option("--logging-level", "--logging_level", "-l", case_sensitive=False, help="How much is logged."),
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
    bool,
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


def configure_logging(
    level: Level,
    *,
    log_format: str | None = None,
    date_format: str | None = None,
    as_json: bool = False,
    tracebacks: bool = True,
) -> None:
    """Print the log on stderr, until a job's module configures logging itself.

    Raises:
        BadParameter: a format is invalid, or is combined with JSON.

    """
    for name, given in (("--log-format", log_format), ("--date-format", date_format)):
        if as_json and given is not None:
            raise typer.BadParameter("it cannot be combined with --log-json", param_hint=f"'{name}'")

    style = Style(
        level=logging.getLevelNamesMapping()[level],
        format=FORMAT if log_format is None else log_format,
        date_format=DATE_FORMAT if date_format is None else date_format,
        as_json=as_json,
        tracebacks=tracebacks,
        colours=has_colours(),
    )

    try:
        install(style)
    except (ValueError, KeyError, TypeError) as error:
        why = f"there is no {error}" if isinstance(error, KeyError) else str(error)

        raise typer.BadParameter(
            f"{log_format!r}: {why}; expected a format such as '%(asctime)s %(levelname)s %(message)s'",
            param_hint="'--log-format'",
        ) from None


def tells_of_jobs(asked: bool | None) -> bool:
    """Whether the start and the end of each job are logged."""
    return sys.stderr.isatty() if asked is None else asked
