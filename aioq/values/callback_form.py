"""What a callback is called with: aioq's form, or that of RQ."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from enum import Enum
from typing import Any

from aioq.values.errors import InvalidFunction

_POSITIONAL = inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD


class Form(Enum):
    """What stands before a callback's own arguments."""

    AIOQ = ("job", "error")
    AIOQ_SUCCESS = ("job", "result")
    RQ_SUCCESS = ("job", "connection", "result")
    RQ_FAILURE = ("job", "connection", "type", "value", "traceback")
    RQ_STOPPED = ("job", "connection")

    @property
    def shown(self) -> str:
        return f"({', '.join(self.value)})"


_RQ = {"on_success": Form.RQ_SUCCESS, "on_failure": Form.RQ_FAILURE, "on_stopped": Form.RQ_STOPPED}


def form_of(
    kind: str, name: str, signature: inspect.Signature | None, args: Sequence[Any], kwargs: Mapping[str, Any]
) -> Form:
    """How a callback is called.

    RQ's form is meant if the second parameter has the name `connection`, or if the function takes no other one.

    Args:
        kind: of the callback.
        name: of the function, for the error.
        signature: what the function takes; None if that cannot be known here.
        args: its own arguments by position.
        kwargs: its own arguments by name.

    Raises:
        InvalidFunction: it takes neither form.

    """
    own = Form.AIOQ_SUCCESS if kind == "on_success" else Form.AIOQ

    if signature is None:
        return own

    rq = _RQ.get(kind)
    params = [each.name for each in signature.parameters.values() if each.kind in _POSITIONAL]
    is_of_rq = rq is not None and len(params) > 1 and params[1] == "connection"

    for form in (None if is_of_rq else own, rq):
        if form is not None and _takes(signature, form, args, kwargs):
            return form

    also = f", nor {rq.shown} as RQ has it" if rq is not None else ""
    more = f" and its own {_shown(args, kwargs)}" if args or kwargs else ""

    raise InvalidFunction(f"{kind}: {name}{signature} does not take {own.shown}{also}{more}")


def _takes(signature: inspect.Signature, form: Form, args: Sequence[Any], kwargs: Mapping[str, Any]) -> bool:
    try:
        signature.bind(*form.value, *args, **kwargs)
    except TypeError:
        return False

    return True


def _shown(args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    by_position = [f"{len(args)} by position"] if args else []

    return ", ".join([*by_position, *kwargs])
