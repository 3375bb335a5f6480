"""RQ's options and variables that aioq does not need: accepted with a note, so that unit files keep working."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.common import with_options
from aioq.values.errors import InvalidInput
from aioq.values.option_names import RESERVED, unknown_option
from aioq.values.options import OPTION_NAMES

_CLASSES = "aioq uses no classes of RQ"
_NOT_READ = "unlike RQ, aioq reads no settings module"
_NO_EFFECT = "has no effect here:"

#: The note for each option: the options of all commands of RQ, and those of its worker.
ALL = {
    "--worker-class": _CLASSES,
    "--job-class": _CLASSES,
    "--queue-class": _CLASSES,
    "--connection-class": _CLASSES,
    "--serializer": "each job says which serializer wrote it",
}
WORKER = {
    "--with-scheduler": "workers enqueue what is due by themselves",
    "--worker-ttl": "workers keep leases by themselves",
    "--maintenance-interval": "workers clean up by themselves",
    "--job-monitoring-interval": "workers watch over their jobs by themselves",
    "--disable-job-desc-logging": "descriptions of jobs are not logged",
    "--disable-default-exception-handler": "a job that has failed is always in the failed job registry",
    "--dequeue-strategy": "the first queue is served before the second, and so on",
}

_SHORT = {
    "--worker-class": "-w",
    "--job-class": "-j",
    "--serializer": "-S",
    "--with-scheduler": "-s",
    "--disable-default-exception-handler": "-d",
    "--dequeue-strategy": "-ds",
}
_FLAGS = ("--with-scheduler", "--disable-job-desc-logging", "--disable-default-exception-handler")

#: RQ's variables that aioq does not read, and what to use instead.
VARIABLES = {
    "RQ_CONFIG": "set AIOQ_REDIS_URL, and name queues as arguments",
    "RQ_KEY_PREFIX": "use --prefix or AIOQ_PREFIX",
    "RQ_WORKER_CLASS": _CLASSES,
    "RQ_JOB_CLASS": _CLASSES,
    "RQ_QUEUE_CLASS": _CLASSES,
    "RQ_CONNECTION_CLASS": _CLASSES,
    "REDIS_SSL_CA_CERTS": "write it into the URL: rediss://host?ssl_ca_certs=…",
    "REDIS_SSL_CERTFILE": "write it into the URL: rediss://host?ssl_certfile=…",
    "REDIS_SSL_KEYFILE": "write it into the URL: rediss://host?ssl_keyfile=…",
    "REDIS_SSL_CERT_REQS": "write it into the URL: rediss://host?ssl_cert_reqs=…",
    "REDIS_SSL_CA_DATA": "write it into the URL: rediss://host?ssl_ca_data=…",
}


#: Commands of RQ that aioq does not have, and what to use instead.
COMMANDS = {
    "cron": "the system's cron can call `aioq enqueue`; a function can enqueue itself again with enqueue_in",
    "scheduler": "workers enqueue what is due by themselves",
}

#: The commands whose `-c` is their concurrency.
WORKERS = ("worker", "worker-pool")

#: Options of RQ's worker that cannot be ignored, and what to use instead.
_REFUSED_BY_WORKER = {
    "--sentry-dsn": "the module of a job can set up Sentry: import it with --import",
}


def refuse_command(name: str) -> None:
    """Refuse a command of RQ by its name.

    Raises:
        InvalidInput: it is a command of RQ; the text says what to use instead.

    """
    if name in COMMANDS:
        raise InvalidInput(f"aioq has no command {name}, as RQ has: {COMMANDS[name]}")


def _refused(name: str) -> dict[str, str]:
    """The options that the command of this name refuses, each with its error."""
    if name in WORKERS:
        return {option: f"aioq has no {option}: {text}" for option, text in _REFUSED_BY_WORKER.items()}

    if name != "enqueue":
        return {}

    return {_spelled(option): _in_options_words(option) for option in sorted(RESERVED - {"timeout"})}


def _in_options_words(option: str) -> str:
    """The error for an unknown option, with names in the form of the command line."""
    text = unknown_option(option, OPTION_NAMES).rstrip(".")
    head, separator, name = text.partition("; its name is ")

    return head.replace(f"option {option}", _spelled(option)) + separator + (_spelled(name) if separator else "")


def _spelled(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _refuse_with(text: str) -> Callable[[Any], None]:
    def refuse(value: Any) -> None:
        if value is not None:
            raise InvalidInput(text)

    return refuse


def with_options_of_rq(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """Let a command accept the options of RQ's command of this name. Its own options take precedence."""
    wanted = ALL | (WORKER if name in WORKERS else {})
    notes = {option: text for option, text in wanted.items() if not _has(command, option)}
    options: dict[str, Any] = {_parameter(option): _hidden(option, notes[option]) for option in notes}

    for option, text in _refused(name).items():
        options[_parameter(option)] = Annotated[str | None, _option(option, callback=_refuse_with(text))]

    # The worker's `-c` is its concurrency; `read_concurrency` refuses a settings module there.
    is_worker = name in WORKERS
    options["config"] = Annotated[
        str | None,
        _option(
            "--config",
            *(() if is_worker else ("-c",)),
            callback=_refuse_config_of_worker if is_worker else _refuse_config,
        ),
    ]

    return with_options(command, options, partial(_tell, notes))


def read_concurrency(text: str | int) -> int:
    """The number of `-c`. In RQ, `-c` names a settings module.

    Raises:
        BadParameter: it is no number of at least 1.

    """
    if re.fullmatch(r"0*[1-9]\d{0,8}", str(text)):
        return int(text)

    if re.fullmatch(r"[A-Za-z_][\w.]*", str(text)):
        _refuse_config_of_worker(str(text))

    raise typer.BadParameter(f"{text!r}: expected a whole number of at least 1")


def _refuse_config(value: str | None) -> None:
    if value is not None:
        raise typer.BadParameter(f"{value!r}: {_NOT_READ}. Give the server with -u or AIOQ_REDIS_URL")


def _refuse_config_of_worker(value: str | None) -> None:
    if value is not None:
        raise typer.BadParameter(
            f"{value!r}: {_NOT_READ}; here, -c is --concurrency. Give the server with -u or AIOQ_REDIS_URL, the"
            " queues as arguments, and the worker's name with --name"
        )


def _tell(notes: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, Any]:
    """Report the options and variables without effect. The command gets none of them."""
    for option, text in notes.items():
        if given[_parameter(option)]:
            output.warn(f"{option} {_NO_EFFECT} {text}")

    for variable, text in VARIABLES.items():
        if os.environ.get(variable):
            output.warn(f"{variable} is not read: {text}")

    return {}


def _has(command: Callable[..., None], option: str) -> bool:
    return _parameter(option) in command.__annotations__


def _parameter(option: str) -> str:
    return option.removeprefix("--").replace("-", "_")


def _hidden(option: str, text: str) -> Any:
    names = (option, *filter(None, (_SHORT.get(option),)))

    if option in _FLAGS:
        return Annotated[bool, typer.Option(*names, hidden=True, help=f"Not needed: {text}.")]

    return Annotated[str | None, _option(*names)]


def _option(*names: str, callback: Callable[[Any], None] | None = None) -> Any:
    return typer.Option(*names, hidden=True, metavar="VALUE", callback=callback, help="RQ's option; not needed.")
