"""Serializers: values to bytes and back.

What is stored begins with one byte that names its serializer, so a worker, a client and a dashboard read each
other's bytes whatever their own default is. No bytes at all stand for the call without arguments.

One byte stands for all serializers of users. The name of theirs follows, and a colon: each process knows those
that it was given.
"""

from __future__ import annotations

import json
import pickle
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from aioq.values.errors import BadSignature, DeserializationError, InvalidInput, SerializationError
from aioq.values.plainjson import CallParts, Misfit, pack_json, pack_plain, pack_plain_call
from aioq.values.resolving import load_spec
from aioq.values.signature import FIX, SIGNED

#: What the bytes of a user's serializer begin with.
OWN = b"o"

_NAME = re.compile(r"[A-Za-z0-9_.+-]{1,64}")


@runtime_checkable
class OwnSerializer(Protocol):
    """A serializer of a user's own: `Queue(serializer=...)` takes an object like this.

    Everyone who reads what it wrote needs one with the same name. Its methods are called on the event loop, and
    those for jobs in processes there.

    Example:
        >>> class Cbor:
        ...     name = "cbor"
        ...     def dumps(self, value): return cbor2.dumps(value)
        ...     def loads(self, data): return cbor2.loads(data)

    """

    @property
    def name(self) -> str:
        """What is stored to tell who wrote it: letters, digits and _ . + -, at most 64."""

    def dumps(self, value: Any, /) -> bytes:
        """The bytes of a value. For a call that is a tuple of an instance or None, a tuple and a dict."""

    def loads(self, data: bytes, /) -> Any:
        """The value behind the bytes; for a call it may have lists in the place of tuples."""


@dataclass(frozen=True, slots=True)
class Serializer:
    """One way to turn values into bytes.

    Args:
        name: how it is chosen: `Queue(serializer="json")`.
        tag: what marks what it wrote.
        encode: value to bytes.
        decode: what stands behind the first byte to a value.
        call_packer: for a function, its name and the instance that it is bound to, what turns a call into bytes;
            None: as any other value.
        result_packer: for the name of a function, what turns its result into bytes; None: as any other value.
        own: the object of the user, if it is one of theirs.

    """

    name: str
    tag: bytes
    encode: Callable[[Any], bytes]
    decode: Callable[[bytes], Any]
    call_packer: Callable[[Any, str, object], Callable[[CallParts], bytes]] | None = None
    result_packer: Callable[[str], Callable[[Any], bytes]] | None = None
    own: OwnSerializer | None = None

    def dumps(
        self, value: Any, what: str | Callable[[], str], encode: Callable[[Any], bytes] | None = None
    ) -> bytes:
        """Bytes that `loads` turns back into `value`.

        Args:
            value: the value.
            what: says in the error which value it was; a function is called then.
            encode: what turns it into bytes in the place of the usual.

        Raises:
            SerializationError: the value cannot be serialised.

        """
        try:
            return self.tag + (encode or self.encode)(value)
        except RecursionError:
            raise self._refusal(what, "it is nested too deep") from None
        except Misfit as error:
            raise self._refusal(what, str(error)) from None
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            # Whatever a value's __reduce__ or __str__ raises, SystemExit too, is the value's fault.
            raise self._refusal(what, f"{type(error).__name__}: {_text(error)}") from error

    def _refusal(self, what: str | Callable[[], str], reason: str) -> SerializationError:
        named = what if isinstance(what, str) else what()

        return SerializationError(f"{named} cannot be serialised as {self.name}: {reason}")


_NONE = pickle.dumps(None, 5)


def _pickle(value: object) -> bytes:
    return _NONE if value is None else pickle.dumps(value, 5)  # None is what most functions return


PICKLE = Serializer("pickle", b"p", _pickle, pickle.loads)

#: A result is what the job has done, so it is kept as JSON has it, and not refused.
JSON = Serializer(
    "json", b"j", pack_plain, json.loads, lambda *_: pack_plain_call, result_packer=lambda _: pack_json
)


def _typed_calls(func: Any, name: str, instance: object) -> Callable[[CallParts], bytes]:
    from aioq.values.typed import call_packer  # noqa: PLC0415 - few programs need it

    return call_packer(func, name, instance)


def _typed_results(name: str) -> Callable[[Any], bytes]:
    from aioq.values.typed import result_packer  # noqa: PLC0415 - as above

    return result_packer(name)


#: Values that belong to no parameter, such as meta, are plain JSON.
TYPED = Serializer("typed", b"t", pack_plain, json.loads, _typed_calls, _typed_results)

