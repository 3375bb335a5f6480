"""Schemas: the types of a worker's tasks, which it tells with its description so that others can call them."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Iterable
from typing import Any

from aioq.client.bound_task import BoundTask
from aioq.client.task import Task
from aioq.values.errors import InvalidInput, WorkerError
from aioq.values.serializer import TYPED

log = logging.getLogger("aioq.worker")

#: The most bytes that a worker tells of its tasks' types. All of its descriptions are in the server's memory.
MAX_BYTES = 65_536


def schemas_of(modules: Iterable[str], *, all_typed: bool = False) -> str:
    """The JSON schemas of the typed tasks in modules that are imported, as JSON, by their names; "" for none.

    Args:
        modules: their names.
        all_typed: count each task as typed, and not only those of queues with the serializer "typed".

    Raises:
        WorkerError: the types of a task cannot be used. The text names the task and the parameter.

    """
    values = [each for module in modules for each in vars(sys.modules[module]).values()]
    tasks = [each for each in values if isinstance(each, Task) and (all_typed or _is_typed(each))]

    if not tasks:
        return ""

    from aioq.values.typed import typed_function  # noqa: PLC0415 - few workers need it

    try:
        return _packed({each.name: typed_function(each.function, each.name).schema() for each in tasks})
    except InvalidInput as error:
        raise WorkerError(str(error)) from error


def _is_typed(task: Task[..., Any]) -> bool:
    return isinstance(task, BoundTask) and task.serializer is TYPED


def _packed(found: dict[str, dict[str, Any]]) -> str:
    """The schemas that there is room for, in the order of the names."""
    told: list[str] = []
    size, left = 2, 0

    for name, schema in sorted(found.items()):
        text = f"{json.dumps(name)}:{json.dumps(schema, separators=(',', ':'), default=str)}"
        size += len(text) + 1  # ASCII, so these are bytes

        if size > MAX_BYTES:
            size -= len(text) + 1
            left += 1
        else:
            told.append(text)

    if left:
        log.warning("the types of %d tasks are not told to others: there is room for %d bytes", left, MAX_BYTES)

    return f"{{{','.join(told)}}}"
