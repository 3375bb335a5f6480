"""Callbacks of a job that is about to be enqueued: checked, and turned into what is stored."""

from __future__ import annotations

from typing import Any

from aioq.client.task import Task
from aioq.values.callback import Callback, Definition
from aioq.values.callback_form import form_of
from aioq.values.errors import InvalidFunction
from aioq.values.reference import refer
from aioq.values.serializer import JSON, PICKLE, TYPED, Serializer


def described(callback: Callback, kind: str, serializer: Serializer) -> Definition:
    """How a callback is called, as the job keeps it.

    Args:
        callback: the callback.
        kind: of the callback: the name of the option.
        serializer: that of the job.

    Raises:
        InvalidFunction: no worker could import it, or it does not take what a callback is called with.
        SerializationError: one of its own arguments cannot be serialised.

    """
    func: Any = callback.func
    args, kwargs = tuple(callback.args), dict(callback.kwargs or {})

    try:
        reference, instance = refer(func.function if isinstance(func, Task) else func)
    except InvalidFunction as error:
        raise InvalidFunction(f"{kind}: {error}") from None

    form_of(kind, reference.name, reference.signature, args, kwargs)
    # The annotations of the function are about the whole call, and its first arguments are not known yet.
    serializer = JSON if serializer is TYPED else serializer
    data = b"" if serializer is PICKLE else serializer.tag

    if args or kwargs or instance is not None or serializer not in (PICKLE, JSON):
        pack = None if serializer.call_packer is None else serializer.call_packer(func, reference.name, instance)
        data = serializer.dumps((instance, args, kwargs), f"an argument of {kind}={reference.name}", pack)

    return Definition(reference.name.encode(), callback.opts(), data)
