"""Failure: what went wrong in a run, as it is stored in the field `error` and in the history.

It is one value: a line of JSON for programs, and after it the traceback for people. So whatever carries an error
carries all of it, and no script knows its parts. `lua/lib/failure.lua` writes the failures that the scripts find.
"""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass

from aioq.values.summary import MAX_TYPE, first_line

_encode = json.JSONEncoder(separators=(",", ":")).encode
_TRACEBACK = "Traceback (most recent call last):"


@dataclass(frozen=True, slots=True)
class Failure:
    """What went wrong in a run.

    Args:
        text: the traceback.
        type: the dotted name of the exception's class, as `type_name` makes it; None if it is not known.
        message: the first line of its message.
        origin: what the exception is made of, as `values/cause.py` packs it; signed if the queue signs; b"" if it
            is not kept.
        fingerprint: what tells it from other failures, see `values/fingerprint.py`; "" if nobody has made one.

    """

    text: str
    type: str | None = None
    message: str = ""
    origin: bytes = b""
    fingerprint: str = ""

    @property
    def line(self) -> str:
        """Type and message as one line; it may hold control characters."""
        return ": ".join(filter(None, (self.type, self.message)))

    def pack(self) -> str:
        """The failure as it is stored."""
        head: dict[str, str | None] = {"type": self.type, "message": self.message}

        if self.origin:
            head["origin"] = base64.b64encode(self.origin).decode()

        if self.fingerprint:  # first, since the scripts look for it there
            head = {"fingerprint": self.fingerprint, **head}

        return f"{_encode(head)}\n{self.text}"


def unpack_failure(packed: str) -> Failure:
    """The failure that was stored. Of bytes that are none, all is text."""
    head, _, text = packed.partition("\n")

    if head.startswith("{"):
        try:
            found = json.loads(head)
            kind, message = found["type"], found["message"]
            origin = base64.b64decode(found.get("origin", ""), validate=True)

            told = found.get("fingerprint", "")

            if isinstance(kind, str | None) and isinstance(message, str) and isinstance(told, str):
                return Failure(text, kind and first_line(kind, MAX_TYPE), first_line(message), origin, told[:12])
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            pass

    return Failure(packed, None, _message_of(packed))


def _message_of(text: str) -> str:
    """The line that tells of the exception, in a traceback that stands alone: the first one after the frames."""
    lines = text.rpartition(_TRACEBACK)[2].splitlines()

    return first_line("\n".join(line for line in lines if not line.startswith((" ", "\t"))))
