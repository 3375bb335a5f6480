"""Serializers: values to bytes and back.

What is stored begins with one byte that names its serializer, so a worker, a client and a dashboard read each
other's bytes whatever their own default is. No bytes at all stand for the call without arguments.
"""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from aioq.values.errors import BadSignature, DeserializationError, InvalidInput, SerializationError
from aioq.values.signature import FIX, SIGNED


@dataclass(frozen=True, slots=True)
class Serializer:
    """One way to turn values into bytes.

    Args:
        name: how it is chosen: `Queue(serializer="json")`.
        tag: the byte that marks what it wrote.
        encode: value to bytes.
        decode: bytes to value.

    """

    name: str
    tag: bytes
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]

    def dumps(self, value: object, what: str) -> bytes:
        """Bytes that `loads` turns back into `value`.

        Raises:
            SerializationError: the value cannot be serialised; `what` says in the text which value it was.

        """
        try:
            return self.tag + self.encode(value)
        except RecursionError:
            raise SerializationError(
                f"{what} cannot be serialised as {self.name}: it is nested too deep"
            ) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Whatever a value's __reduce__ or __str__ raises, SystemExit too, is the value's fault.
            raise SerializationError(
                f"{what} cannot be serialised as {self.name}: {type(error).__name__}: {_text(error)}"
            ) from error


def _pickle(value: object) -> bytes:
    return pickle.dumps(value, 5)


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False).encode()


PICKLE = Serializer("pickle", b"p", _pickle, pickle.loads)
JSON = Serializer("json", b"j", _json, json.loads)
SERIALIZERS = {serializer.name: serializer for serializer in (PICKLE, JSON)}
_BY_TAG = {serializer.tag: serializer for serializer in SERIALIZERS.values()}


def find_serializer(name: str | Serializer) -> Serializer:
    """The serializer with this name, or one that was found by its name before.

    Raises:
        InvalidInput: there is none. One that readers do not know by its tag could be written, and not be read.

    """
    found = SERIALIZERS.get(name) if isinstance(name, str) else name

    if not isinstance(found, Serializer) or SERIALIZERS.get(found.name) is not found:
        shown = f"{found.name!r}, which no worker can read" if isinstance(found, Serializer) else repr(name)

        raise InvalidInput(f"serializer={shown}: expected one of {', '.join(sorted(SERIALIZERS))}")

    return found


def written_by(data: bytes, what: str = "it") -> Serializer:
    """The serializer that wrote `data`; pickle for no data. `what` says in the error what it is.

    Raises:
        DeserializationError: the first byte names none; a BadSignature, if it says that the data is signed.

    """
    if not data:
        return PICKLE

    serializer = _BY_TAG.get(data[:1])

    if serializer is None:
        if data[:1] == SIGNED:
            raise BadSignature(f"{what}: signed, and no secret is set here, so it was not read. {FIX}")

        raise DeserializationError(f"unknown serializer tag {data[:1]!r}; expected one of {sorted(_BY_TAG)}")

    return serializer


def loads(data: bytes, what: str) -> Any:
    """The value behind bytes that a serializer wrote.

    Raises:
        DeserializationError: the bytes are damaged, or need code that is not here.

    """
    serializer = _BY_TAG.get(data[:1]) or written_by(data, what)

    try:
        return serializer.decode(data[1:])
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # Bytes may bring code of their own: a reader that lists jobs must survive its sys.exit().
        raise DeserializationError(
            f"{what} cannot be read as {serializer.name}: {type(error).__name__}: {_text(error)}"
        ) from error


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except BaseException:  # noqa: BLE001 - an exception whose __str__ raises must still be reported
        return "(its text cannot be printed)"
