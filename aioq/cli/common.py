"""Shared parts of the commands: common options, the connection to the server, and the error of a command."""

from __future__ import annotations

import inspect
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from aioq.cli import output
from aioq.cli.complete import queue_names
from aioq.cli.hints import with_hint
from aioq.client.queue import Queue
from aioq.store import Connection, Directory
from aioq.store.net.absent import HERE
from aioq.store.net.url import default_url
from aioq.values.errors import AioqError, ServerError, ServerUnreachable
from aioq.values.ids import lookup_id

T = TypeVar("T")

#: Jobs that one round trip reads or moves.
CHUNK = 500

#: If a queue is unknown, an error lists the existing queues, unless there are more than this.
MOST_NAMED = 10

UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        "-u",
        metavar="URL",
        show_default=False,
        help="The server. Without it: AIOQ_REDIS_URL, RQ_REDIS_URL, REDIS_URL or REDIS_HOST, else this machine's.",
    ),
]
PrefixOption = Annotated[
    str | None,
    typer.Option(
        "--prefix",
        metavar="PREFIX",
        show_default=False,
        help="The first word of every key. Without it: AIOQ_PREFIX, else aioq.",
    ),
]
PathOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--path",
        "-P",
        metavar="DIRECTORY",
        show_default=False,
        help="Also import jobs from this directory; any number. The current directory is always included.",
    ),
]
QueueOption = Annotated[
    str | None,
    typer.Option(
        "--queue",
        metavar="QUEUE",
        show_default=False,
        autocompletion=queue_names,
        help="The queue of the jobs. Without it: all queues.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


class CommandError(AioqError):
    """A command could not do its task."""


class Target(NamedTuple):
    """What a command works on: a server's URL, the first word of the keys, and directories to import from.

    None stands for the value from the environment.
    """

    url: str | None = None
    prefix: str | None = None
    paths: tuple[Path, ...] = ()

    @property
    def server(self) -> str:
        """The URL, given or from the environment."""
        return self.url or default_url()


def with_target(command: Callable[..., None]) -> Callable[..., None]:
    """Give a command the options --url, --prefix and --path. It gets their values as its argument `target`.

    When the command begins, modules in the directories of --path can be imported.
    """

    def read(given: Mapping[str, Any]) -> dict[str, Any]:
        paths = tuple(given["path"] or ())

        if paths:
            make_importable(paths)

        return {"target": Target(given["url"], given["prefix"], paths)}

    return with_options(command, {"url": UrlOption, "prefix": PrefixOption, "path": PathOption}, read)


def with_options(
    command: Callable[..., None],
    options: Mapping[str, Any],
    read: Callable[[Mapping[str, Any]], dict[str, Any]],
    *,
    argument: str = "target",
    in_place: bool = False,
) -> Callable[..., None]:
    """Give a command further options that are not in its own signature.

    Args:
        command: a function as typer takes it.
        options: annotations by name. An option that is not given is None or False.
        read: turns their values into arguments of the command, which has no options by these names.
        argument: an argument of the command that is not an option, because `read` supplies it.
        in_place: the help shows the options in the place of that argument, and not after the command's own.

    """
    own = inspect.signature(command, eval_str=True)
    further = [
        inspect.Parameter(
            name,
            inspect.Parameter.KEYWORD_ONLY,
            default=False if annotation.__origin__ is bool else None,
            annotation=annotation,
        )
        for name, annotation in options.items()
    ]

    @wraps(command)
    def with_further(*args: Any, **given: Any) -> None:
        asked = {name: given.pop(name) for name in options}
        command(*args, **given, **read(asked))

    names = list(own.parameters)
    at = names.index(argument) if in_place else len(names)
    parameters = [own.parameters[name] for name in names]
    parameters = [each for each in [*parameters[:at], *further, *parameters[at:]] if each.name != argument]
    # typer reads these; the command's own annotations are texts with names of another module.
    with_further.__signature__ = own.replace(parameters=parameters)  # type: ignore[attr-defined]
    with_further.__annotations__ = {each.name: each.annotation for each in parameters}

    return with_further


@contextmanager
def hinted(target: Target) -> Iterator[None]:
    """Say what to do when there is no server.

    Raises:
        CommandError: there is none.

    """
    try:
        yield
    except ServerUnreachable as error:
        raise CommandError(with_hint(error, target.server)) from error


def refuse_empty_folder(url: str) -> None:
    """Refuse to start an embedded server for a folder without data: it could only answer that nothing exists.

    Raises:
        CommandError: there is no data in the folder.

    """
    if not url.startswith(HERE):
        return

    from aioq.embedded import holds_data, parse_url  # noqa: PLC0415 - an edge of its own, needed only now

    with suppress(ValueError):  # from an invalid URL; the connection reports it later
        place = parse_url(url)

        if not holds_data(url) and (place.is_dir() or not place.exists()):
            raise CommandError(
                f"there is no data of an embedded server in {place}."
                " A worker or an enqueue creates it; did that run in another folder?"
            )


@asynccontextmanager
async def connected(target: Target, *, starts: bool = False) -> AsyncIterator[Connection]:
    """A connection to a server that aioq can use.

    Args:
        target: where it is.
        starts: start an embedded server even if there is no data yet.

    Raises:
        CommandError: no server answers, or there is no data; the text says what to do.
        InvalidInput: the URL or the prefix cannot be used.
        ServerError: the server cannot be reached, refuses, or is too old.

    """
    if not starts:
        refuse_empty_folder(target.server)

    connection = Connection(target.url, prefix=target.prefix)

    try:
        with hinted(target):
            await connection.check_server()

        yield connection
    finally:
        await connection.aclose()


@asynccontextmanager
async def opened(name: str, target: Target) -> AsyncIterator[Queue]:
    """A queue on a connection of `connected`."""
    async with connected(target) as connection:
        yield Queue(name, connection)


def lookup_ids(ids: list[str] | None) -> list[str] | None:
    """Ids of the command line. An id that the system could not decode is searched for as shown, and not found."""
    return None if ids is None else [lookup_id(each) for each in ids]


async def tell_of_missing(connection: Connection, names: Sequence[str]) -> list[str]:
    """The names without a queue. Each is reported on stderr."""
    directory = Directory(connection, away={})

    if missing := await directory.missing([lookup_id(name) for name in names]):
        hint = listed(await directory.queues())

        for name in missing:
            output.warn(f"no such queue: {name}{hint}")

    return missing


def listed(known: Sequence[str]) -> str:
    """The existing queues, as a hint after an unknown name; nothing if there are many."""
    return (
        f" (there {'is' if len(known) == 1 else 'are'} {', '.join(known)})" if 0 < len(known) <= MOST_NAMED else ""
    )


def away_lines(away: Mapping[str, ServerError]) -> list[str]:
    """One line for each error, naming what was left out because it is away or was refused."""
    by_error: dict[str, list[str]] = {}

    for what, error in away.items():
        by_error.setdefault(str(error), []).append(what)

    return [f"left out: {_some_of(what)}: {error}" for error, what in by_error.items()]


def _some_of(names: Sequence[str]) -> str:
    rest = len(names) - MOST_NAMED

    return ", ".join(names[:MOST_NAMED]) + (f" and {rest} more" if rest > 0 else "")


def tell_of_away(away: Mapping[str, ServerError]) -> None:
    """Say on stderr what was left out."""
    for line in away_lines(away):
        output.warn(line)


async def on_each(
    queues: Sequence[Queue], act: Callable[[Queue], Awaitable[T]], away: dict[str, ServerError]
) -> dict[str, T]:
    """Act on each of these queues. The results are returned by name; errors of unreachable queues go to `away`.

    Raises:
        ServerUnreachable: the queues have one server, and it is away.

    """
    found: dict[str, T] = {}

    for queue in queues:
        try:
            found[queue.name] = await act(queue)
        except ServerUnreachable as error:
            if not queue.connection.is_cluster:
                raise

            away[f"queue {queue.name}"] = error

    return found


def make_importable(paths: Sequence[Path] = ()) -> None:
    """Put these directories on the import path, and the current directory after them.

    Raises:
        CommandError: a path is relative, and the current directory was removed.

    """
    try:
        wanted = [str(path.absolute()) for path in (*paths, Path())]
    except FileNotFoundError:
        if relative := [str(path) for path in paths if not path.is_absolute()]:
            raise CommandError(f"--path {relative[0]}: the current directory was removed") from None

        output.warn("The current directory was removed; nothing is imported from it")
        wanted = [str(path) for path in paths]

    sys.path[:0] = [path for path in dict.fromkeys(wanted) if path not in sys.path]
