"""`aioq doctor`: whether the data of queues is sound, and whether the server's settings endanger it."""

from __future__ import annotations

import asyncio
import shutil
import sys
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Annotated, Any

import typer

from aioq.cli import output
from aioq.cli.common import JsonOption, Target, hinted, refuse_empty_folder, tell_of_away
from aioq.cli.complete import queue_names
from aioq.doctor import KINDS, Examined, Finding, Setting, examine_queues, examine_server
from aioq.store import Connection, Directory
from aioq.values.errors import ServerError
from aioq.values.ids import check_queue_name

#: How many findings of one kind are listed; `--json` lists all.
SHOWN = 3

#: If more queues than this are sound, only their number is shown; `--json` names all.
SOUND_SHOWN = 20

Names = Annotated[
    list[str] | None,
    typer.Argument(metavar="QUEUES", autocompletion=queue_names, help="Only these queues (default: all)."),
]
Repair = Annotated[bool, typer.Option("--repair", help="Repair the findings. No job is deleted.")]


def doctor(queues: Names = None, *, repair: Repair = False, target: Target, as_json: JsonOption = False) -> None:
    """Look for damage in the stored data, and repair it.

    It also checks the server's settings. Workers may keep running.
    """
    settings, examined, away = asyncio.run(_examine(target, queues, repair=repair))
    left = [each for queue in examined for each in queue.findings if not each.repaired]
    is_bad = any(each.level == "problem" for each in settings) or any(map(_is_missing, examined))
    is_sound = not (left or is_bad or away or any(each.error for each in examined))

    if as_json:
        output.say_json(_document(settings, examined, away, is_sound=is_sound))
    else:
        for line in _report(settings, examined, left, repair=repair):
            output.say_marked(line)

        tell_of_away(away)

    if not is_sound:
        raise typer.Exit(1)


async def _examine(
    target: Target, names: Sequence[str] | None, *, repair: bool
) -> tuple[list[Setting], list[Examined], dict[str, ServerError]]:
    refuse_empty_folder(target.server)
    connection = Connection(target.url, prefix=target.prefix)
    away: dict[str, ServerError] = {}

    try:
        asked = list(dict.fromkeys(map(check_queue_name, names or ())))

        with hinted(target):
            settings = await examine_server(connection)

        directory = Directory(connection, away=away)
        wanted = asked or sorted({*await directory.queues(), *await directory.stored()})
        label = f"Examining {wanted[0] if len(wanted) == 1 else output.count(len(wanted), 'queue')}"

        with output.progress(await _estimate(connection, wanted), label, err=True) as advance:
            examined = await examine_queues(
                connection, wanted, repair=repair, advance=advance, finished=lambda: advance(1)
            )

        # A deleted queue leaves keys that expire by themselves; it is reported only if it was named.
        return settings, [each for each in examined if names or not _is_missing(each)], away
    finally:
        await connection.aclose()


async def _estimate(connection: Connection, names: Sequence[str]) -> int:
    """About how many jobs and queues there are. It is for the progress bar only, so damage must not stop it."""
    if not sys.stderr.isatty():
        return 0

    overview = await Directory(connection, away={}).overview(names)

    return len(names) + sum(sum(each.counts.jobs.values()) for each in overview)


def _is_missing(queue: Examined) -> bool:
    """Whether nothing is stored for the queue."""
    return not (queue.listed or queue.jobs or queue.findings or queue.error)


def _document(
    settings: Sequence[Setting], examined: Sequence[Examined], away: Mapping[str, ServerError], *, is_sound: bool
) -> dict[str, Any]:
    document: dict[str, Any] = {
        "sound": is_sound,
        "server": [each._asdict() for each in settings],
        "queues": [
            {
                "name": queue.name,
                "listed": queue.listed,
                "format": None if _is_missing(queue) else queue.format,
                "jobs": queue.jobs,
                "findings": [each._asdict() for each in queue.findings],
            }
            | ({"error": str(queue.error)} if queue.error else {})
            for queue in examined
        ],
    }

    if away:
        document["away"] = {what: str(error) for what, error in away.items()}

    return document


