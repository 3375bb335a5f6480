"""`aioq doctor`: whether the data of queues is sound, and whether the server keeps it so."""

from __future__ import annotations

import asyncio
import shutil
import textwrap
from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Annotated, Any, NamedTuple

import typer

from aioq.cli import output
from aioq.cli.common import JsonOption, UrlOption
from aioq.client.queue import Queue
from aioq.doctor import KINDS, Finding, Setting, examine, examine_server
from aioq.store import Connection, Fleet
from aioq.values.errors import AioqError

#: Findings of one kind that are named one by one; `--json` names all.
SHOWN = 3

Names = Annotated[list[str] | None, typer.Argument(metavar="QUEUES", help="Only these queues (default: all).")]
Repair = Annotated[bool, typer.Option("--repair", help="Repair what is found. No job is deleted.")]


class Examined(NamedTuple):
    """A queue, whether it is on the list of queues, how many jobs were looked at, and what was found."""

    name: str
    listed: bool
    jobs: int
    findings: list[Finding]

    @property
    def is_missing(self) -> bool:
        """There is nothing of it that could be damaged."""
        return not (self.listed or self.jobs or self.findings)


def doctor(
    queues: Names = None, *, repair: Repair = False, url: UrlOption = None, as_json: JsonOption = False
) -> None:
    """Look for damage in what is stored of queues, and at the server's settings. Workers may go on meanwhile."""
    settings, examined = asyncio.run(_examine(url, queues, repair=repair))
    left = [each for queue in examined for each in queue.findings if not each.repaired]
    is_bad = any(each.level == "problem" for each in settings) or any(each.is_missing for each in examined)
    is_sound = not left and not is_bad

    if as_json:
        output.say_json(_document(settings, examined, is_sound=is_sound))
    else:
        for line in _report(settings, examined, left, repair=repair):
            output.say(line)

    if not is_sound:
        raise typer.Exit(1)


async def _examine(
    url: str | None, names: Sequence[str] | None, *, repair: bool
) -> tuple[list[Setting], list[Examined]]:
    connection = Connection(url)

    try:
        settings = await examine_server(connection)
        fleet = Fleet(connection)
        wanted = list(dict.fromkeys(names)) if names else sorted({*await fleet.queues(), *await fleet.stored()})
        examined = [await _examine_queue(Queue(name, connection), repair=repair) for name in wanted]

        # A queue that was deleted leaves keys that go by themselves; only who asks for it is told.
        return settings, [each for each in examined if names or not each.is_missing]
    finally:
        await connection.aclose()


async def _examine_queue(queue: Queue, *, repair: bool) -> Examined:
    jobs = 0

    with output.progress(await _estimate(queue), f"Examining {queue.name}", err=True) as advance:

        def count(number: int) -> None:
            nonlocal jobs
            jobs += number
            advance(number)

        findings = await examine(queue, repair=repair, advance=count)

    return Examined(queue.name, await queue.store.is_registered(), jobs, findings)


async def _estimate(queue: Queue) -> int:
    """How many jobs there may be: for the progress bar only, so damage must not stop it."""
    try:
        return sum((await queue.store.count())[:-1])
    except AioqError:
        return 0


def _document(settings: Sequence[Setting], examined: Sequence[Examined], *, is_sound: bool) -> dict[str, Any]:
    return {
        "sound": is_sound,
        "server": [each._asdict() for each in settings],
        "queues": [
            {
                "name": queue.name,
                "listed": queue.listed,
                "jobs": queue.jobs,
                "findings": [each._asdict() for each in queue.findings],
            }
            for queue in examined
        ],
    }


def _report(
    settings: Sequence[Setting], examined: Sequence[Examined], left: Sequence[Finding], *, repair: bool
) -> Iterator[str]:
    for server, group in groupby(settings, key=lambda each: each.server):
        yield from _server_lines(f"Server {server}".rstrip(), list(group))

    if not examined:
        yield "No queues."

    for queue in examined:
        yield from _queue_lines(queue)

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


def _queue_lines(queue: Examined) -> Iterator[str]:
    jobs = output.count(queue.jobs, "job")
    yield ""

    if queue.is_missing:
        yield f"Queue {queue.name}: there is no such queue here"
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

    if missing := sum(each.is_missing for each in examined):
        parts.append(f"{output.count(missing, 'queue')} not there")

    if not left and not problems and not missing:
        return "The data is sound." + (f" {parts[0]}." if parts else "")

    is_helped = any(each.kind != "unknown-key" for each in left)
    hint = " `aioq doctor --repair` repairs what can be repaired." if is_helped and not repair else ""

    return f"Not sound: {', '.join(parts)}.{hint}"


def _wrapped(head: str, text: str, indent: int | None = None) -> list[str]:
    """The text after a head, in lines that the terminal holds; the further ones are set in."""
    return textwrap.wrap(
        output.clean(text),
        width=max(shutil.get_terminal_size().columns, 40),
        initial_indent=head,
        subsequent_indent=" " * (len(head) if indent is None else indent),
        break_long_words=False,
        break_on_hyphens=False,
    )
