"""The screen of `aioq monitor` without a terminal: what keys make of a state, and how it looks."""

from __future__ import annotations

import asyncio
import io
import math
from collections.abc import Coroutine, Sequence
from itertools import pairwise
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from aioq import Queue
from aioq.cli.screen.acting import carry_out
from aioq.cli.screen.keyboard import Keyboard
from aioq.cli.screen.layout import draw, help_view
from aioq.cli.screen.reading import read
from aioq.cli.screen.state import ACTION_KEYS, Act, Place, State, Verb, follow, offered, press
from aioq.cli.screen.view import Column, Line, Page, Row, Section, Subject, View
from aioq.store.net.command import Command
from aioq.store.net.node import Node
from aioq.web.board import Board
from tests import jobs
from tests.web.tools import HOSTILE, fill, settings_are_known

T = TypeVar("T")

COLUMNS = (Column("job", grows=True), Column("state"), Column("since", is_right=True, is_spare=True))


def row(subject: Subject, *cells: str) -> Row:
    return Row((subject.id or subject.queue, *cells), subject)


QUEUE = Subject("queue", "mail", jobs=1200)
FAILED = Subject("job", "mail", "f", "failed")
STARTED = Subject("job", "mail", "s", "started")
FAILURE = Subject("failure", "mail", "3f0c9a51b2de", jobs=1200, opens="f")
SUBJECTS = (QUEUE, FAILED, STARTED, FAILURE, Subject("job", "mail", "x", "damaged"))
VIEW = View(
    "A page",
    (Line(f"In danger: {HOSTILE} {'word ' * 40}", "bold red"),),
    (
        Section("Things", tuple(row(each, "failed", "3 s ago") for each in SUBJECTS), COLUMNS),
        Section("Lines", (Row(("    \x1b[2J indented \u202e " + "界" * 90,)), Row(("",)))),
        Section("Nothing", (), COLUMNS, "There is nothing."),
    ),
    read_at="12:00:00 UTC",
)


def shown(view: View, state: State, width: int, height: int, *, colours: bool = False) -> list[str]:
    out = io.StringIO()
    system = "truecolor" if colours else None
    console = Console(file=out, force_terminal=colours, color_system=system, width=width, height=height)
    text = draw(view, state, width, height)
    assert all(each.cell_len <= width for each in text.split("\n", allow_blank=True))
    console.print(text, end="")
    assert colours == ("\x1b[" in out.getvalue())

    return text.plain.split("\n")


def after(*keys: str, view: View = VIEW, state: State | None = None) -> tuple[State, list[Act]]:
    state, acts = follow(state or State(), view), []

    for key in keys:
        state, act = press(state, view, key)
        acts += [] if act is None else [act]

    return state, acts


@pytest.mark.parametrize("colours", [False, True])
def test_every_screen_fills_its_terminal_and_no_line_is_too_wide(colours: bool) -> None:
    places = [State(), after("/", "a")[0], after("down", "D")[0], State(trouble=HOSTILE * 9, is_paused=True)]

    for width, height in ((80, 24), (120, 40), (40, 10), (20, 5), (7, 3), (1, 1)):
        for state in places:
            for view in (VIEW, help_view(), View("empty")):
                lines = shown(view, state, width, height, colours=colours and width > 1)
                assert len(lines) == height
                assert all(each.isprintable() for each in lines)
                assert "\u202e" not in "".join(lines)


def test_what_is_selected_and_asked_is_seen_without_colours() -> None:
    lines = shown(VIEW, after("down", "D")[0], 80, 24)
    assert "> f" in "\n".join(lines)
    assert "Delete job f? y, or any other key for no: _" in lines[-2]
    assert "r requeue  C cancel  D delete" in lines[-1]
    assert " PAUSED " in shown(VIEW, after("p")[0], 80, 24)[0]