SERIALIZERS = {serializer.name: serializer for serializer in (PICKLE, JSON, TYPED)}
_BY_TAG = {serializer.tag: serializer for serializer in SERIALIZERS.values()}

#: Those of users that this process was given, by their names.
_own: dict[str, Serializer] = {}


def find_serializer(given: str | Serializer | OwnSerializer) -> Serializer:
    """The serializer with a name, or at a place such as "shop.codec:Codec", or an object of the user.

    One of the user's own is known in this process from now on.

    Raises:
        InvalidInput: there is none, it cannot be used, or what it needs is not installed.

    """
    if isinstance(given, str) and ":" not in given:
        found = SERIALIZERS.get(given)
    else:
        found = given if isinstance(given, Serializer) else _own_serializer(given)

    if not isinstance(found, Serializer) or not (SERIALIZERS.get(found.name) is found or found.own):
        shown = f"{found.name!r}, which no worker can read" if isinstance(found, Serializer) else repr(given)

        raise InvalidInput(
            f"serializer={shown}: expected one of {', '.join(sorted(SERIALIZERS))}, or one of your own: an object"
            ' with name, dumps and loads, or its place, such as "shop.codec:Codec"'
        )

    if found is TYPED:
        from aioq.values.codecs import check_installed  # noqa: PLC0415 - as above

        check_installed()

    return found


def own_serializers() -> bytes:
    """Those of users that this process knows, for a process of its own; b"" if there are none.

    Raises:
        SerializationError: one cannot be pickled.

    """
    if not _own:
        return b""

    return PICKLE.dumps([each.own for each in _own.values()], "a serializer of your own")


def know_own_serializers(packed: bytes) -> None:
    """Know those that another process has packed.

    Raises:
        DeserializationError: they cannot be loaded here.

    """
    if packed:
        for each in loads(packed, "a serializer of your own"):
            _own_serializer(each)


def _own_serializer(given: Any) -> Serializer | None:
    """The serializer that a user gave, and is known from now on; None if it is none."""
    own = load_spec(given, "serializer") if isinstance(given, str) else given

    if isinstance(own, type):
        try:
            own = own()
        except Exception as error:
            raise InvalidInput(f"serializer={given!r}: it cannot be made: {_text(error)}") from error

    if not isinstance(own, OwnSerializer):
        return None

    name = own.name

    if not isinstance(name, str) or not _NAME.fullmatch(name) or name in SERIALIZERS:
        raise InvalidInput(
            f"serializer={given!r}: its name is {name!r}; expected letters, digits and _ . + -, at most 64, and"
            f" none of {', '.join(sorted(SERIALIZERS))}"
        )

    known = _own.get(name)

    if known is not None and type(known.own) is not type(own):
        raise InvalidInput(
            f"serializer={given!r}: another one has the name {name!r} already, a {type(known.own).__qualname__};"
            " nobody could tell what is stored of them apart"
        )

    if known is None or known.own is not own:
        tag = OWN + name.encode() + b":"
        _own[name] = Serializer(
            name, tag, _checked(own.dumps), lambda data: own.loads(data[len(tag) - 1 :]), own=own
        )

    return _own[name]


def _checked(dumps: Callable[[Any], object]) -> Callable[[Any], bytes]:
    def encode(value: Any) -> bytes:
        data = dumps(value)

        if not isinstance(data, bytes):
            raise Misfit(f"its dumps has returned no bytes, but {type(data).__name__}")

        return data

    return encode


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

        if data[:1] == OWN:
            return _written_by_own(data, what)

        raise DeserializationError(f"unknown serializer tag {data[:1]!r}; expected one of {sorted(_BY_TAG)}")

    return serializer


def _written_by_own(data: bytes, what: str) -> Serializer:
    name, colon, _ = data[len(OWN) : 80].partition(b":")

    if (found := _own.get(name.decode(errors="replace"))) is not None and colon:
        return found

    raise DeserializationError(
        f"{what} was written by the serializer {name.decode(errors='replace')!r}, which is not known here: give it"
        " with Worker(serializers=…), `aioq worker --serializer` or Queue(serializer=…)"
    )


def loads(data: bytes, what: str, decode: Callable[[bytes], Any] | None = None) -> Any:
    """The value behind bytes that a serializer wrote.

    Args:
        data: the bytes.
        what: says in the error what they are.
        decode: what reads them in the place of the usual, without the first byte.

    Raises:
        DeserializationError: the bytes are damaged, or need code that is not here.

    """
    serializer = _BY_TAG.get(data[:1]) or written_by(data, what)

    try:
        return (decode or serializer.decode)(data[1:])
    except Misfit as error:
        raise DeserializationError(f"{what} cannot be read as {serializer.name}: {error}") from None
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
