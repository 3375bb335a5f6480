"""Difference: where a value that came back from its stored form is another one than was given."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import count
from typing import Any

from aioq.values.plainjson import Misfit, at_key
from aioq.values.summary import type_name

#: Values inside of values that are looked at.
DEEPEST = 200


def refuse_difference(given: Any, back: Any) -> None:
    """Refuse a value that would not come back as what it is.

    Values are the same if they are equal. If their class does not say what is equal, their fields must be.

    Raises:
        Misfit: it names the path of the first part that differs.

    """
    _compare(given, back, "", DEEPEST)


def _compare(given: Any, back: Any, path: str, depth: int) -> None:
    if _equal(given, back):
        return

    if isinstance(given, datetime) and isinstance(back, datetime) and _same_moment(given, back):
        return

    if not depth:
        raise Misfit("it is nested too deep", path)

    if type(given) is not type(back):
        raise Misfit(f"{_named(given)} would come back as {_named(back)}", path)

    if isinstance(given, Mapping):
        _compare_keys(given, back, path, depth)
    elif isinstance(given, list | tuple):
        _compare_items(given, back, path, depth)
    elif (fields := _fields(given)) is not None and _has_no_eq(type(given)):
        others = _fields(back) or {}

        for name, value in fields.items():
            if name not in others:
                raise Misfit("it would not come back", at_key(path, name))

            _compare(value, others[name], at_key(path, name), depth - 1)
    else:
        _tell_of_part(given, back, path, depth)


def _compare_keys(given: Mapping[Any, Any], back: Mapping[Any, Any], path: str, depth: int) -> None:
    for key, value in given.items():
        here = at_key(path, key) if isinstance(key, str) else f"{path}[{key!r}]"

        if key not in back:
            raise Misfit("it would not come back", here)

        _compare(value, back[key], here, depth - 1)


def _compare_items(given: Any, back: Any, path: str, depth: int) -> None:
    if len(given) != len(back):
        raise Misfit(f"{len(given)} items would come back as {len(back)}", path)

    for position, one, other in zip(count(), given, back, strict=False):
        _compare(one, other, f"{path}[{position}]", depth - 1)


def _tell_of_part(given: Any, back: Any, path: str, depth: int) -> None:
    """Raise for two objects whose class says that they differ; with the path of a field, if one can be named."""
    fields, others = _fields(given) or {}, _fields(back) or {}

    for name, value in fields.items():
        _compare(value, others.get(name), at_key(path, name), depth - 1)

    raise Misfit(f"it would come back as another {type_name(type(given))}", path)


def _fields(value: Any) -> dict[str, Any] | None:
    """What an object is made of; None if that is not known."""
    names = getattr(type(value), "__struct_fields__", None)  # of msgspec
    names = names or [name for kind in type(value).__mro__ for name in _slots(kind)]
    fields = {name: getattr(value, name) for name in names if not name.startswith("__") and hasattr(value, name)}

    return fields | getattr(value, "__dict__", {}) if fields or hasattr(value, "__dict__") else None


def _has_no_eq(kind: Any) -> bool:
    """Whether two instances of a class are equal only if they are one."""
    return kind.__eq__ is object.__eq__


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())

    return (slots,) if isinstance(slots, str) else tuple(slots)


def _same_moment(given: datetime, back: datetime) -> bool:
    """Whether both are one moment. In an hour that a change of the clocks repeats, they do not count as equal."""
    if given.tzinfo is None or back.tzinfo is None:
        return False

    return given.astimezone(UTC) == back.astimezone(UTC)


def _equal(given: Any, back: Any) -> bool:
    try:
        return bool(given == back)
    except Exception:  # noqa: BLE001 - whatever its own code does, such as an array that is no truth value
        return False


def _named(value: object) -> str:
    return type_name(type(value))