def test_a_long_list_scrolls_with_what_is_selected() -> None:
    rows = tuple(row(Subject("job", "q", f"job-{number}", "queued"), "queued", "1 s") for number in range(500))
    view = View("Many", (), (Section("Jobs", rows, COLUMNS),))

    for keys, wanted in ((["end"], "job-499"), (["pagedown"] * 3, "job-30"), (["G", "up"], "job-498")):
        assert f"> {wanted} " in "\n".join(shown(view, after(*keys, view=view)[0], 80, 24))

    state, _ = after("/", *"OB-4", "9", "enter", "down", view=view)
    assert "> job-490 " in "\n".join(shown(view, state, 80, 24))
    assert len(view.rows(state.place.filter)) == 11
    assert after("escape", view=view, state=state)[0].place.filter == ""


def test_the_same_job_stays_selected_when_others_come_before_it() -> None:
    state, _ = after("down", "down")
    more = tuple(row(Subject("job", "mail", f"new-{number}", "queued"), "queued", "now") for number in range(3))
    moved = VIEW._replace(sections=(Section("New", more, COLUMNS), *VIEW.sections))
    state = follow(state, moved)
    assert state.place.cursor == 5
    assert offered(state, moved)["S"] == Act("stop", STARTED)
    # Without it, its place is kept.
    assert follow(state, View("empty")).place.cursor == 0


def test_dangerous_keys_ask_first_and_only_the_right_answer_counts() -> None:
    assert after("down", "r")[1] == [Act("requeue", FAILED)]
    assert after("P", "y")[1] == [Act("pause", QUEUE)]
    assert after("P", "Y")[1] == after("P", "enter")[1] == after("P", "escape")[1] == []
    assert after("down", "down", "S", "y")[1] == [Act("stop", STARTED)]
    assert after("R", *"1200", "enter")[1] == [Act("requeue_all", QUEUE)]
    assert after("R", *"12001", "backspace", "enter")[1] == [Act("requeue_all", QUEUE)]
    assert after("R", *"12000", "enter")[1] == after("R", *"120", "enter")[1] == after("R", "y", "enter")[1] == []
    assert after("down", "down", "down", "D", *"1200", "enter")[1] == [Act("delete_all", FAILURE)]
    state, acts = after("S")
    assert (acts, state.notice) == ([], "S would stop a run. Nothing of that kind is selected.")


KEYS = [
    *ACTION_KEYS,
    *"yYjkgG/?p123 h0",
    "enter",
    "escape",
    "tab",
    "backtab",
    "up",
    "end",
    "backspace",
    "paste:D y",
]


@settings(deadline=None)
@given(st.lists(st.sampled_from(KEYS), max_size=40))
def test_nothing_dangerous_is_done_without_a_question_about_it(keys: list[str]) -> None:
    state = follow(State(), VIEW)

    for key in keys:
        question = state.question
        state, act = press(state, VIEW, key)
        assert state.places

        if act is not None and act.verb != "requeue":
            assert question is not None
            assert question.act == act
            assert key == ("y" if question.expected == "y" else "enter")


SENT = b"j\x1b[A\x1bOB\x1b[5~\x1b[Z\r\t\x7f\x1b[200~D y\x1b[A\n\x1b[201~\xc3\xa9\x1b[99;5uq\x1b"
HEARD = ["j", "up", "down", "pageup", "backtab", "enter", "tab", "backspace", "paste:D y\x1b[A\n", "é", "q"]


@settings(deadline=None)
@given(st.lists(st.integers(0, len(SENT)), max_size=8))
def test_keys_come_whole_wherever_what_is_sent_is_split(cuts: list[int]) -> None:
    keyboard, places = Keyboard(), [0, *sorted(cuts), len(SENT)]
    keys = [key for start, end in pairwise(places) for key in keyboard.feed(SENT[start:end])]
    assert keys == HEARD
    assert keyboard.is_waiting
    assert keyboard.flush() == ["escape"]
    assert keyboard.feed(b"\x1b\x1b[A") == ["escape", "up"]


@settings(deadline=None)
@given(st.binary(max_size=60))
def test_whatever_a_terminal_sends_is_some_keys(data: bytes) -> None:
    keyboard = Keyboard()
    keys = [*keyboard.feed(data), *keyboard.flush()]
    assert all(len(key) > 1 or key.isprintable() for key in keys)


