"""Option: one option of a job, as a row that says everything particular to it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

#: How a terminal shows a value: as a duration (one that may have no limit, one that something is kept for), as the
#: rule of a retry or of a series, or as it is.
Words = Literal["limit", "duration", "retention", "retry", "repeat", ""]


@dataclass(frozen=True, slots=True)
class Packed:
    """The option is stored in the packed options (the field `opts`, which is JSON), which only the worker needs.

    Args:
        key: its name there.
        is_sound: whether a value that was read back can be used.
        write: turns the checked value into what JSON holds; None: it is that already.
        default: what holds if nothing is stored.

    """

    key: str
    is_sound: Callable[[Any], bool]
    write: Callable[[Any], Any] | None = None
    default: Any = None


@dataclass(frozen=True, slots=True)
class Field:
    """The option is stored as a whole number in a field of the record, since scripts read it.

    Args:
        name: of the field.
        default: what holds if nothing is stored.

    """

    name: bytes
    default: int


@dataclass(frozen=True, slots=True)
class Word:
    """The option is told to `enqueue`, which stores what comes of it.

    Args:
        name: of the word, for which the script has a handler.
        write: turns the checked value into the word's; None: it is that already. An empty one is not told. What
            several options tell by one word stands there with commas.
        field: where the script stores it, if it does.

    """

    name: str
    write: Callable[[Any], Any] | None = None
    field: Field | None = None


@dataclass(frozen=True, slots=True)
class Shown:
    """The option is shown by `aioq job show`.

    Args:
        name: its head there.
        value: turns what is stored into what JSON shows; None: it is that already.
        words: how a terminal shows it.

    """

    name: str
    value: Callable[[Any], Any] | None = None
    words: Words = ""


@dataclass(frozen=True, slots=True)
class Flag:
    """An option of `aioq enqueue`.

    Args:
        name: of the parameter: `job_id` is `--job-id`.
        metavar: what stands for the value in the help.
        help: the text of the help.
        check: refuses a value; it is given the value and the name of the flag. None: a later check is enough.
        kind: str, int, list (it may be given several times), or bool (it takes no value).

    """

    name: str
    metavar: str
    help: str
    check: Callable[[Any, str], object] | None = None
    kind: type = str


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a job.

    Args:
        name: as users write it.
        read: turns a user's value into the checked one, or raises InvalidInput; it is given the value and its
            name.
        field: the attribute of JobOptions that holds the checked value.
        stored: where it is stored; None: nowhere, or in a way of its own.
        shown: how it is shown; None: it is not, or in a way of its own.
        flags: the options of `aioq enqueue` that it is made of.

    """

    name: str
    read: Callable[[Any, str], Any]
    field: str
    stored: Packed | Field | Word | None = None
    shown: Shown | None = None
    flags: tuple[Flag, ...] = ()
