"""Lines: how the log looks where no application has said so, in `aioq worker` and in the processes of its jobs.

aioq's handler stands on the root logger, so that it also prints what jobs and libraries log. It gives way to the
application: `logging.config` takes it off, `basicConfig` finds the logger free, and beside a handler that the
application puts there it is silent.
"""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from aioq.client.log_filter import JobLogFilter
from aioq.worker.telling import RemoteTraceback

FORMAT = "%(asctime)s %(levelname)s %(message)s"
DATE_FORMAT = "%H:%M:%S"

#: Characters of a traceback that are printed: its end tells what happened.
MAX_TRACEBACK = 32_768

#: aioq's loggers.
LOGGERS = ("aioq", "aioq.worker", "aioq.store", "aioq.cli")

#: What every record has; all else was added by who logged it.
_USUAL = {*vars(logging.makeLogRecord({})), "message", "asctime", "taskName"}


@dataclass(frozen=True, slots=True)
class Style:
    """How lines look, and which there are.

    Args:
        level: of the log.
        format: of a line, as for logging.Formatter.
        date_format: of its time, as for time.strftime.
        as_json: one JSON object in each line.
        tracebacks: print the tracebacks of jobs that have failed.

    """

    level: int = logging.WARNING
    format: str = FORMAT
    date_format: str = DATE_FORMAT
    as_json: bool = False
    tracebacks: bool = True

    def formatter(self) -> logging.Formatter:
        """The formatter for these lines.

        Raises:
            ValueError, KeyError, TypeError: the format cannot be used.

        """
        return JsonLines(self) if self.as_json else TextLines(self)


class TextLines(logging.Formatter):
    """Plain lines. A job that failed for good has its traceback below; one that runs again has one line."""

    def __init__(self, style: Style) -> None:
        super().__init__(style.format, style.date_format)
        self._tracebacks = style.tracebacks
        sample = logging.LogRecord("aioq", logging.INFO, "", 0, "", None, None)
        JobLogFilter().filter(sample)
        self.format(sample)  # a name that records do not have is told now, and not with each line

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        outcome = getattr(record, "outcome", None) if record.name == "aioq.worker" else None

        if outcome == "retried" or (outcome == "failed" and not (self._tracebacks and _tells_more(record))):
            record = copy(record)  # other handlers may show it
            record.exc_info = record.exc_text = None

        text = super().format(record)

        return _clean(text) if record.name.startswith("aioq.") else text

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback; of an exception of another process, as it was there."""
        cause = ei[1].__cause__ if ei[1] is not None else None

        text = cause.args[0].rstrip() if isinstance(cause, RemoteTraceback) else super().formatException(ei)

        return text if len(text) <= MAX_TRACEBACK else f"…{text[-MAX_TRACEBACK:]}"


class JsonLines(TextLines):
    """One JSON object in each line, with all that was given to the record as `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """The line of a record."""
        at = datetime.fromtimestamp(record.created, UTC)
        values: dict[str, Any] = {
            "time": at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        values |= {name: value for name, value in vars(record).items() if name not in _USUAL and value is not None}

        if record.exc_info and record.exc_info[0] is not None and self._tracebacks:
            values["traceback"] = self.formatException(record.exc_info)

        if record.stack_info:
            values["stack"] = record.stack_info

        try:
            return json.dumps(values, default=_text, allow_nan=False)
        except (ValueError, TypeError, RecursionError):  # in what an application has given as extra
            return json.dumps({name: _text(value) for name, value in values.items()})


class OwnHandler(logging.StreamHandler[Any]):
    """Prints on stderr, as long as no handler of the application does."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        if not any(map(_takes_over, logging.getLogger().handlers)):
            super().emit(record)


_style = Style()


def install(style: Style) -> None:
    """Let the log of this process look like this, until the application says something else.

    Raises:
        ValueError, KeyError, TypeError: the format cannot be used.

    """
    global _style  # noqa: PLW0603 - as the loggers, it is the process's
    handler, root = OwnHandler(sys.stderr), logging.getLogger()
    handler.setFormatter(style.formatter())
    handler.addFilter(JobLogFilter(None if style.as_json else "-"))
    root.addHandler(handler)
    root.setLevel(style.level)
    logging.getLogger("aioq").setLevel(style.level)
    logging.lastResort = handler  # a configuration that leaves the root logger without handlers silences nothing
    logging.basicConfig = _giving_way(logging.basicConfig, handler)
    _style = style
    keep_enabled()


def current_style() -> Style:
    """What a process of a job gets: what was installed here, with the level that holds by now."""
    return Style(**{**_fields(_style), "level": logging.getLogger().getEffectiveLevel()})


def keep_enabled() -> None:
    """Keep aioq's loggers out of what `logging.config` switches off.

    Unless it is told otherwise, it disables every logger that there is and that it does not name: the worker would
    say nothing more because a module of a job has configured its own log. Level, handlers and filters are heeded.
    """
    for logger in map(logging.getLogger, LOGGERS):
        if not isinstance(logger, _Enabled):
            logger.__class__ = type("EnabledLogger", (_Enabled, type(logger)), {})


class _Enabled(logging.Logger):
    """A logger that is never disabled."""

    @property
    def disabled(self) -> bool:
        return False

    @disabled.setter
    def disabled(self, _: bool) -> None:
        """It stays enabled."""


def _giving_way(basic_config: Callable[..., None], own: OwnHandler) -> Callable[..., None]:
    """`basicConfig` as an application expects it: it does nothing where the root logger has a handler already.

    `logging.info` and its like call it without arguments where there is none; that configures nothing.
    """

    @wraps(basic_config)
    def configure(**options: Any) -> None:
        if options:
            logging.getLogger().removeHandler(own)

        basic_config(**options)

    return configure


def _takes_over(handler: logging.Handler) -> bool:
    """Whether a handler of the root logger shows what aioq would print.

    One that is for alarms only does not, and none that hands the records to a collector of telemetry.
    """
    is_alarm = handler.level > logging.WARNING
    is_collector = type(handler).__module__.startswith(("opentelemetry.", "sentry_sdk."))

    return not (is_alarm or is_collector or isinstance(handler, OwnHandler | logging.NullHandler))


def _tells_more(record: logging.LogRecord) -> bool:
    """Whether the traceback of a job's failure says more than the line above it."""
    error = record.exc_info[1] if record.exc_info else None

    return error is not None and any((error.__traceback__, error.__cause__, error.__context__))


def _fields(style: Style) -> dict[str, Any]:
    return {name: getattr(style, name) for name in style.__slots__}


def _clean(text: str) -> str:
    """Escapes in the place of what a terminal would obey: names and errors come from whoever can enqueue."""
    if text.isascii() and text.isprintable():
        return text

    return "".join(each if each.isprintable() or each in "\n\t" else ascii(each)[1:-1] for each in text)


def _text(value: object) -> str:
    try:
        return str(value)
    except Exception:  # noqa: BLE001 - the job's own object
        return f"<{type(value).__name__}>"