class Waves:
    """Round trips that begin together pass together, and are counted as one."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self._held: list[asyncio.Event] = []
        self._under_way = 0
        pass_on = Node.round_trip

        async def held(node: Node, commands: Sequence[Command], left: float = math.inf) -> list[Any]:
            self._held.append(gate := asyncio.Event())
            await gate.wait()
            self._under_way += 1

            try:
                return await pass_on(node, commands, left)
            finally:
                self._under_way -= 1

        monkeypatch.setattr(Node, "round_trip", held)

    async def count(self, work: Coroutine[Any, Any, T]) -> tuple[T, int]:
        task, number = asyncio.create_task(work), 0

        while not task.done():
            for _ in range(20):  # so that all that can go on has gone on
                await asyncio.sleep(0)

            if self._held and not self._under_way:
                number += 1

                for gate in self._held:
                    gate.set()

                self._held = []

            await asyncio.sleep(0.001)

        return task.result(), number


async def test_every_page_shows_jobs_in_every_state_in_at_most_five_round_trips(
    queue: Queue, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = await fill(queue)
    await queue.enqueue(jobs.add, HOSTILE, HOSTILE, meta={"m": HOSTILE}, description=HOSTILE, job_id="bad")
    board, waves = Board(queue.connection), Waves(monkeypatch)
    await waves.count(read(board, Place(Page.OVERVIEW)))  # asks once a minute for the server's settings, beside it
    await waves.count(settings_are_known())
    pages = [Place(page) for page in (Page.OVERVIEW, Page.FAILURES, Page.WORKERS, Page.HELP)]
    pages += [Place(Page.QUEUE, "default"), Place(Page.JOB, "default", "bad"), Place(Page.JOB, "default", "none")]
    pages += [Place(Page.JOB, "default", each) for each in ids.values()] + [Place(Page.QUEUE, "none")]

    for place in pages:
        view, number = await waves.count(read(board, place))
        assert number <= 5, place
        lines = shown(view, follow(State(places=(place,)), view), 80, 24)
        assert all(each.isprintable() for each in lines), place

        if place.id in ids.values():
            (status,) = (status for status, job_id in ids.items() if job_id == place.id)
            assert lines[1].startswith(f"{status}  tests.jobs."), place
            assert view.sections[0].rows, place

    assert lines[1].startswith("There is no queue none.")


async def test_actions_say_what_has_become_of_the_jobs(queue: Queue) -> None:
    ids = await fill(queue)
    told: list[str] = []

    async def act(verb: Verb, status: str, **values: Any) -> str:
        subject = Subject("job", "default", ids.get(status, "none"), status)._replace(**values)

        return await carry_out(queue.connection, Act(verb, subject), told.append)

    assert await act("requeue", "stopped") == f"Job {ids['stopped']} is requeued."
    assert await act("requeue", "queued") == f"Nothing was done: job {ids['queued']} is queued by now."
    assert await act("cancel", "none") == "Nothing was done: there is no job none any more."
    assert await act("cancel", "scheduled") == f"Job {ids['scheduled']} is canceled."
    assert await act("stop", "finished") == f"Nothing was done: job {ids['finished']} is finished by now."
    assert await act("stop", "started") == f"Job {ids['started']} is stopped."
    assert await act("delete", "finished") == f"Job {ids['finished']} is deleted."
    (group,) = await queue.failures()
    failure = {"kind": "failure", "id": group.fingerprint, "jobs": group.count}
    assert await act("requeue_all", "", **failure) == "1 job requeued."
    assert told == ["1 job of 1 requeued ..."]
    assert await act("requeue_all", "", kind="queue", id="") == "0 jobs requeued."
    assert await act("pause", "", kind="queue") == "Queue default is paused. Runs in progress go on."
    assert await queue.is_paused()
    await act("resume", "", kind="queue")
    assert not await queue.is_paused()


def test_a_filter_is_changed_by_backspace_and_enter_opens_nothing_where_nothing_is() -> None:
    assert after("/", "m", "x", "backspace")[0].place.filter == "m"
    assert after("/", "m", "x", "escape")[0].place.filter == ""
    empty = View("Empty", (), (Section("Nothing", (), COLUMNS, "There is nothing."),), read_at="12:00:00 UTC")
    state, acts = after("enter", view=empty)
    assert (state.place, acts) == (State().place, [])
