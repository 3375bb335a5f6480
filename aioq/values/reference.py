"""Function references: a callable to a name that a worker can import, and back."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from types import FunctionType
from typing import Any

from aioq.values.errors import DeserializationError, InvalidFunction

_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD


@dataclass(frozen=True, slots=True)
class Reference:
    """The name of a callable and what it accepts.

    Args:
        name: dotted name, such as "shop.tasks.send" or "shop.models.Order.confirm".
        signature: what it accepts without the instance; None if that cannot be known here.
        simple: from how many to how many positional arguments may be passed with no keyword argument;
            None if only the whole signature can tell.

    """

    name: str
    signature: inspect.Signature | None = None
    simple: tuple[int, int] | None = None

    def check(self, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """Refuse a call that the function would not take.

        Raises:
            InvalidFunction: it names the function and the argument.

        """
        if not kwargs and self.simple is not None and self.simple[0] <= len(args) <= self.simple[1]:
            return

        if self.signature is None:
            return

        try:
            self.signature.bind(*args, **kwargs)
        except TypeError as error:
            raise InvalidFunction(
                f"{self.name}{_shown(self.signature)} does not take this call: {error}."
                " (An unknown keyword is also what a misspelled option of enqueue looks like.)"
            ) from None


def refer(func: Any) -> tuple[Reference, object | None]:
    """The reference of a callable, and the instance it is bound to, if any.

    Raises:
        InvalidFunction: no worker could import it; the text says why and what to do.

    """
    if isinstance(func, FunctionType):
        return _function(func), None

    if isinstance(func, str):
        return _named(func), None

    if inspect.ismethod(func) or inspect.isbuiltin(func):
        owner: Any = func.__self__

        if owner is None or inspect.isclass(owner) or inspect.ismodule(owner):
            return _function(func), None

        kind: Any = type(owner)

        return _method(kind, func.__name__), owner

    kind = type(func)

    if inspect.isclass(func) or not callable(func):
        what = f"the class {func.__name__}" if inspect.isclass(func) else f"a value of type {kind.__name__}"
        raise InvalidFunction(
            f"{what} cannot be enqueued; expected a function, a bound method, a callable instance or a dotted name"
        )

    if _stands_at_its_name(func):
        return _function(func), None

    return _method(kind, "__call__"), func


@lru_cache(maxsize=4096)
def resolve(name: str) -> Callable[..., Any]:
    """The callable behind a dotted name.

    Raises:
        DeserializationError: there is no such module, or no such attribute in it.

    """
    return locate(name)[1]


def locate(name: str) -> tuple[object, Callable[..., Any]]:
    """The callable behind a dotted name, and the module or class that it was found in.

    Raises:
        DeserializationError: there is no such module, or no such attribute in it.

    """
    parts = name.split(".")

    if not all(part.isidentifier() for part in parts):
        raise DeserializationError(f"{name!r} is not a dotted name")

    for cut in range(len(parts) - 1, 0, -1):
        module_name = ".".join(parts[:cut])

        try:
            target: Any = importlib.import_module(module_name)
        except ModuleNotFoundError as error:
            if error.name is not None and (module_name == error.name or module_name.startswith(f"{error.name}.")):
                continue
            raise DeserializationError(f"importing {module_name} for {name} failed: {error}") from error

        owner = target

        for part in parts[cut:]:
            owner, target = target, getattr(target, part, None)

        if not callable(target):
            raise DeserializationError(
                f"{module_name} has no function {'.'.join(parts[cut:])!r}: was it renamed or removed?"
            )

        # A task stands in for the function that it wraps; the worker runs the function.
        return owner, getattr(target, "__aioq_function__", target)

    raise DeserializationError(
        f"no module of {name!r} can be imported by this worker; is its code on the worker's path?"
    )


def is_plain(func: Callable[..., Any]) -> bool:
    """Whether a callable is a plain function: no coroutine function and no async generator function."""
    called = func if inspect.isroutine(func) else getattr(func, "__call__", func)  # noqa: B004 - the method itself

    return not any(
        inspect.iscoroutinefunction(each) or inspect.isasyncgenfunction(each) for each in (called, func)
    )


def _named(name: str) -> Reference:
    if "." not in name or not all(part.isidentifier() for part in name.split(".")):
        raise InvalidFunction(f'{name!r} is not a dotted name such as "package.module.function"')

    return Reference(name)


def _stands_at_its_name(func: Any) -> bool:
    """Whether an object that is called like a function is one for an importer too: a cached function, say."""
    name = getattr(func, "__qualname__", None)

    return (
        isinstance(name, str)
        and isinstance(func, Hashable)
        and _reach(getattr(func, "__module__", None) or "builtins", name) is func
    )


def _reach(module: str, qualname: str) -> Any:
    target: Any = sys.modules.get(module)

    for part in qualname.split("."):
        target = getattr(target, part, None)

    return target


@lru_cache(maxsize=4096)
def _function(func: Callable[..., Any]) -> Reference:
    bare = getattr(func, "__func__", func)
    module = getattr(bare, "__module__", None) or "builtins"
    name = getattr(bare, "__qualname__", "")

    owner: Any = getattr(func, "__self__", None)

    if inspect.isclass(owner):  # a classmethod, seen from the class that it was reached through
        name, module = f"{owner.__qualname__}.{func.__name__}", owner.__module__

    return _checked(module, name, func)


@lru_cache(maxsize=4096)
def _method(owner: type, method: str) -> Reference:
    return _checked(owner.__module__, f"{owner.__qualname__}.{method}", getattr(owner, method, None), bound=True)


def _checked(module: str, qualname: str, func: Any, *, bound: bool = False) -> Reference:
    can_be_reached = callable(_reach(module, qualname))
    module = _real_module(module, qualname)

    if "<lambda>" in qualname or "<locals>" in qualname:
        kind = "a lambda" if "<lambda>" in qualname else "local to another function"
        raise InvalidFunction(
            f"{module}.{qualname} is {kind}; a worker cannot import it. Define it at the top level of a module"
        )

    if not can_be_reached:
        raise InvalidFunction(
            f"{module}.{qualname} cannot be reached by that name; a worker could not import it."
            " Define it at the top level of its module"
        )

    return Reference(f"{module}.{qualname}", *_accepts(func, bound=bound))


def _real_module(module: str, qualname: str) -> str:
    """The importable name of a module; `python -m package.module` runs it as __main__."""
    if module != "__main__":
        return module

    spec = getattr(sys.modules["__main__"], "__spec__", None)

    if spec is None:
        raise InvalidFunction(
            f"{qualname} is defined in the script that is being run (__main__); a worker cannot import it."
            " Move it to a module of its own and import it from there"
        )

    return str(spec.name)


def _accepts(func: Callable[..., Any], *, bound: bool) -> tuple[inspect.Signature | None, tuple[int, int] | None]:
    try:
        signature = inspect.signature(func)
    except (TypeError, ValueError):  # some builtins do not tell
        return None, None

    params = list(signature.parameters.values())

    if bound and params and params[0].kind in _POSITIONAL:
        params = params[1:]
        signature = signature.replace(parameters=params)

    if any(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is p.empty for p in params):
        return signature, None

    positional = [p for p in params if p.kind in _POSITIONAL]
    required = sum(p.default is p.empty for p in positional)
    most = sys.maxsize if any(p.kind is p.VAR_POSITIONAL for p in params) else len(positional)

    return signature, (required, most)


def _shown(signature: inspect.Signature) -> str:
    try:
        return str(signature)
    except Exception:  # noqa: BLE001 - a default whose __repr__ raises must not hide what was wrong
        return "(…)"
