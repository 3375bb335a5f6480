"""`aioq explain`: why a job does not run, or how it ended. It only reads, and loads nothing of the job."""

from __future__ import annotations

import asyncio
import re
import shutil
import sys
import textwrap
from datetime import datetime
from typing import Any

import typer

from aioq.cli import output
from aioq.cli.common import JsonOption, QueueOption, Target, connected, on_each
from aioq.cli.find import find, nowhere
from aioq.cli.jobs import Id
from aioq.client.explained import explain_job
from aioq.client.queue import Queue
from aioq.store import Directory
from aioq.values.explanation import Explanation, ReasonKind

_COMMAND = re.compile(r"`[^`]*`")

#: Stands for a space at which no line is broken.
_KEPT_SPACE = "\N{NO-BREAK SPACE}"


def explain(job_id: Id, *, queue: QueueOption = None, target: Target, as_json: JsonOption = False) -> None:
    """Say why a job does not run, or how it ended, and what helps."""
    found = asyncio.run(_explain(queue, target, job_id))

    if as_json:
        documents = [_document(each) for each in found]
        output.say_json(documents[0] if len(documents) == 1 else documents)
    else:
        output.say("\n\n".join(map(_shown, found)))

    if not any(map(_is_there, found)):
        raise typer.Exit(1)


async def _explain(name: str | None, target: Target, job_id: str) -> list[Explanation]:
    async with connected(target) as connection:
        queues = (await find(connection, [job_id], name))[job_id]
        found = [await explain_job(queue.store, job_id) for queue in queues]

        if not queues:  # one of them may know who has deleted it
            every = [Queue(each, connection) for each in await Directory(connection, away={}).queues()]
            found = [*(await on_each(every, lambda queue: explain_job(queue.store, job_id), {})).values()]

        told = [each for each in found if _is_there(each) or _is_told(each)]

        if not told:
            raise await nowhere(connection, job_id, name)

    return told


def _is_told(explanation: Explanation) -> bool:
    """Whether a job that is gone has left something to tell, such as who deleted it."""
    data = explanation.reasons[0].data

    return bool(data["is_recent"]) or "by" in data


def _is_there(explanation: Explanation) -> bool:
    return explanation.reasons[0].kind != ReasonKind.GONE


def _document(explanation: Explanation) -> dict[str, Any]:
    return {
        "id": explanation.job_id,
        "queue": explanation.queue,
        "status": explanation.status and str(explanation.status),
        "reasons": [
            {
                "kind": str(reason.kind),
                "text": reason.text,
                "remedy": reason.remedy,
                "data": {name: _plain(value) for name, value in reason.data.items()},
            }
            for reason in explanation.reasons
        ],
    }


def _plain(value: object) -> object:
    return output.moment(value) if isinstance(value, datetime) else value


def _shown(explanation: Explanation) -> str:
    """The explanation, in lines that a terminal has room for; in a pipe, one line for each sentence."""
    text = str(explanation)

    if not sys.stdout.isatty():
        return text

    # A command stays on one line if that has room for it, so that it can be copied.
    kept = _COMMAND.sub(lambda found: found[0].replace(" ", _KEPT_SPACE), text)
    width = max(40, shutil.get_terminal_size().columns)
    lines = [
        textwrap.fill(line, width, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for line in kept.splitlines()
    ]

    return "\n".join(lines).replace(_KEPT_SPACE, " ")
