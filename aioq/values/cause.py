"""What an exception is made of, so that a client can build it again: its class by name, and plain arguments.

No object is stored, and nothing is unpickled. A client builds only exceptions of the classes that it lists.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from aioq.values.errors import InvalidInput, RemoteError
from aioq.values.summary import type_name

#: The most bytes that are kept of an exception's arguments. They stand beside the traceback, which is longer.
MAX_ORIGIN = 2048

_encode = json.JSONEncoder(separators=(",", ":"), allow_nan=False).encode

#: The classes that a client lists, by their names.
ExceptionClasses = Mapping[str, type[BaseException]]


def origin(error: BaseException) -> bytes:
    """What an exception is made of: its class's name and its arguments, as JSON.

    b"" if it cannot be built again from that: its arguments have more than 2 KiB, or one is not None, a bool, a
    number, a text, or a list or dict (with texts as keys) of such values.
    """
    if isinstance(error, RemoteError):
        return error.origin if len(error.origin) <= MAX_ORIGIN else b""

    try:
        made_of = [type_name(type(error)), list(error.args)]
        packed = _encode(made_of)  # in ASCII, so its characters are its bytes
        # A tuple would come back as a list, the key 1 as "1".
        is_plain = len(packed) <= MAX_ORIGIN and json.loads(packed) == made_of
    except Exception:  # noqa: BLE001 - the arguments are the job's own objects, and may raise anything
        return b""

    return packed.encode() if is_plain else b""


def rebuild(packed: bytes, classes: ExceptionClasses) -> BaseException | None:
    """The exception, if its class is listed.

    None if it is not listed, or if what its class makes of the arguments is something else: an exception of
    another class, or one with other arguments.

    Args:
        packed: what `origin` has returned.
        classes: those that may be built.

    """
    if len(packed) > MAX_ORIGIN:
        return None

    try:
        name, args = json.loads(packed)
        kind = classes[name]
        error = kind(*args)

        return error if type(error) is kind and list(error.args) == args else None
    except Exception:  # noqa: BLE001 - anybody may have written the bytes, and a class may refuse the arguments
        return None


def read_exceptions(given: Iterable[type[BaseException]]) -> ExceptionClasses:
    """The classes of a list, by name.

    Raises:
        InvalidInput: it is no list, or something else than an exception class is in it.

    """
    if isinstance(given, str | bytes | type) or not isinstance(given, Iterable):
        raise InvalidInput(f"exceptions={given!r}: expected a list of exception classes")

    listed = list(given)

    for kind in listed:
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            raise InvalidInput(f"exceptions: {kind!r} is none; expected exception classes")

    return {type_name(kind): kind for kind in listed}
