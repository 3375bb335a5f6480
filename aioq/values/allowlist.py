"""Allowlist: the functions that a worker may run, as patterns of their dotted names.

A name must be covered before anything is imported for it, and what is found under it must be covered by its own
name: else `shop.tasks.*` would let `shop.tasks.os.system` run, because that module imports os.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from fnmatch import fnmatchcase
from functools import lru_cache
from inspect import isclass, isfunction, ismethod
from typing import Any

from aioq.values.errors import FunctionNotAllowed, InvalidInput, InvalidType
from aioq.values.resolving import locate

_PATTERN = re.compile(r"[\w.*?\[\]!-]+")


class Allowlist:
    """Covers the functions whose names match one of the patterns.

    Args:
        patterns: dotted names; in them * stands for any characters, dots too, ? for one, [ab] for one of these.

    Example:
        >>> Allowlist(["shop.tasks.*"]).resolve("os.system")
        Traceback (most recent call last):
        ...
        aioq.errors.FunctionNotAllowed: os.system is not covered by --allow shop.tasks.*; it was not loaded.
        Start the worker with a pattern that covers it, and requeue the job

    """

    def __init__(self, patterns: Sequence[str]) -> None:
        self.patterns: tuple[str, ...] = tuple(patterns)
        self._resolve = lru_cache(maxsize=4096)(self._find)

    def resolve(self, name: str) -> Callable[..., Any]:
        """The function with this name, as `resolving.resolve`, if it is covered.

        Raises:
            FunctionNotAllowed: the name is not covered, and nothing was imported; or what it leads to is not.
            DeserializationError: there is no such function.

        """
        return self._resolve(name)

    def _find(self, name: str) -> Callable[..., Any]:
        if not self.covers(name):
            raise FunctionNotAllowed(
                f"{name} is not covered by --allow {' '.join(self.patterns)}; it was not loaded."
                " Start the worker with a pattern that covers it, and requeue the job"
            )

        owner, target = locate(name)
        own = _own_name(target)

        if not self.covers(own) and not (isclass(owner) and self.covers(_own_name(owner)) and _is_method(target)):
            raise FunctionNotAllowed(
                f"{name} is {own}, and that is not covered by --allow {' '.join(self.patterns)}."
                " Start the worker with a pattern that covers it, too, and requeue the job"
            )

        return target

    def covers(self, name: str) -> bool:
        """Whether a pattern covers this name. What stands under it must be covered by its own name, too."""
        return any(fnmatchcase(name, pattern) for pattern in self.patterns)

    def __repr__(self) -> str:
        return f"<Allowlist {' '.join(self.patterns)}>"


def read_allow(allow: str | Sequence[str] | None, environment: str | None = None) -> Allowlist | None:
    """The patterns that a user gave, else those in the environment; None if every function may be run.

    Args:
        allow: one pattern or several, as a text with commas or as a list.
        environment: the same as a text, from AIOQ_ALLOW; None if that is not set.

    Raises:
        InvalidType: a pattern is not a str.
        InvalidInput: there is none, or one is not a pattern of dotted names, or AIOQ_ALLOW is empty.

    """
    if allow is None:
        if environment is None:
            return None

        if not environment.strip():  # of a variable that is not set, say; it would mean that all may be run
            raise InvalidInput("AIOQ_ALLOW is set and empty: unset it, or give it a value")

        allow = environment

    given = [allow] if isinstance(allow, str) else list(allow)

    for each in given:
        if not isinstance(each, str):
            raise InvalidType(f"allow: expected a str, not {type(each).__name__}")

    patterns = [part.strip() for each in given for part in each.split(",")]

    for pattern in patterns or [""]:
        if not _PATTERN.fullmatch(pattern):
            raise InvalidInput(f'allow: {pattern!r} is not a pattern of functions such as "shop.tasks.*"')

    return Allowlist(patterns)


def _own_name(target: Any) -> str:
    """The name under which something was defined; of an object without one, that of its type."""
    module, name = getattr(target, "__module__", None), getattr(target, "__qualname__", None)

    if isinstance(module, str) and isinstance(name, str):
        return f"{module}.{name}"

    return f"{type(target).__module__}.{type(target).__qualname__}"


def _is_method(target: Any) -> bool:
    """Whether it is written in Python, as methods are that a class has inherited."""
    return isfunction(target) or ismethod(target)
