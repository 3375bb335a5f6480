"""Story: one job as lines: why it is where it is, its times, its attempts, its call. Pure functions."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from aioq.cli.screen.layout import STYLES
from aioq.cli.screen.overview import clock
from aioq.cli.screen.view import Column, Line, Row, Section, Subject, View
from aioq.values.explanation import Explanation
from aioq.web.words import ago, count, duration, milliseconds, moment

#: The most lines of a traceback: its last ones, and the most attempts that are shown.
TRACE_LINES, MOST_ATTEMPTS = 40, 20

#: Lines are broken so that they can be read in a terminal of 80 columns.
LINE_WIDTH = 76

#: A command that a line has room for, and what stands for a space at which no line is broken.
_COMMAND = re.compile(r"`[^`]{,70}`")
_KEPT_SPACE = "\N{NO-BREAK SPACE}"

_FACTS = (Column("name"), Column("value", grows=True))


def job(facts: Mapping[str, Any], explanation: Explanation) -> View:
    """A job.

    Args:
        facts: what the dashboard's page of a job shows.
        explanation: why it does not run, or how it ended.

    """
    status, now_ms = facts["status"], facts["now_ms"]
    attempts = tuple(_attempts(facts))
    sections = [
        Section("Why", tuple(_why(explanation))),
        Section("How it spent its time", tuple(_spent(facts)), empty="Nothing is known of its times."),
        Section("Attempts, the last first", attempts, empty="It has not run."),
        Section("Arguments", _pairs(facts["arguments"] or []), _FACTS, _without_arguments(facts)),
        Section("Options", _pairs(facts["options"]), _FACTS, "All are usual."),
    ]
    sections += [Section("Meta", _pairs(facts["meta"]), _FACTS)] if facts["meta"] else []
    sections += [Section("Result", tuple(_broken(facts["result"])))] if facts["result"] is not None else []
    sections += [Section("Around it", _around(facts))] if facts["graph"] is not None else []

    return View(
        f"Job {facts['id']}",
        (Line(f"{status}  {facts['call']}", f"bold {STYLES.get(status, '')}".strip()), Line(_head(facts))),
        tuple(sections),
        Subject("job", facts["queue"], facts["id"], status),
        clock(now_ms),
    )


def gone(text: str, queue: str, job_id: str) -> View:
    """What is shown of a job, or a queue, that is not there."""
    return View(f"Job {job_id}" if job_id else f"Queue {queue}", (Line(text, "bold yellow"),))


def _head(facts: Mapping[str, Any]) -> str:
    record, now_ms = facts["record"], facts["now_ms"]
    created = milliseconds(record.created_at)
    parts = [f"job {facts['id']} of queue {facts['queue']}", count(record.attempt, "attempt")]
    parts += [f"made {ago(created, now_ms)}"] if created else []
    parts += [f"worker {record.worker}"] if record.worker else []

    return ", ".join(parts)


def _why(explanation: Explanation) -> Iterator[Row]:
    for reason in explanation.reasons:
        yield from _broken(reason.text, first="- ", then="  ")

        if reason.remedy:
            yield from _broken(reason.remedy, first="  ", then="  ", style="bold")


def _spent(facts: Mapping[str, Any]) -> Iterator[Row]:
    for each in facts["spent"]:
        end = " (so far)" if each.end == "now" else ""
        yield Row((f"{moment(each.from_ms)[11:23]}  {each.words} {duration(each.to_ms - each.from_ms)}{end}",))


def _attempts(facts: Mapping[str, Any]) -> Iterator[Row]:
    runs = [*([facts["last"]] if facts["last"] is not None else []), *facts["runs"]]

    for run in runs[:MOST_ATTEMPTS]:
        ended = milliseconds(run["ended_at"])
        when = f" {ago(ended, facts['now_ms'])}" if ended else ""
        where = f" on {run['worker']}" if run["worker"] else ""
        yield Row((f"{run['outcome']}{when}{where}",), style=STYLES.get(run["outcome"], ""))
        trace = run["trace"].splitlines()

        if not trace and run["line"]:
            yield from _broken(run["line"], first="  ", then="  ")

        if len(trace) > TRACE_LINES:
            yield Row((f"  ({len(trace) - TRACE_LINES} lines before; `aioq job show {facts['id']}` has all)",))

        for line in trace[-TRACE_LINES:]:
            yield Row((f"  {line.expandtabs(4)}",))

    if len(runs) > MOST_ATTEMPTS:
        yield Row((f"{len(runs) - MOST_ATTEMPTS} more",))


def _without_arguments(facts: Mapping[str, Any]) -> str:
    return "They cannot be shown without loading them." if facts["arguments"] is None else "None."


def _pairs(found: Any) -> tuple[Row, ...]:
    return tuple(Row((str(name), "cannot be shown" if text is None else str(text))) for name, text, *_ in found)


def _around(facts: Mapping[str, Any]) -> tuple[Row, ...]:
    return tuple(
        Row(
            (f"{node.status}  {node.id}  {node.label}",),
            None if node.status in ("gone", "elsewhere") else Subject("job", node.queue, node.id, node.status),
            STYLES.get(node.status, ""),
        )
        for node in facts["graph"].nodes
    )


def _broken(text: str, *, first: str = "", then: str = "", style: str = "") -> Iterator[Row]:
    """A text on lines that a terminal has room for."""
    # A command stays on one line if that has room for it, so that it can be copied.
    text = _COMMAND.sub(lambda found: found[0].replace(" ", _KEPT_SPACE), text)
    lines = textwrap.wrap(text, LINE_WIDTH, initial_indent=first, subsequent_indent=then, break_on_hyphens=False)

    for line in lines or [first]:
        yield Row((line.replace(_KEPT_SPACE, " "),), style=style)
