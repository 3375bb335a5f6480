"""The rows of the options that are named after a kind of callback."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from aioq.values.callback import Callback, read_callback
from aioq.values.option import Flag, Option, Word

#: What such an option takes.
CallbackOption: TypeAlias = Callback | Callable[..., object] | str

_CALLED_WHEN = {
    "on_success": "it has finished",
    "on_failure": "it has failed",
    "on_stopped": "it was stopped",
    "on_canceled": "it was canceled",
    "on_expired": "its ttl is over",
    "on_retry": "it gets another attempt",
}


def row_of(kind: str) -> Option:
    """The row of a kind. How the callback is called is stored in a field of its own, in the job's serializer."""
    help_text = f"Call this function when {_CALLED_WHEN[kind]}."

    return Option(
        kind,
        read_callback,
        kind,
        Word("callbacks", lambda _: kind),
        flags=(Flag(kind, "FUNCTION", help_text, read_callback),),
    )
