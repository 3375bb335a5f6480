"""The options of the commands that run jobs: `aioq worker` and `aioq worker-pool`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated

import typer

from aioq.cli.checks import checked, positive
from aioq.cli.complete import queue_names
from aioq.cli.from_rq import read_concurrency
from aioq.values.durations import pause_ms, positive_ms, retention_ms
from aioq.values.options import check_executor
from aioq.values.sizes import read_size

#: How the number of processes is written that stands for one for each core.
AUTO = "auto"


def read_processes(text: str, option: str) -> int | None:
    """A number of processes; None: one for each core.

    Raises:
        BadParameter: it is neither a number of at least 1 nor "auto".

    """
    if text.lower() == AUTO:
        return None

    if re.fullmatch(r"0*[1-9]\d{0,3}", text) is None:
        raise typer.BadParameter(
            f"{text!r}: expected a whole number from 1 to 9999, or auto", param_hint=f"'{option}'"
        )

    return int(text)


Queues = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="QUEUES",
        autocompletion=queue_names,
        help="The queues, the most urgent first. Without names: default.",
    ),
]
Burst = Annotated[bool, typer.Option("--burst", "-b", help="Stop when the queues are empty.")]
Name = Annotated[
    str | None,
    typer.Option(
        "--name", "-n", metavar="NAME", help="The beginning of the worker's name. Without it: host and pid."
    ),
]
Processes = Annotated[
    str | None,
    typer.Option(
        "--processes",
        "-p",
        metavar="N",
        callback=checked(read_processes),
        help="Run jobs in so many processes, each with a worker of its own; auto: one for each core."
        " A process that dies is replaced.",
    ),
]
NumWorkers = Annotated[
    str,
    typer.Option(
        "--num-workers",
        "-n",
        metavar="N",
        callback=checked(read_processes),
        help="How many processes; auto: one for each core.",
    ),
]
Concurrency = Annotated[
    int,
    typer.Option("--concurrency", "-c", parser=read_concurrency, metavar="N", help="Jobs that run side by side."),
]
JobProcesses = Annotated[
    int | None,
    typer.Option(
        callback=checked(positive),
        metavar="N",
        help="Processes for jobs with executor='process'. Without it: one for each core.",
    ),
]
JobProcessMaxJobs = Annotated[
    int | None,
    typer.Option(
        "--job-process-max-jobs",
        callback=checked(positive),
        metavar="N",
        help="Replace a process for jobs after this many jobs. Without it: never.",
    ),
]
JobProcessMaxMemory = Annotated[
    str | None,
    typer.Option(
        "--job-process-max-memory",
        callback=checked(read_size),
        metavar="SIZE",
        help="Replace a process for jobs that has more memory after a job, such as 500MB. Without it: never.",
    ),
]
Placement = Annotated[
    str | None,
    typer.Option(
        "--executor",
        metavar="EXECUTOR",
        callback=checked(check_executor),
        help="Where plain functions run: thread (default) or process. An option of the job, task or queue wins.",
    ),
]
ResultsTtl = Annotated[
    str,
    typer.Option(
        "--results-ttl",
        metavar="DURATION",
        callback=checked(retention_ms),
        help="How long results are kept, unless the job sets it: 90s, 5m, 1h30m, 2d.",
    ),
]
MaxJobs = Annotated[
    int | None,
    typer.Option(
        "--max-jobs",
        callback=checked(positive),
        metavar="N",
        help="Stop after this many jobs. With --processes: replace a process that has claimed so many.",
    ),
]
MaxMemory = Annotated[
    str | None,
    typer.Option(
        "--max-memory",
        callback=checked(read_size),
        metavar="SIZE",
        help="With --processes: replace a process that has more memory, such as 500MB or 1.5GiB.",
    ),
]
MaxIdle = Annotated[
    str | None,
    typer.Option(
        "--max-idle-time",
        metavar="DURATION",
        callback=checked(positive_ms),
        help="Stop after this long without a job.",
    ),
]
Serializers = Annotated[
    list[str] | None,
    typer.Option(
        "--serializer",
        "-S",
        metavar="MODULE:NAME",
        help="A serializer of your own that jobs are written with, such as shop.codec:Codec; any number. typed:"
        " check the types of all tasks in imported modules, and tell them.",
    ),
]

Shutdown = Annotated[
    str,
    typer.Option(
        "--shutdown-timeout",
        metavar="DURATION",
        callback=checked(pause_ms),
        help="How long running jobs may go on after a stop signal. Then they go back to their queue.",
    ),
]
Grace = Annotated[
    str,
    typer.Option(
        "--cancel-grace",
        metavar="DURATION",
        callback=checked(pause_ms),
        help="How long a job may clean up after a cancel, stop or timeout. Then the worker abandons it.",
    ),
]
PidFile = Annotated[
    Path | None, typer.Option("--pid", metavar="FILE", help="Write the process id there; removed at the end.")
]
Allow = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PATTERN",
        help="Run only functions whose dotted names match, such as 'shop.tasks.*'; any number."
        " Without it: AIOQ_ALLOW, else all.",
    ),
]
WebhookAllowPrivate = Annotated[
    bool,
    typer.Option(
        "--webhook-allow-private",
        help="Send webhooks to addresses that are not public, too. Without it, such a webhook fails.",
    ),
]
Imports = Annotated[
    list[str] | None,
    typer.Option(
        "--import",
        metavar="MODULE",
        help="Import this module before the first job, such as shop.tasks; any number.",
    ),
]
Reload = Annotated[
    bool,
    typer.Option(
        "--reload",
        help="For development: start again when Python files change here or in a --path; with the extra reload.",
    ),
]
