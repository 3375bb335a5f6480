"""Lines: how the log looks where no application has said so, in `aioq worker` and in the processes of its jobs.

aioq's handler stands on the root logger, so that it also prints what jobs and libraries log. It gives way to the
application: `logging.config` takes it off, `basicConfig` finds the logger free, and beside a handler that the
application puts there it is silent.
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import wraps
from typing import Any

from aioq.client.log_filter import JobLogFilter
from aioq.worker.tracebacks import RemoteTraceback, error_line

FORMAT = "%(asctime)s %(levelname)s %(message)s"
DATE_FORMAT = "%H:%M:%S"

#: The same in a process of a pool, which says which one it is.
CHILD_FORMAT = "%(asctime)s %(levelname)s [%(child)s] %(message)s"

#: Characters of a traceback that are printed: its end tells what happened.
MAX_TRACEBACK = 32_768

#: What a traceback has that has frames.
_FRAMES = "Traceback (most recent call last)"

#: aioq's loggers.
LOGGERS = ("aioq", "aioq.worker", "aioq.pool", "aioq.store", "aioq.cli")

#: Colours of levels on a terminal, as numbers of ANSI. The words themselves say the same.
COLOURS = {"WARNING": 33, "ERROR": 31, "CRITICAL": 31, "DEBUG": 2}

log = logging.getLogger("aioq.worker")

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
        colours: show levels in colours.
        child: the number of this process in its pool; None if it is in none.

    """

    level: int = logging.WARNING
    format: str = FORMAT
    date_format: str = DATE_FORMAT
    as_json: bool = False
    tracebacks: bool = True
    colours: bool = False
    child: int | None = None

    def formatter(self) -> logging.Formatter:
        """The formatter for these lines.

        Raises:
            ValueError, KeyError, TypeError: the format cannot be used.

        """
        return JsonLines(self) if self.as_json else TextLines(self)


class TextLines(logging.Formatter):
    """Plain lines. A job that failed for good has its traceback below, if that says more than the line."""

    def __init__(self, style: Style) -> None:
        is_usual = style.format == FORMAT and style.child is not None
        super().__init__(CHILD_FORMAT if is_usual else style.format, style.date_format)
        self._tracebacks = style.tracebacks
        self._colours = COLOURS if style.colours and "%(levelname)" in style.format else {}
        sample = logging.LogRecord("aioq", logging.INFO, "", 0, "", None, None)
        JobLogFilter().filter(sample)
        ChildFilter(style).filter(sample)
        self.format(sample)  # a name that records do not have is told now, and not with each line

    def format(self, record: logging.LogRecord) -> str:
        """The lines of a record."""
        outcome = getattr(record, "outcome", None) if record.name == "aioq.worker" else None

        below = ""

        if outcome in ("retried", "failed") and record.exc_info:
            below = self._below(outcome, record.exc_info) if self._tracebacks else ""
            record = copy(record)  # other handlers may show it
            record.exc_info = record.exc_text = None

        text = super().format(record) + below

        if record.name.startswith("aioq."):
            text = _clean(text)

        if (colour := self._colours.get(record.levelname)) is not None:
            text = text.replace(record.levelname, f"\x1b[{colour}m{record.levelname}\x1b[0m", 1)

        return text

    def formatException(self, ei: Any) -> str:  # noqa: N802 - logging's name
        """The traceback; of an exception of another process, as it was there."""
        cause = ei[1].__cause__ if ei[1] is not None else None

        text = cause.args[0].rstrip() if isinstance(cause, RemoteTraceback) else super().formatException(ei)

        return text if len(text) <= MAX_TRACEBACK else f"…{text[-MAX_TRACEBACK:]}"

    def _below(self, outcome: str, exc_info: Any) -> str:
        """What stands behind the line of a failure: its traceback, or what a message without one has beside it."""
        error, text = exc_info[1], self.formatException(exc_info)
        line, _, rest = text.partition("\n")

        if _FRAMES in text or text.startswith("  File ") or not line.startswith(error_line(error).rstrip("…")):
            return f"\n{text}" if outcome == "failed" else ""

        is_advice = bool(getattr(error, "missing", ""))

        return f"\n{rest}" if rest and (outcome == "failed" or is_advice) else ""


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


class ChildFilter(logging.Filter):
    """Puts the number of this process in its pool on every record, as the attribute `child`.

    Args:
        style: has the number. In lines of text, a process that is in no pool has "-".

    """

    def __init__(self, style: Style) -> None:
        super().__init__()
        self._child = style.child if style.as_json or style.child is not None else "-"

    def filter(self, record: logging.LogRecord) -> bool:
        """Put the attribute on the record; always True."""
        record.__dict__.setdefault("child", self._child)

        return True


class OwnHandler(logging.StreamHandler[Any]):
    """Prints on stderr, as long as no handler of the application does."""

    def emit(self, record: logging.LogRecord) -> None:
        """Print a record."""
        if not any(map(_takes_over, logging.getLogger().handlers)):
            super().emit(record)


_style = Style()
_has_warned = False


def install(style: Style) -> None:
    """Let the log of this process look like this, until the application says something else.

    Raises:
        ValueError, KeyError, TypeError: the format cannot be used.

    """
    global _style  # noqa: PLW0603 - as the loggers, it is the process's
    handler, root = OwnHandler(sys.stderr), logging.getLogger()
    handler.setFormatter(style.formatter())
    handler.addFilter(JobLogFilter(None if style.as_json else "-"))
    handler.addFilter(ChildFilter(style))
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


def has_colours() -> bool:
    """Whether stderr is a terminal with colours, and they are wanted: https://no-color.org/"""
    return sys.stderr.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def warn_of_options() -> None:
    """Tell once which options have no effect, because the application has configured logging itself."""
    global _has_warned  # noqa: PLW0603 - as the loggers, it is the process's

    if _has_warned or not any(map(_takes_over, logging.getLogger().handlers)):
        return

    given = {
        "--log-json": _style.as_json,
        "--no-log-tracebacks": not _style.tracebacks,
        "--log-format": _style.format != FORMAT,
        "--date-format": _style.date_format != DATE_FORMAT,
    }
    options = [name for name, is_given in given.items() if is_given]

    if options:
        _has_warned = True
        log.warning(
            "an imported module has configured logging, so its handlers print the log, and not those of `aioq"
            " worker`: without effect %s %s",
            "is" if len(options) == 1 else "are",
            ", ".join(options),
        )


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
