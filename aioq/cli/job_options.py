"""The options of a job on the command line: the flags of their rows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any

import typer

from aioq.cli.arguments import read_meta
from aioq.cli.checks import checked
from aioq.cli.common import with_options
from aioq.values.option import Flag
from aioq.values.options import OPTIONS
from aioq.values.repeat import Repeat
from aioq.values.retry import Retry
from aioq.values.webhook import Webhook
from aioq.values.webhook_row import read_flag


def with_job_options(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options of a job.

    They stand in the place of its argument `options`, which gets those that are given.
    """
    flags = {flag.name: _annotation(flag) for row in OPTIONS for flag in row.flags}

    return with_options(command, flags, _read, argument="options", in_place=True)


def _annotation(flag: Flag) -> Any:
    """A flag, as typer takes it."""
    kind: Any = {bool: bool, list: list[str] | None}.get(flag.kind, flag.kind | None)

    return Annotated[
        kind,
        typer.Option(
            f"--{flag.name.replace('_', '-')}",
            metavar=flag.metavar or None,
            callback=checked(flag.check) if flag.check else None,
            help=flag.help,
        ),
    ]


def _read(given: Mapping[str, Any]) -> dict[str, Any]:
    """The argument `options`, from the values of the flags."""
    options: dict[str, Any] = {}

    for row in OPTIONS:
        values = [given[flag.name] for flag in row.flags]

        if any(value is not None and value is not False and value != [] for value in values):
            options[row.name] = _READ.get(row.name, _first)(values)

    return {"options": options}


def _first(values: Sequence[Any]) -> Any:
    return values[0]


def _meta(values: Sequence[Any]) -> dict[str, Any]:
    return read_meta(values[0])


def _retry(values: Sequence[Any]) -> Retry | None:
    most, intervals, within = values

    if intervals and not most and within is None:
        raise typer.BadParameter("it needs --retry-max or --retry-within", param_hint="'--retry-interval'")

    return Retry(most or None, interval=intervals or 0, within=within) if most or within is not None else None


def _repeat(values: Sequence[Any]) -> Repeat:
    times, intervals, cron, zone, until, on_failure = values

    try:
        moment = None if until is None else datetime.fromisoformat(until)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="'--repeat-until'") from None

    return Repeat(times, intervals or 0, cron=cron, timezone=zone, until=moment, on_failure=on_failure or "stop")


def _webhooks(values: Sequence[Any]) -> list[Webhook]:
    texts, secret = values

    if secret is not None and not texts:
        raise typer.BadParameter("it needs --webhook", param_hint="'--webhook-secret'")

    return read_flag(texts or [], "--webhook", secret)


#: The options whose value is not simply that of their flag.
_READ: Mapping[str, Callable[[Sequence[Any]], Any]] = {
    "meta": _meta,
    "repeat": _repeat,
    "retry": _retry,
    "webhooks": _webhooks,
}
