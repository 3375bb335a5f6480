"""Parts: classes that make up one that users know. Their methods bear its name."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType
from typing import TypeVar

C = TypeVar("C", bound=type)


def part_of(owner: str) -> Callable[[C], C]:
    """Give the methods of a class the name of the class that inherits them, as texts and tracebacks show it.

    Args:
        owner: the name of the class that users know.

    """

    def name_methods(part: C) -> C:
        for name, value in vars(part).items():
            function = getattr(value, "__func__", getattr(value, "fget", value))

            while isinstance(function, FunctionType):  # with what it wraps
                function.__qualname__ = f"{owner}.{name}"
                function = vars(function).get("__wrapped__")

        return part

    return name_methods
