"""Function references: a callable to a name that a worker can import."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass
from functools import lru_cache, partial
from types import FunctionType
from typing import Any, Literal

from aioq.values.depends import dependencies_of
from aioq.values.errors import InvalidFunction
from aioq.values.option_names import unknown_option
from aioq.values.options import OPTION_NAMES
from aioq.values.resolving import carried_out

Function = Callable[..., Any]

#: How a function is called: it is awaited, iterated with `async for`, or simply called; or what it depends on is
#: given to it first.
Kind = Literal["coroutine", "generator", "plain", "injected"]
COROUTINE: Kind = "coroutine"
GENERATOR: Kind = "generator"
PLAIN: Kind = "plain"
INJECTED: Kind = "injected"

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
                + "".join(f" {unknown_option(name, OPTION_NAMES)}" for name in self._not_taken(kwargs))
            ) from None

    def _not_taken(self, kwargs: Mapping[str, Any]) -> list[str]:
        """The keyword arguments that the function has no parameter for: options may have been meant."""
        params = {} if self.signature is None else self.signature.parameters
        collects = any(each.kind is each.VAR_KEYWORD for each in params.values())

        return [] if collects else [name for name in kwargs if name not in params]


def refer(func: Any) -> tuple[Reference, object | None]:
    """The reference of a callable, and the instance it is bound to, if any.

    What a worker finds under the name is the very object that was passed. An object that stands under another
    name than its own (a decorated copy, say) gets the name that it stands under.

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

        return _method(kind, getattr(func, "__func__", func.__name__)), owner

    kind = type(func)

    if inspect.isclass(func) or not callable(func):
        raise InvalidFunction(_no_function(func))

    if _stands_at_its_name(func):
        return _function(func), None

    reference = _method(kind, "__call__")

    if isinstance(func, partial):  # each takes other arguments
        reference = Reference(reference.name, *_accepts(func, bound=False))

    return reference, func


def _no_function(func: Any) -> str:
    """A text that refuses a value which no worker could call. Most such values are what a call has returned."""
    is_class = inspect.isclass(func)
    what = f"the class {func.__name__}" if is_class else f"a value of type {type(func).__name__}"
    told = f"{what} cannot be enqueued; expected a function, a bound method, a callable instance or a dotted name"

    if is_class:
        return told

    name = func.__name__ if inspect.iscoroutine(func) else "function"

    return f"{told}. Pass the function and its arguments: enqueue({name}, …)"


def kind_of(func: Function) -> Kind:
    """Whether a callable is a coroutine function, an async generator function, or a plain one."""
    called = func if inspect.isroutine(func) else getattr(func, "__call__", func)  # noqa: B004 - the method itself

    if any(map(inspect.isasyncgenfunction, (called, func))):
        return GENERATOR

    return COROUTINE if any(map(inspect.iscoroutinefunction, (called, func))) else PLAIN


def _named(name: str) -> Reference:
    if "." not in name or not all(part.isidentifier() for part in name.split(".")):
        raise InvalidFunction(f'{name!r} is not a dotted name such as "package.module.function"')

    return Reference(name)


def _is_same(found: Any, func: Any) -> bool:
    """Whether what stands at a name is what was passed. Each look at a bound method makes a new one."""
    found = carried_out(found)

    if inspect.ismethod(func) and inspect.ismethod(found):
        return found.__func__ is func.__func__ and found.__self__ is func.__self__

    if inspect.isbuiltin(func) and inspect.isbuiltin(found):
        return found.__name__ == func.__name__ and found.__self__ is func.__self__

    return found is func


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
def _method(owner: type, method: str | Callable[..., Any]) -> Reference:
    """The reference of a method, by its name or its function."""
    func: Any = getattr(owner, method, None) if isinstance(method, str) else method
    name = method if isinstance(method, str) else _name_in(owner, func)

    if not name:  # the class has another one, and this is a parent's: `super().save`
        return _checked(getattr(func, "__module__", ""), getattr(func, "__qualname__", ""), func, bound=True)

    if _reach(owner.__module__, owner.__qualname__) is not owner and "<locals>" not in owner.__qualname__:
        raise InvalidFunction(f"the class {owner.__module__}.{owner.__qualname__} {_why_not('')}")

    return _checked(owner.__module__, f"{owner.__qualname__}.{name}", func, bound=True)