def _report(
    settings: Sequence[Setting], examined: Sequence[Examined], left: Sequence[Finding], *, repair: bool
) -> Iterator[str]:
    for server, group in groupby(settings, key=lambda each: each.server):
        yield from _server_lines(f"Server {server}".rstrip(), list(group))

    if formats := {each.format for each in examined if each.format and not _is_missing(each)}:
        yield f"Queues are stored in format {' and '.join(map(str, sorted(formats)))}"

    if not examined:
        yield "No queues."

    sound = [each for each in examined if _is_sound(each)]
    few = examined if len(sound) <= SOUND_SHOWN else [each for each in examined if not _is_sound(each)]

    for queue in few:
        yield from _queue_lines(queue)

    if len(few) < len(examined):
        jobs = output.count(sum(each.jobs for each in sound), "job")
        yield ""
        yield f"{'The other ' if few else ''}{len(sound)} queues: {jobs} examined, nothing found"

    yield ""
    yield _verdict(settings, examined, left, repair=repair)


def _server_lines(title: str, settings: Sequence[Setting]) -> Iterator[str]:
    fine = [f"{each.name} {each.value}" for each in settings if each.level == "ok"]
    yield from _wrapped(f"{title}: ", "; ".join(fine), indent=8)

    for each in settings:
        if each.level in ("warning", "problem"):
            yield from _wrapped(f"{each.level.upper()} ", f"{each.name} ({each.value}): {each.words}")

    if hidden := [each.name for each in settings if each.level == "unknown"]:
        yield from _wrapped("Not readable here: ", ", ".join(hidden))


def _is_sound(queue: Examined) -> bool:
    return not (queue.findings or queue.error or _is_missing(queue))


def _queue_lines(queue: Examined) -> Iterator[str]:
    jobs = output.count(queue.jobs, "job")
    yield ""

    if queue.error:
        yield from _wrapped(f"Queue {queue.name}: ", f"not examined: {queue.error}", indent=4)

    if _is_missing(queue):
        yield f"Queue {queue.name}: no such queue"
        return

    if queue.error and not queue.findings:
        return

    if not queue.findings:
        yield f"Queue {queue.name}: {jobs} examined, nothing found"
        return

    yield f"Queue {queue.name}: {jobs} examined, {output.count(len(queue.findings), 'finding')}"

    for kind, group in groupby(queue.findings, key=lambda each: each.kind):
        found = list(group)
        done = sum(each.repaired for each in found)
        state = ", repaired" if done == len(found) else f", {done} repaired" if done else ""
        yield from _wrapped(f"  {kind} ", f"({len(found)}{state}): {KINDS[kind].title}", indent=4)

        for each in found[:SHOWN]:
            yield from _wrapped("      ", f"{output.one_line(each.name)}: {each.words}", indent=8)

        if len(found) > SHOWN:
            yield f"      ... and {len(found) - SHOWN} more (--json lists all)"

        if done < len(found):
            yield from _wrapped("    Means:  ", KINDS[kind].means)
            yield from _wrapped("    Repair: ", KINDS[kind].repair)


def _verdict(
    settings: Sequence[Setting], examined: Sequence[Examined], left: Sequence[Finding], *, repair: bool
) -> str:
    problems = sum(each.level == "problem" for each in settings)
    repaired = sum(each.repaired for queue in examined for each in queue.findings)
    parts = [f"{repaired} repaired"] if repaired else []

    if left:
        parts.append(f"{output.count(len(left), 'finding')} left")

    if problems:
        parts.append(f"{output.count(problems, 'problem')} of the server")

    if missing := sum(map(_is_missing, examined)):
        parts.append(f"{output.count(missing, 'queue')} missing")

    if failed := sum(each.error is not None for each in examined):
        parts.append(f"{output.count(failed, 'queue')} not examined")

    if not (left or problems or missing or failed):
        return "The data is sound." + (f" {parts[0]}." if parts else "")

    is_helped = any(each.kind != "unknown-key" for each in left)
    hint = " `aioq doctor --repair` repairs what can be repaired." if is_helped and not repair else ""

    return f"Not sound: {', '.join(parts)}.{hint}"


def _wrapped(head: str, text: str, indent: int | None = None) -> list[str]:
    """The text after a head, wrapped to the terminal's width; lines after the first are indented."""
    return textwrap.wrap(
        output.clean(text),
        width=max(shutil.get_terminal_size().columns, 40),
        initial_indent=head,
        subsequent_indent=" " * (len(head) if indent is None else indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
