"""Plain JSON: values that come back from JSON as what they were, and the place of one that would not."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from math import isfinite
from typing import Any

from aioq.values.summary import type_name

#: The three parts of a call: the instance that a method is bound to (or None), and the arguments.
CallParts = tuple[object | None, tuple[Any, ...], dict[str, Any]]

_encode = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode


class Misfit(ValueError):
    """A value is not what it should be.

    Args:
        problem: what is wrong with it.
        path: where it stands in the whole, such as "doc.tags[2]"; "" for the whole.

    """

    def __init__(self, problem: str, path: str = "") -> None:
        super().__init__(f"{path}: {problem}" if path else problem)
        self.problem = problem
        self.path = path

    def below(self, place: str) -> Misfit:
        """The same, seen from a larger whole.

        Example:
            >>> str(Misfit("too long", "tags[2]").below("doc"))
            'doc.tags[2]: too long'

        """
        joint = "" if not self.path or self.path.startswith("[") else "."

        return Misfit(self.problem, f"{place}{joint}{self.path}")


def pack_json(value: object) -> bytes:
    """A value as JSON has it: a tuple comes back as a list, and a key that is no text as one."""
    return _encode(value).encode()


def pack_plain(value: object) -> bytes:
    """A value that comes back as what it was.

    Raises:
        Misfit: it would not, or has no form in JSON.

    """
    try:
        text = _encode(value)
        packed = text.encode()
    except (TypeError, ValueError):
        _refuse(value, "", ())

        raise

    if json.loads(text) != value:
        _refuse(value, "", ())

    return packed


def pack_plain_call(call: CallParts) -> bytes:
    """A call whose arguments are plain values. Raises Misfit."""
    instance, args, kwargs = call
    whole = [instance, list(args), kwargs]

    try:
        text = _encode(whole)

        if json.loads(text) == whole:
            return text.encode()
    except (TypeError, ValueError):
        pass  # what follows finds the place

    return frame(
        pack_at("the instance", pack_plain, instance),
        [pack_at(f"args[{position}]", pack_plain, value) for position, value in enumerate(args)],
        {name: pack_at(name, pack_plain, value) for name, value in kwargs.items()},
    )


def pack_at(place: str, pack: Callable[[Any], bytes], value: object) -> bytes:
    """The bytes of one part of a whole. Raises Misfit with the path from the whole."""
    try:
        return pack(value)
    except Misfit as error:
        raise error.below(place) from None


def frame(instance: bytes, args: Iterable[bytes], kwargs: Mapping[str, bytes]) -> bytes:
    """A call, of parts that are JSON already."""
    named = b",".join([_encode(name).encode() + b":" + value for name, value in kwargs.items()])

    return b"[%b,[%b],{%b}]" % (instance, b",".join(args), named)


def at_key(path: str, key: str) -> str:
    """The path of what stands under a key.

    Example:
        >>> at_key("doc", "title"), at_key("doc", "two words")
        ('doc.title', 'doc["two words"]')

    """
    if not key.isidentifier():
        return f"{path}[{json.dumps(key)}]"

    return f"{path}.{key}" if path else key


def _refuse(value: object, path: str, inside: tuple[int, ...]) -> None:
    """Raise Misfit for the first part that does not come back as what it is; return if there is none."""
    if id(value) in inside:
        raise Misfit("it contains itself", path)

    inside = (*inside, id(value))

    if isinstance(value, list):
        for position, each in enumerate(value):
            _refuse(each, f"{path}[{position}]", inside)
    elif isinstance(value, dict):
        for key, each in value.items():
            if not isinstance(key, str):
                raise Misfit(f"the key {_shown(key)} is no text, and would come back as one", path)

            _refuse(key, path, inside)
            _refuse(each, at_key(path, key), inside)
    elif problem := _problem_of(value):
        raise Misfit(problem, path)


def _problem_of(value: object) -> str:
    """Why a value that holds no others has no form in JSON, or ""."""
    if isinstance(value, str):
        has_half = any("\ud800" <= each <= "\udfff" for each in value)

        return "the text has half a surrogate pair, which has no form in UTF-8" if has_half else ""

    if isinstance(value, float):
        return "" if isfinite(value) else f"JSON has no number {value}"

    if isinstance(value, tuple):
        return "a tuple would come back as a list"

    return "" if value is None or isinstance(value, int) else f"JSON has no form for {type_name(type(value))}"


def _shown(key: object) -> str:
    try:
        return repr(key)[:60]
    except Exception:  # noqa: BLE001 - whatever its own code does
        return f"of type {type_name(type(key))}"
