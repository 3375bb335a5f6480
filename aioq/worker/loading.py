"""Loading: what modules have under the names that users give, such as "shop.worker:lifespan"."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any

from aioq.values.errors import WorkerError
from aioq.values.resolving import split_spec
from aioq.worker.imports import import_all


def load(spec: str, option: str) -> Any:
    """What a module has under a name, such as "shop.worker:lifespan".

    Raises:
        InvalidInput: it is no such name.
        WorkerError: the module cannot be imported, or has nothing of that name.

    """
    module, path = split_spec(spec, option)
    import_all([module])
    found: Any = sys.modules[module]

    for part in path.split("."):
        try:
            found = getattr(found, part)
        except AttributeError:
            raise WorkerError(f"{option}={spec!r}: module {module} has no {path}") from None

    return found


def load_all(names: Mapping[str, str | Sequence[str]], options: Mapping[str, str]) -> dict[str, Any]:
    """What modules have under names: for each argument of a worker one, or several. Raises as `load`.

    Args:
        names: by argument.
        options: how errors name an argument, if that is not as it is.

    """
    found: dict[str, Any] = {}

    for argument, given in names.items():
        option = options.get(argument, argument)
        found[argument] = load(given, option) if isinstance(given, str) else [load(each, option) for each in given]

    return found