def _name_in(owner: type, func: Any) -> str:
    """The name under which a class, or one that it inherits from, gives a function; "" if it does not."""
    named = getattr(func, "__name__", "")
    others = (name for kind in owner.__mro__ for name, value in vars(kind).items() if value is func)

    return next((name for name in (named, *others) if getattr(owner, name, None) is func), "")


def _checked(module: str, qualname: str, func: Any, *, bound: bool = False) -> Reference:
    found = _reach(module, qualname)

    if not _is_same(found, func) and "<lambda>" not in qualname and (name := _other_name(module, qualname, func)):
        qualname, found = name, func

    module = _real_module(module, qualname)

    if not callable(found) or "<lambda>" in qualname:
        raise InvalidFunction(f"{module}.{qualname} {_why_not(qualname)}")

    if not _is_same(found, func):
        raise InvalidFunction(
            f"at {module}.{qualname} stands another object than the one that was passed: a worker would run that"
            " one. Give the one that was passed a name of its own at the top level of its module"
        )

    return Reference(f"{module}.{qualname}", *_accepts(func, bound=bound))


def _other_name(module: str, qualname: str, func: Any) -> str:
    """Another name of an object in its module or class, or "".

    A decorator gives its result the name of the function that it wraps; the result may stand under another name.
    """
    place = qualname.rpartition(".")[0]
    place = "" if "<locals>" in place else place
    owner = _reach(module, place) if place else sys.modules.get(module)

    for name, value in list(getattr(owner, "__dict__", {}).items()):
        if value is func:
            return f"{place}.{name}" if place else str(name)

    return ""


def _why_not(qualname: str) -> str:
    """Why a worker could not import what has this name, and what to do."""
    if "<lambda>" in qualname or "<locals>" in qualname:
        is_lambda = "<lambda>" in qualname
        kind = "a lambda" if is_lambda else "local to another function"
        what = "a function with a name" if is_lambda else "it"

        return f"is {kind}; a worker cannot import it. Define {what} at the top level of a module"

    return "cannot be reached by that name; a worker could not import it. Define it at the top level of its module"


def _real_module(module: str, qualname: str) -> str:
    """The importable name of a module; `python -m package.module` runs it as __main__."""
    if module != "__main__":
        return module

    spec = getattr(sys.modules["__main__"], "__spec__", None)

    if spec is None and "<" in qualname:
        raise InvalidFunction(
            f"{qualname} {_why_not(qualname)} of its own, other than the script that is being run (__main__)"
        )

    if spec is None:
        raise InvalidFunction(
            f"{qualname} is defined in the script that is being run (__main__); a worker cannot import it."
            " Move it to a module of its own and import it from there"
        )

    return str(spec.name)


def signature_of(func: Function, *, bound: bool) -> inspect.Signature | None:
    """What a function takes; without the instance, if it is `bound` to one. None: that cannot be known here."""
    return _accepts(func, bound=bound)[0]


def _accepts(func: Callable[..., Any], *, bound: bool) -> tuple[inspect.Signature | None, tuple[int, int] | None]:
    signature = _signature(func)

    if signature is None:
        return None, None

    params = list(signature.parameters.values())

    if bound and params and params[0].kind in _POSITIONAL:
        params = params[1:]
        signature = signature.replace(parameters=params)

    if injected := {parameter.name for parameter, _ in dependencies_of(func)}:
        # The worker gives them, so that a call may leave them away, wherever they stand.
        params = [p.replace(default=None) if p.name in injected else p for p in params]

        return inspect.Signature(params, __validate_parameters__=False), None

    if any(p.kind is inspect.Parameter.KEYWORD_ONLY and p.default is p.empty for p in params):
        return signature, None

    positional = [p for p in params if p.kind in _POSITIONAL]
    required = sum(p.default is p.empty for p in positional)
    most = sys.maxsize if any(p.kind is p.VAR_POSITIONAL for p in params) else len(positional)

    return signature, (required, most)


def _signature(func: Callable[..., Any]) -> inspect.Signature | None:
    """What the called object itself takes: a decorator may pass arguments of its own to the function it wraps.

    Only an object that cannot tell, such as a cached function, takes what the wrapped one does.
    """
    try:
        return inspect.signature(func, follow_wrapped=False)
    except (TypeError, ValueError):  # some builtins do not tell
        wrapped = getattr(func, "__wrapped__", None)

        return _signature(wrapped) if callable(wrapped) else None


def _shown(signature: inspect.Signature) -> str:
    try:
        return str(signature)
    except Exception:  # noqa: BLE001 - a default whose __repr__ raises must not hide what was wrong
        return "(…)"
