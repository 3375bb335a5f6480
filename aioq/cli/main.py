"""The command `aioq`: its subcommands, and the one place that turns errors into a line and an exit code."""

from __future__ import annotations

import errno
import inspect
import sys
from collections.abc import Callable
from typing import Annotated, Any

import typer
from typer.core import TyperGroup

from aioq.cli import (
    audit,
    demo,
    doctor,
    enqueue,
    explain,
    failures,
    groups,
    info,
    jobs,
    monitor,
    output,
    queues,
    requeue,
    retry_budget,
    server,
    stats,
    top,
    web,
    worker,
)
from aioq.cli.actor import audited
from aioq.cli.common import with_target
from aioq.cli.from_rq import refuse_command, with_options_of_rq
from aioq.values.distribution import NAME_AND_VERSION, clash
from aioq.values.errors import AioqError, InvalidInput
from aioq.worker.leaving import limited_exit
from aioq.worker.streams import open_standard_descriptors


class Commands(TyperGroup):
    """All commands. aioq's own errors end as one line on stderr.

    The exit code is 1, or 2 for a value that can never be used, as for an unknown option.
    """

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Read `help` and `help COMMAND` as `--help`, and `version` as `--version`."""
        if args[:1] == ["help"]:
            args = [*args[1:], "--help"]
        elif args == ["version"]:
            args = ["--version"]

        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Find the command. A command that only RQ has is refused by its name."""
        refuse_command(args[0])

        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command."""
        output.prepare()

        try:
            return super().invoke(ctx)
        except typer.BadParameter as error:
            error.message = error.message.removeprefix("Value error, ")  # of the library that checks choices

            raise
        except Exception as error:
            from aioq.embedded import EmbeddedError  # noqa: PLC0415 - an edge of its own, needed only now

            if not isinstance(error, AioqError | EmbeddedError):
                raise

            output.warn(f"Error: {output.one_line(str(error))}")

            raise typer.Exit(2 if isinstance(error, InvalidInput) else 1) from None


def _print_version(asked: bool) -> None:
    if asked:
        output.say(NAME_AND_VERSION)

        if (problem := clash()) is not None:
            output.warn(f"Warning: {problem}")

        raise typer.Exit


Version = Annotated[
    bool,
    typer.Option("--version", "-V", callback=_print_version, is_eager=True, help="Print the version and exit."),
]


def root(*, version: Version = False) -> None:
    """A task queue for asyncio on Redis and Valkey streams."""


#: Each command with its name and the example that ends its help.
COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("worker", worker.worker, "aioq worker high default --concurrency 50"),
    ("worker-pool", worker.worker_pool, "aioq worker-pool high default --num-workers 4"),
    ("enqueue", enqueue.enqueue, "aioq enqueue shop.mail.send you@example.org copies:=3 --ttl 1h"),
    ("requeue", requeue.requeue, "aioq requeue --queue mail --all"),
    ("info", info.info, "aioq info --interval 1"),
    ("stats", stats.stats, "aioq stats mail --last 6h"),
    ("monitor", monitor.monitor, "aioq monitor"),
    ("top", top.top, "aioq top mail --interval 2"),
    ("ls", jobs.ls, "aioq ls mail --status failed --limit 10"),
    ("explain", explain.explain, "aioq explain my-id"),
    ("audit", audit.audit, "aioq audit mail --limit 20"),
    ("doctor", doctor.doctor, "aioq doctor mail --repair"),
    ("empty", queues.empty, "aioq empty mail"),
    ("suspend", queues.suspend, "aioq suspend --duration 60"),
    ("resume", queues.resume, "aioq resume"),
    ("retry-budget", retry_budget.retry_budget, "aioq retry-budget mail --limit 100 --per 1m --at-once 20"),
    ("server", server.server, "aioq server /var/lib/app/queue"),
    ("web", web.web, "aioq web --port 8642"),
    ("demo", demo.demo, "aioq demo https://example.org/"),
)
JOB_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("show", jobs.show, "aioq job show my-id"),
    ("cancel", jobs.cancel, "aioq job cancel my-id other-id"),
    ("requeue", jobs.requeue, "aioq job requeue my-id --dependents"),
    ("stop", jobs.stop, "aioq job stop my-id"),
    ("delete", jobs.delete, "aioq job delete my-id --json"),
)

GROUP_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("ls", groups.ls, "aioq group ls mail"),
    ("show", groups.show, "aioq group show report-7 --json"),
)

FAILURE_COMMANDS: tuple[tuple[str, Callable[..., None], str], ...] = (
    ("mute", failures.mute, "aioq failures mute 3f0c9a51b2de --for 1d"),
    ("unmute", failures.unmute, "aioq failures unmute 3f0c9a51b2de"),
)


#: What these do is not done by whoever has started them.
LASTING = frozenset(("worker", "worker-pool", "server", "web", "demo"))


def _with_options(name: str, command: Callable[..., None]) -> Callable[..., None]:
    """The command with the options of all commands that use a server."""
    if "target" not in inspect.signature(command).parameters:
        return command

    return with_options_of_rq(name, with_target(command if name in LASTING else audited(command)))


def _build() -> typer.Typer:
    """The tree of commands. Their help is plain text: rich's boxes need more than 80 columns for it."""
    app = typer.Typer(
        cls=Commands,
        no_args_is_help=True,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["--help", "-h"]},
    )
    app.callback(epilog="Example: aioq worker high default")(root)
    job = typer.Typer(help="Look at single jobs, or end them.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(job, name="job", epilog="Example: aioq job show my-id")

    group = typer.Typer(help="Look at groups of jobs.", no_args_is_help=True, rich_markup_mode=None)
    app.add_typer(group, name="group", epilog="Example: aioq group show report-7")

    failing = typer.Typer(invoke_without_command=True, rich_markup_mode=None)
    failing.callback(epilog="Example: aioq failures --queue mail")(_with_options("failures", failures.failures))
    app.add_typer(failing, name="failures")

    for parent, commands in (
        (app, COMMANDS),
        (job, JOB_COMMANDS),
        (group, GROUP_COMMANDS),
        (failing, FAILURE_COMMANDS),
    ):
        for name, command, example in commands:
            parent.command(name, epilog=f"Example: {example}")(_with_options(name, command))

    return app


app = _build()


def main() -> None:
    """The entry point."""
    open_standard_descriptors()
    output.replace_missing_streams()

    with limited_exit():
        try:
            app(prog_name="aioq")
        except KeyboardInterrupt:  # it came while the tree of commands was built
            sys.exit(130)
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EIO):
                raise

            output.warn(f"Error: the output cannot be written: {error.strerror}")
            sys.exit(1)
