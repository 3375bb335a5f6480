"""The call of a job as a text, derived from what is stored; nothing is imported, unpickled or called.

Plain values are shown as they are, everything else as the name of its class: `mail.send('you', <shop.Order>)`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from contextlib import suppress

from aioq.values.errors import BadSignature
from aioq.values.pickled import Opaque, Several, look_into
from aioq.values.record import JobRecord
from aioq.values.serializer import JSON, PICKLE, TYPED
from aioq.values.signature import SIGNED, inner
from aioq.values.webhook import shown_arguments

#: The most characters of the arguments, of one text among them, and of a name.
LONGEST, LONGEST_TEXT, LONGEST_NAME = 120, 60, 200

#: The most characters of one value that is shown alone.
LONGEST_VALUE = 2000

#: Collections inside of collections that are shown.
DEEPEST = 6

#: Arguments as JSON that have more bytes than this are not decoded.
MAX_JSON = 1_048_576

#: Stands for what is left out.
CUT = "…"

#: A larger number takes longer to write than anybody reads.
_MAX_BITS = 256

_BRACKETS: dict[type, tuple[str, str]] = {
    list: ("[", "]"),
    tuple: ("(", ")"),
    set: ("{", "}"),
    frozenset: ("frozenset({", "})"),
    dict: ("{", "}"),
}


def call_text(record: JobRecord) -> str:
    """The call as one line that a terminal can show. Arguments that cannot be read here are "…".

    With a secret, the arguments are only looked at if they are signed.
    """
    name = record.func_name
    shown = name if len(name) <= LONGEST_NAME else name[:LONGEST_NAME] + CUT

    return _printable(f"{shown}({_arguments(record)})")


def argument_texts(record: JobRecord, longest: int = LONGEST_VALUE) -> list[tuple[str, str]] | None:
    """The arguments one by one, each as a name (or its place, from 0) and the text of its value.

    Args:
        record: the job.
        longest: the most characters of each (default 2000).

    Returns:
        None if the arguments cannot be read here. The name "…" stands for further ones that cannot be.

    """
    call = _call_in(record)

    if call is None:
        return None

    args, named, is_whole = _with_results(call, record)
    found = [(str(at), _one_text(value, longest)) for at, value in enumerate(args)]
    found += [
        (_printable(key if isinstance(key, str) else _one_text(key, LONGEST_NAME)), _one_text(value, longest))
        for key, value in zip(named[::2], named[1::2], strict=False)
    ]

    return found if is_whole else [*found, (CUT, "")]


def value_text(data: bytes, longest: int = LONGEST_VALUE) -> str | None:
    """A serialised value, such as a result, as a text; None if it cannot be read here. Nothing is unpickled.

    Args:
        data: the bytes as they are stored. A signature is not looked at.
        longest: the most characters (default 2000).

    """
    if data[:1] == SIGNED:
        data = inner(data)

    if data[:1] == PICKLE.tag:
        found = look_into(data[1:])

        return _one_text(found.items[0], longest) + ("" if found.is_whole else CUT) if found.items else None

    if data[:1] not in (JSON.tag, TYPED.tag) or len(data) > MAX_JSON:
        return None

    try:
        return _one_text(json.loads(data[1:]), longest)
    except (ValueError, RecursionError):
        return None


def _arguments(record: JobRecord) -> str:
    call = _call_in(record)

    if call is None:
        return CUT

    text = _Text(LONGEST)

    with suppress(_Full):
        text.call(*_with_results(call, record))

    return "".join(text.parts)


def _one_text(value: object, longest: int) -> str:
    text = _Text(longest, longest)

    with suppress(_Full):
        text.value(value)

    return _printable("".join(text.parts))


def _call_in(record: JobRecord) -> _Call | None:
    """The call of a job, without results of other jobs; None if it cannot be read here."""
    try:
        data = record.opened().fields.get(b"data", b"")
    except BadSignature:
        return None

    if data[:1] == SIGNED:
        data = inner(data)

    if len(data) < 2:  # no arguments
        return [], [], True

    call = _call_of(data)

    return (shown_arguments(call[0]), [], True) if call is not None and record.is_webhook else call


#: The positional arguments, the keyword arguments as keys and values in turn, and whether that is all.
_Call = tuple[list[object], list[object], bool]


def _with_results(call: _Call, record: JobRecord) -> _Call:
    """The arguments, of which some are results of other jobs."""
    args, named, is_whole = call

    for place, job_id in record.opts.get("results", ()):
        if isinstance(place, str):
            named = [
                _result(job_id) if at % 2 and named[at - 1] == place else value for at, value in enumerate(named)
            ]
        else:
            args = [_result(job_id) if at == place else value for at, value in enumerate(args)]

    return args, named, is_whole


def _result(job_id: str) -> Opaque:
    return Opaque(f"result of {job_id}")


def _call_of(data: bytes) -> _Call | None:
    """The arguments in the bytes of a serialiser: of an instance, positional and keyword arguments."""
    if data[:1] == PICKLE.tag:
        return _of_pickle(look_into(data[1:]))

    if data[:1] not in (JSON.tag, TYPED.tag) or len(data) > MAX_JSON:
        return None

    try:
        _, args, kwargs = json.loads(data[1:])
        return list(args), [part for item in kwargs.items() for part in item], True
    except (ValueError, TypeError, AttributeError, RecursionError):
        return None


def _of_pickle(found: Several) -> _Call | None:
    if found.is_whole:
        (whole,) = found.items
        parts = whole.items if isinstance(whole, Several) and whole.kind is tuple else []
    else:
        parts = found.items  # the tuple of the three was not reached

    args = parts[1] if len(parts) > 1 else None
    kwargs = parts[2] if len(parts) > 2 else None
    is_call = isinstance(args, Several) and args.kind is tuple

    if found.is_whole:
        if len(parts) != 3 or not is_call or not isinstance(kwargs, Several) or kwargs.kind is not dict:
            return None
    elif not is_call:
        return parts[1:], [], False

    assert isinstance(args, Several)
    named = kwargs.items if isinstance(kwargs, Several) and kwargs.kind is dict else []

    return args.items, named, found.is_whole


class _Full(Exception):
    """The text has as many characters as it may have."""


class _Text:
    """A text that grows up to a limit. Each value writes something, so its time is bounded, too."""

    def __init__(self, limit: int, longest_text: int = LONGEST_TEXT) -> None:
        self.parts: list[str] = []
        self._left = limit
        self._longest_text = longest_text

    def call(self, args: list[object], named: list[object], is_whole: bool) -> None:
        begun = False

        for value in args:
            self._separate(begun)
            self.value(value)
            begun = True

        for key, value in zip(named[::2], named[1::2], strict=False):
            self._separate(begun)
            self.write(key) if isinstance(key, str) else self.value(key)
            self.write("=")
            self.value(value)
            begun = True

        if not is_whole:
            self._separate(begun)
            self.write(CUT)

    def value(self, value: object, depth: int = 0) -> None:
        if isinstance(value, list):
            value = Several(list, value)
        elif isinstance(value, dict):
            value = Several(dict, [part for item in value.items() for part in item])

        if isinstance(value, Several):
            self._several(value, depth)
        else:
            self.write(_atom(value, self._longest_text))

    def _several(self, value: Several, depth: int) -> None:
        opening, closing = _BRACKETS[value.kind]

        if not value.items and value.kind in (set, frozenset):
            opening, closing = f"{value.kind.__name__}(", ")"

        self.write(opening)

        if depth >= DEEPEST and value.items:
            self.write(CUT)
        else:
            self._items(value, depth)

        self.write(",)" if value.kind is tuple and len(value.items) == 1 and value.is_whole else closing)

    def _items(self, value: Several, depth: int) -> None:
        for at, item in enumerate(value.items):
            is_value = value.kind is dict and at % 2

            if at:
                self.write(": " if is_value else ", ")

            self.value(item, depth + 1)

        if not value.is_whole:
            self._separate(bool(value.items))
            self.write(CUT)

    def write(self, text: str) -> None:
        if len(text) > self._left:
            self.parts += [text[: self._left], CUT]
            raise _Full

        self._left -= len(text)
        self.parts.append(text)

    def _separate(self, begun: bool) -> None:
        if begun:
            self.write(", ")


def _atom(value: object, longest: int) -> str:
    """A single value."""
    if isinstance(value, Opaque):
        return f"<{value.name[:LONGEST_TEXT]}>"

    if isinstance(value, int) and value.bit_length() > _MAX_BITS:
        return f"<int of {value.bit_length()} bits>"

    if isinstance(value, str | bytes | bytearray) and len(value) > longest:
        return f"{value[:longest]!r}{CUT}"

    return repr(value)


def _printable(text: str) -> str:
    """Escapes in the place of what a terminal would obey or not show."""
    return text if text.isprintable() else "".join(_escaped(text))


def _escaped(text: str) -> Iterable[str]:
    for each in text:
        yield each if each.isprintable() else each.encode("unicode-escape").decode()
