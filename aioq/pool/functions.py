"""Functions that a pool is given for its workers, by the names under which other processes find them."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from typing import Any

from aioq.values.errors import InvalidInput
from aioq.values.resolving import split_spec


def named_functions(given: Mapping[str, object]) -> dict[str, str | list[str]]:
    """The names of functions. What was not given is left out.

    Args:
        given: functions, names, or lists of both, by the argument of a Worker that they are for.

    Raises:
        InvalidInput: one cannot be found by a name.

    """
    found: dict[str, str | list[str]] = {}

    for argument, value in given.items():
        if isinstance(value, str) or callable(value):
            found[argument] = _name_of(value, argument)
        elif isinstance(value, Iterable):
            if names := [_name_of(each, f"{argument}[{place}]") for place, each in enumerate(value)]:
                found[argument] = names
        elif value is not None:
            found[argument] = _name_of(value, argument)

    return found


def without_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """The same without what is given by name, which only the other processes will load."""
    listed = {
        argument: [each for each in value if not isinstance(each, str)]
        for argument, value in given.items()
        if isinstance(value, list | tuple)
    }

    return {argument: value for argument, value in given.items() if not isinstance(value, str)} | listed


def _name_of(function: object, argument: str) -> str:
    if isinstance(function, str):
        return ":".join(split_spec(function, argument))

    module, name = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    found: object = sys.modules.get(module)

    for part in name.split("."):
        found = getattr(found, part, None)

    if module == "__main__" or found is not function:
        raise InvalidInput(
            f"{argument}={function!r}: expected a function that other processes can import by its name, or a text"
            ' such as "shop.worker:lifespan"'
        )

    return f"{module}:{name}"
