"""Typed: the calls and results of a function as its annotations say. All about it is found once for a function.

What is stored is plain JSON. So it can be read without the function, and written by other programs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection
from functools import lru_cache, partial
from typing import Any

from aioq.values.annotations import annotations_of
from aioq.values.codecs import Codec, Plain, check_installed, codec_of
from aioq.values.errors import DeserializationError, InvalidFunction, InvalidInput
from aioq.values.plainjson import CallParts, Misfit, frame, pack_at, pack_plain_call
from aioq.values.resolving import resolve
from aioq.values.result_of import PLACE, Place

_PLAIN = Plain()

#: A call as it is stored: no instance, and its arguments.
_Read = Callable[[bytes], CallParts]


class TypedFunction:
    """What is known of a function whose calls are typed.

    Args:
        func: the function.
        name: its dotted name.

    Raises:
        InvalidFunction: a type cannot be resolved, or has no form in JSON. The text names the parameter.
        InvalidInput: a package that is needed is not installed.

    """

    def __init__(self, func: Callable[..., Any], name: str) -> None:
        import msgspec  # noqa: PLC0415 - an extra

        try:
            types = annotations_of(func)
            self._named = {each: _codec(kind, f"parameter {each}") for each, kind in types.named.items()}
            self._positional = [
                (each, self._named.get(each) or _codec(kind, f"parameter {each}"))
                for each, kind in types.positional.items()
            ]
            self._more = None if types.more is None else _codec(types.more, "further arguments")
            self._more_named = None if types.more_named is None else _codec(types.more_named, "further arguments")
            self._returned = _codec(types.returned, "the result")
        except InvalidFunction as error:
            raise InvalidFunction(f"{name}: {error}") from error.__cause__

        self._required = frozenset(types.positional) - types.optional | frozenset(types.named) - types.optional
        self._order = list(types.positional)
        self._raw = msgspec.json.Decoder(tuple[None, list[msgspec.Raw], dict[str, msgspec.Raw]]).decode
        self._malformed = msgspec.MsgspecError
        self.name = name

    def pack_call(self, call: CallParts) -> bytes:
        """A call as it is stored.

        Raises:
            Misfit: an argument is not of its type.

        """
        _, args, kwargs = call
        packed = []

        for position, value in enumerate(args):
            name, codec = self._at(position)

            try:
                packed.append(codec.pack(value))
            except Misfit as error:
                if value is not PLACE:
                    raise error.below(name) from None

                packed.append(b"null")

        named = {
            name: b"null" if value is PLACE else pack_at(name, self._by_name(name).pack, value)
            for name, value in kwargs.items()
        }

        return frame(b"null", packed, named)

    def read_call(self, data: bytes, places: Collection[Place] = ()) -> CallParts:
        """The call that was stored.

        Args:
            data: as `pack_call` made it.
            places: those of results of other jobs, which are not there yet.

        Raises:
            Misfit: the function does not take it.

        """
        try:
            _, args, kwargs = self._raw(data)
        except self._malformed as error:
            raise Misfit(f"they are not null, a list and an object: {error}") from None

        self._check(len(args), kwargs)
        read = list[Any]()

        for position, value in enumerate(args):
            if position in places:
                read.append(None)
                continue

            name, codec = self._at(position)

            try:
                read.append(codec.unpack(value))
            except Misfit as error:
                raise error.below(name) from None

        return (
            None,
            tuple(read),
            {name: None if name in places else self._read(name, value) for name, value in kwargs.items()},
        )

    def pack_result(self, value: Any) -> bytes:
        """What the function has returned, as it is stored. Raises Misfit: it is not of the annotated type."""
        return self._returned.pack(value)

    def read_result(self, data: bytes) -> Any:
        """What the function has returned. Raises Misfit: it is not of the annotated type."""
        return self._returned.unpack(data)

    def schema(self) -> dict[str, Any]:
        """The JSON schemas of the arguments, each by the name of its parameter, and of the result."""
        named = dict(self._positional) | self._named
        found: dict[str, Any] = {
            "arguments": {name: codec.schema() for name, codec in named.items()},
            "required": [name for name in named if name in self._required],
            "result": self._returned.schema(),
        }

        if self._more is not None:
            found["more"] = self._more.schema()

        if self._more_named is not None:
            found["more_named"] = self._more_named.schema()

        return found

    def _at(self, position: int) -> tuple[str, Codec]:
        """The name and the codec of an argument by position."""
        if position < len(self._positional):
            return self._positional[position]

        return f"args[{position}]", self._more or _PLAIN

    def _by_name(self, name: str) -> Codec:
        return self._named.get(name) or self._more_named or _PLAIN

    def _read(self, name: str, value: bytes) -> Any:
        try:
            return self._by_name(name).unpack(value)
        except Misfit as error:
            raise error.below(name) from None

    def _check(self, count: int, kwargs: dict[str, Any]) -> None:
        """Refuse arguments that the function does not take, and a call that lacks one."""
        if count > len(self._order) and self._more is None:
            raise Misfit(f"{self.name} takes {len(self._order)} arguments by position, and there are {count}")

        given = {*self._order[:count]}

        for name in kwargs:
            if name not in self._named and self._more_named is None:
                raise Misfit(f"{self.name} has no parameter of this name", name)

            if name in given and name in self._named:
                raise Misfit("it is given twice", name)

        if missing := sorted(self._required - given - kwargs.keys()):
            raise Misfit("it is missing", missing[0])


@lru_cache(maxsize=4096)
def typed_function(func: Callable[..., Any], name: str) -> TypedFunction:
    """What is known of a function. Raises as TypedFunction."""
    check_installed()

    return TypedFunction(func, name)


def call_packer(func: Any, name: str, instance: object | None) -> Callable[[CallParts], bytes]:
    """What packs the calls of a function.

    Nothing is known of the types of one that is given by its name; its arguments are plain JSON values, and the
    worker makes of them what the annotations say.

    Raises:
        InvalidInput: as TypedFunction; also if the function is bound to an instance.

    """
    if instance is not None:
        raise InvalidFunction(
            f'{name} is bound to an instance, and serializer="typed" takes functions alone: make the instance an'
            " argument of one"
        )

    return pack_plain_call if isinstance(func, str) else typed_function(func, name).pack_call


def call_reader(name: str, places: Collection[Place] = ()) -> Callable[[bytes], Any]:
    """What reads the calls of a function. Where there is no such module, they are read as plain JSON.

    Args:
        name: of the function.
        places: as for `TypedFunction.read_call`.

    Raises:
        DeserializationError: the function cannot be had here, or its types cannot.

    """
    found = _at_hand(name)

    if found is None:
        return read_plain

    return partial(found.read_call, places=places) if places else found.read_call


def result_packer(name: str) -> Callable[[Any], bytes]:
    """What packs the results of a function, where it has run. Raises as `call_reader`."""
    found = _at_hand(name)

    return _PLAIN.pack if found is None else found.pack_result


def result_reader(name: str) -> Callable[[bytes], Any]:
    """What reads the results of a function. Raises and falls back as `call_reader`."""
    found = _at_hand(name)

    return read_plain if found is None else found.read_result


def read_plain(data: bytes) -> Any:
    """What was stored, as JSON has it."""
    return json.loads(data)


def _at_hand(name: str) -> TypedFunction | None:
    """What is known of the function of this name; None if its module is not here.

    The module is imported if it must be, as unpickling a value imports the module of its class.
    """
    try:
        func = resolve(name)
    except DeserializationError as error:
        if error.missing:
            return None

        raise
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        # A module may do anything when it is imported, and a reader must survive its sys.exit().
        raise DeserializationError(f"importing the module of {name} failed: {_told(error)}") from error

    try:
        return typed_function(func, name)
    except (InvalidInput, TypeError) as error:  # a TypeError: it has no hash
        raise DeserializationError(str(error)) from None


def _told(error: BaseException) -> str:
    try:
        return f"{type(error).__name__}: {error}"
    except Exception:  # noqa: BLE001 - one whose text cannot be printed
        return type(error).__name__


def _codec(annotation: Any, what: str) -> Codec:
    try:
        return codec_of(annotation)
    except InvalidFunction as error:
        raise InvalidFunction(f"{what}: {error}") from error.__cause__
