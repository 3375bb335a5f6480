"""State: where the user of the screen is, and what a key makes of that. It knows no server and no terminal."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, NamedTuple

from aioq.cli.screen.view import TABS, Page, Subject, View
from aioq.values.states import JobStatus, allows

Verb = Literal["requeue", "requeue_all", "pause", "resume", "cancel", "stop", "delete", "delete_all"]

#: Rows that a page key moves by.
PAGE_ROWS = 10

#: A filter has at most so many characters, and a number that is typed so many digits.
LONGEST_FILTER, LONGEST_NUMBER = 60, 12

#: What each key for an action does, for the line at the bottom.
ACTION_KEYS: Mapping[str, str] = {
    "r": "requeue a job that has ended without a result",
    "R": "requeue all failed jobs of a queue, or of a failure",
    "P": "pause or resume a queue",
    "C": "cancel a job",
    "S": "stop a run",
    "D": "delete a job, or all jobs of a failure",
}


class Place(NamedTuple):
    """A page that is open.

    Args:
        page: which one.
        queue: of a queue or a job.
        id: of a job.
        cursor: the number of the selected row.
        selected: the name of its subject; None for a line of text.
        filter: only rows with this text are shown.

    """

    page: Page
    queue: str = ""
    id: str = ""
    cursor: int = 0
    selected: tuple[str, str, str] | None = None
    filter: str = ""

    @property
    def target(self) -> tuple[str, str, str]:
        """What is read for it."""
        return self.page, self.queue, self.id


class Act(NamedTuple):
    """Something to do."""

    verb: Verb
    subject: Subject


class Question(NamedTuple):
    """What is asked before something is done.

    Args:
        text: the question.
        expected: the answer that lets it be done: y, or the number of jobs.
        act: what is done then.
        typed: what has been typed so far.

    """

    text: str
    expected: str
    act: Act
    typed: str = ""


class State(NamedTuple):
    """Where the user is.

    Args:
        places: the pages on the way here; the last one is shown.
        question: what is asked; None: nothing.
        typing: whether the filter is being typed.
        is_paused: whether nothing is read by itself.
        notice: what has become of the last action.
        trouble: why the page is not up to date; "" if it is.
        is_over: whether the user has left.

    """

    places: tuple[Place, ...] = (Place(Page.OVERVIEW),)
    question: Question | None = None
    typing: bool = False
    is_paused: bool = False
    notice: str = ""
    trouble: str = ""
    is_over: bool = False

    @property
    def place(self) -> Place:
        """The page that is shown."""
        return self.places[-1]

    def at(self, place: Place) -> State:
        """The same with another last place."""
        return self._replace(places=(*self.places[:-1], place))


def press(state: State, view: View, key: str) -> tuple[State, Act | None]:
    """What a key makes of the state, and what is to be done.

    Args:
        state: as it was.
        view: what is shown.
        key: a character, or a name that `Keyboard` gives.

    """
    if state.question is not None:
        return _answer(state, state.question, key)

    if state.typing:
        return _type(state, view, key), None

    state = state._replace(notice="")

    if key in ACTION_KEYS:
        return _ask(state, view, key)

    if key in _MOVES:
        return _move(state, view, key), None

    return _go(state, view, key), None


def follow(state: State, view: View) -> State:
    """The state when a new look has come: the same subject stays selected wherever it is now."""
    place, rows = state.place, view.rows(state.place.filter)
    names = [row.subject and row.subject.name for row in rows]
    cursor = names.index(place.selected) if place.selected and place.selected in names else place.cursor

    return _select(state, view, cursor)


def selected(state: State, view: View) -> Subject | None:
    """What the selected row is about."""
    rows = view.rows(state.place.filter)

    return rows[state.place.cursor].subject if state.place.cursor < len(rows) else None


def offered(state: State, view: View) -> dict[str, Act]:
    """What keys would do now, to the selected row, or to what the page is about."""
    found: dict[str, Act] = {}

    for subject in (selected(state, view), view.subject):
        if subject is not None:
            found = _verbs(subject) | found

    return found


def _verbs(subject: Subject) -> dict[str, Act]:
    if subject.kind == "queue":
        acts: dict[str, Verb] = {"P": "resume" if subject.status == "paused" else "pause"}
        acts |= {"R": "requeue_all"} if subject.jobs else {}
    elif subject.kind == "failure":
        acts = {"R": "requeue_all", "D": "delete_all"} if subject.jobs else {}
    else:
        status = JobStatus(subject.status) if subject.status in list(JobStatus) else None
        verbs: dict[str, Verb] = {"r": "requeue", "C": "cancel", "S": "stop"}
        acts = {key: verb for key, verb in verbs.items() if status is not None and allows(status, verb)}
        acts |= {"D": "delete"}

    return {key: Act(verb, subject) for key, verb in acts.items()}


def _ask(state: State, view: View, key: str) -> tuple[State, Act | None]:
    act = offered(state, view).get(key)

    if act is None:
        return state._replace(notice=f"{key} would {ACTION_KEYS[key]}. Nothing of that kind is selected."), None

    if key.islower():
        return state, act

    verb, subject = act

    if verb in ("requeue_all", "delete_all"):
        word, expected = verb.partition("_")[0], str(subject.jobs)
        jobs = "1 job" if subject.jobs == 1 else f"{subject.jobs:,} jobs"
        which = "failed" if subject.kind == "queue" else f"with fingerprint {subject.id}"
        text = f"{word.capitalize()} {jobs} {which} of queue {subject.queue}? Type {expected} and Enter:"
    else:
        what = f"queue {subject.queue}" if subject.kind == "queue" else f"job {subject.id}"
        text, expected = f"{verb.capitalize()} {what}? y, or any other key for no:", "y"

    return state._replace(question=Question(text, expected, act)), None


def _answer(state: State, question: Question, key: str) -> tuple[State, Act | None]:
    is_number = question.expected != "y"
    no = state._replace(question=None, notice="Nothing was done.")

    if not is_number:
        return (state._replace(question=None), question.act) if key == "y" else (no, None)

    if key == "enter":
        is_right = question.typed == question.expected

        return (state._replace(question=None), question.act) if is_right else (no, None)

    if key == "backspace":
        return state._replace(question=question._replace(typed=question.typed[:-1])), None

    if len(key) == 1 and key.isdecimal() and len(question.typed) < LONGEST_NUMBER:
        return state._replace(question=question._replace(typed=question.typed + key)), None

    return (no, None) if key == "escape" else (state, None)


def _type(state: State, view: View, key: str) -> State:
    place = state.place

    if key == "enter":
        return state._replace(typing=False)

    if key == "escape":
        state, text = state._replace(typing=False), ""
    elif key == "backspace":
        text = place.filter[:-1]
    else:
        pasted = key.removeprefix("paste:")
        text = place.filter + pasted if pasted.isprintable() and (len(key) == 1 or pasted != key) else place.filter

    return _select(state.at(place._replace(filter=text[:LONGEST_FILTER])), view, 0)


_MOVES: Mapping[str, int] = {
    "up": -1,
    "k": -1,
    "down": 1,
    "j": 1,
    "pageup": -PAGE_ROWS,
    "pagedown": PAGE_ROWS,
    " ": PAGE_ROWS,
    "home": -1_000_000,
    "g": -1_000_000,
    "end": 1_000_000,
    "G": 1_000_000,
}


def _move(state: State, view: View, key: str) -> State:
    return _select(state, view, state.place.cursor + _MOVES[key])


def _select(state: State, view: View, cursor: int) -> State:
    rows = view.rows(state.place.filter)
    cursor = max(0, min(cursor, len(rows) - 1))
    subject = rows[cursor].subject if rows else None

    return state.at(state.place._replace(cursor=cursor, selected=None if subject is None else subject.name))


def _go(state: State, view: View, key: str) -> State:
    """Keys that lead to other pages, and those for the screen itself."""
    if key == "enter":
        return _open(state, selected(state, view))

    if key in ("escape", "backspace", "left", "h"):
        return _back(state, view)

    if key in ("tab", "backtab") or (key.isdecimal() and key.isascii()):
        return _tab(state, key)

    if key == "?" and state.place.page != Page.HELP:
        return state._replace(places=(*state.places, Place(Page.HELP)))

    return state._replace(is_over=key == "q", is_paused=state.is_paused != (key == "p"), typing=key == "/")


def _open(state: State, subject: Subject | None) -> State:
    if subject is None:
        return state

    if subject.kind == "queue":
        place = Place(Page.QUEUE, subject.queue)
    else:
        place = Place(Page.JOB, subject.queue, subject.opens or subject.id)

    return state if place.target == state.place.target else state._replace(places=(*state.places, place))


def _back(state: State, view: View) -> State:
    if state.place.filter:
        return _select(state.at(state.place._replace(filter="")), view, 0)

    return state._replace(places=state.places[:-1] or state.places) if len(state.places) > 1 else state


def _tab(state: State, key: str) -> State:
    if key.isdecimal():
        number = int(key) - 1
    else:
        now = TABS.index(state.places[0].page) if state.places[0].page in TABS else 0
        number = (now + (1 if key == "tab" else -1)) % len(TABS)

    return state._replace(places=(Place(TABS[number]),)) if 0 <= number < len(TABS) else state
