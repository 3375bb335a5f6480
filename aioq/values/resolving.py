"""Resolving: a dotted name to the callable behind it, as a worker finds it."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import lru_cache
from types import FrameType
from typing import Any

from aioq.values.errors import DeserializationError, InvalidInput


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

        module = owner = target

        for part in parts[cut:]:
            owner, target = target, getattr(target, part, None)

        if not callable(target):
            is_module = cut < len(parts) - 1 and hasattr(module, "__path__") and not hasattr(module, parts[cut])

            raise _not_found(
                f"{module_name} has no function {'.'.join(parts[cut:])!r}: was it renamed or removed?",
                f"{module_name}.{parts[cut]}" if is_module else "",
                module_name,
            )

        return owner, carried_out(target)

    raise _not_found(
        f"no module of {name!r} can be imported by this worker: start it in the folder of the application, or name"
        " that folder with `aioq worker --path`",
        parts[0],
    )


def split_spec(spec: str, option: str) -> tuple[str, str]:
    """The module and the name in it, out of a text such as "shop.worker:lifespan" or "shop.worker.lifespan".

    Raises:
        InvalidInput: it is no such text.

    """
    module, _, name = spec.partition(":") if ":" in spec else spec.rpartition(".")

    if not all(part.isidentifier() for part in [*module.split("."), *name.split(".")]):
        raise InvalidInput(
            f'{option}={spec!r}: expected a module and a name in it, such as "shop.worker:lifespan"'
        )

    return module, name


def load_spec(spec: str, option: str) -> Any:
    """What a module has under a name, such as "shop.codec:Codec". The module is imported.

    Raises:
        InvalidInput: it is no such name, the module cannot be imported, or it has nothing of that name.

    """
    module, path = split_spec(spec, option)

    try:
        found: Any = importlib.import_module(module)

        for part in path.split("."):
            found = getattr(found, part)
    except Exception as error:
        raise InvalidInput(f"{option}={spec!r} cannot be loaded: {type(error).__name__}: {error}") from error

    return found


def module_of(name: str) -> tuple[str, Any, list[str]]:
    """The module of a dotted name that is imported already, with its name, and the parts behind that name."""
    parts = name.split(".")

    for cut in range(len(parts) - 1, 0, -1):
        if (module := sys.modules.get(".".join(parts[:cut]))) is not None:
            return ".".join(parts[:cut]), module, parts[cut:]

    return "", None, parts


def is_imported(name: str) -> bool:
    """Whether the callable behind a dotted name can be had without an import, and without waiting for one.

    A module that another thread imports at this moment is there already, but an import of it would wait.
    """
    _, module, rest = module_of(name)

    if module is None or rest[0] not in getattr(module, "__dict__", {}):
        return False

    return not getattr(getattr(module, "__spec__", None), "_initializing", False) or _is_run_here(module)


def _is_run_here(module: Any) -> bool:
    """Whether this very thread is in the code of a module: a script that starts a worker while it is imported."""
    frame: FrameType | None = sys._getframe()  # noqa: SLF001 - the only way to it

    while frame is not None and frame.f_globals is not vars(module):
        frame = frame.f_back

    return frame is not None


def _not_found(text: str, missing: str, lacking: str = "") -> DeserializationError:
    error = DeserializationError(text)
    error.missing, error.lacking = missing, lacking

    return error


def carried_out(target: Any) -> Any:
    """What a worker runs for what stands at a name: of a task the function, of all else the object itself.

    The class is asked, because a decorator above a task copies what the task itself has.
    """
    return target.__aioq_function__ if hasattr(type(target), "__aioq_function__") else target
