"""Codecs: values of an annotated type to JSON and back, by msgspec, or by pydantic where an annotation needs it.

Which of the two it is, follows from the annotation alone, so that both ends agree. Both are loaded when the first
function needs them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import PurePath
from typing import Any, Protocol, get_args

from aioq.values.annotations import UNKNOWN
from aioq.values.difference import refuse_difference
from aioq.values.errors import InvalidFunction, InvalidInput
from aioq.values.plainjson import Misfit, at_key, pack_plain

#: How many faults of one value are told.
MOST_FAULTS = 3

#: The first version of pydantic that reads fields both by their names and by their aliases.
OLDEST_PYDANTIC = "2.11"

#: How msgspec ends an error: with the place in the value.
_PLACE = re.compile(r"(?s)(.*) - at `(?:key in )?\$(.*)`")


class Codec(Protocol):
    """What turns the values of one type into JSON, and back."""

    def pack(self, value: Any) -> bytes:
        """A value that comes back as what it is. Raises Misfit: it is of another type, or would not."""

    def unpack(self, data: bytes) -> Any:
        """The value. Raises Misfit: it is not of the type, or no JSON."""

    def schema(self) -> dict[str, Any]:
        """The JSON schema of the type. One that says nothing, where nothing can be told of the type."""


def check_installed() -> None:
    """See whether types can be used here.

    Raises:
        InvalidInput: the package that this needs is not installed.

    """
    try:
        import msgspec  # noqa: F401, PLC0415 - an extra
    except ImportError as error:
        raise InvalidInput('serializer="typed" needs the package msgspec: pip install "msgspec>=0.19"') from error


def codec_of(annotation: Any) -> Codec:
    """The codec of a type.

    Raises:
        InvalidFunction: the type has no form in JSON.
        InvalidInput: a package that it needs is not installed.

    """
    if annotation in UNKNOWN:
        return Plain()

    check_installed()

    if (reason := _not_for_msgspec(annotation)) is None:
        return ByMsgspec(annotation)

    try:
        return ByPydantic(annotation)
    except ImportError:
        raise InvalidFunction(
            f'{reason}. pydantic may know it: pip install "pydantic>={OLDEST_PYDANTIC}"'
        ) from None
    except Exception as error:
        first = (str(error).splitlines() or [""])[0]

        raise InvalidFunction(f"{reason}; and pydantic: {first}") from error


class Plain:
    """Plain JSON values, where nothing is said of the type."""

    def pack(self, value: Any) -> bytes:
        return pack_plain(value)

    def unpack(self, data: bytes) -> Any:
        return json.loads(bytes(data))

    def schema(self) -> dict[str, Any]:
        return {}


class ByMsgspec:
    """Types that msgspec knows, and paths.

    Args:
        annotation: the type.

    """

    def __init__(self, annotation: Any) -> None:
        import msgspec  # noqa: PLC0415 - an extra

        self._annotation = annotation
        self._encode = msgspec.json.Encoder(enc_hook=_path_to_text).encode
        self._decode = msgspec.json.Decoder(annotation, dec_hook=_text_to_path).decode
        self._errors = (msgspec.MsgspecError, UnicodeError)

    def pack(self, value: Any) -> bytes:
        try:
            data = self._encode(value)
            back = self._decode(data)
        except self._errors as error:
            raise _misfit_of_msgspec(error) from None

        refuse_difference(value, back)

        return data

    def unpack(self, data: bytes) -> Any:
        try:
            return self._decode(data)
        except self._errors as error:
            raise _misfit_of_msgspec(error) from None

    def schema(self) -> dict[str, Any]:
        import msgspec  # noqa: PLC0415 - an extra

        return msgspec.json.schema(self._annotation, schema_hook=_schema_of_path)


class ByPydantic:
    """Types that pydantic knows.

    Args:
        annotation: the type.

    """

    def __init__(self, annotation: Any) -> None:
        from pydantic import VERSION, ConfigDict, PydanticUserError, TypeAdapter, ValidationError  # noqa: PLC0415
        from pydantic_core import PydanticSerializationError  # noqa: PLC0415 - as above

        if [int(each) for each in VERSION.split(".")[:2]] < [int(each) for each in OLDEST_PYDANTIC.split(".")]:
            raise ImportError(f"pydantic {VERSION} is older than {OLDEST_PYDANTIC}")

        # Bytes need not be UTF-8. Models have settings of their own.
        config = ConfigDict(ser_json_bytes="base64", val_json_bytes="base64")

        try:
            self._adapter: TypeAdapter[Any] = TypeAdapter(annotation, config=config)
        except PydanticUserError:
            self._adapter = TypeAdapter(annotation)

        self._invalid, self._unfit, self._no_schema = (
            ValidationError,
            PydanticSerializationError,
            PydanticUserError,
        )

    def pack(self, value: Any) -> bytes:
        try:
            data = self._adapter.dump_json(value, by_alias=False, round_trip=True, warnings=False)
        except self._unfit as error:
            raise Misfit(str(error)) from None

        refuse_difference(value, self.unpack(data))

        return data

    def unpack(self, data: bytes) -> Any:
        try:
            return self._adapter.validate_json(bytes(data), by_alias=True, by_name=True)
        except self._invalid as error:
            raise _misfit_of_pydantic(error.errors(include_url=False, include_input=False)) from None

    def schema(self) -> dict[str, Any]:
        try:
            return self._adapter.json_schema()
        except self._no_schema:  # a type with code of its own may have none
            return {}


def _not_for_msgspec(annotation: Any) -> str | None:
    """Why an annotation is not for msgspec; None if it is."""
    import msgspec  # noqa: PLC0415 - an extra

    if _is_marked(annotation):
        return f"{_named(annotation)} has marks of pydantic"

    try:
        tree = msgspec.inspect.type_info(annotation)
        msgspec.json.Decoder(annotation)
    except Exception as error:  # noqa: BLE001 - whatever it is, msgspec cannot be used
        return f"{_named(annotation)} has no form in JSON that msgspec knows: {error}"

    for kind in _unknown_classes(tree, set()):
        return f"{_named(kind)} has no form in JSON that msgspec knows"

    return None


def _is_marked(annotation: Any) -> bool:
    """Whether an annotation holds constraints that only pydantic keeps."""
    marks = getattr(annotation, "__metadata__", ())
    parts = (getattr(annotation, "__origin__", None), *get_args(annotation)) if marks else get_args(annotation)

    return any(
        type(each).__module__.partition(".")[0] in ("pydantic", "annotated_types") for each in marks
    ) or any(_is_marked(each) for each in parts if each is not None)


def _unknown_classes(node: Any, seen: set[int]) -> Iterator[type]:
    """The classes in a type that msgspec does not know, or that pydantic knows better."""
    import msgspec  # noqa: PLC0415 - an extra

    if isinstance(node, tuple):
        for each in node:
            yield from _unknown_classes(each, seen)

    if not isinstance(node, msgspec.inspect.Type | msgspec.inspect.Field) or id(node) in seen:
        return

    seen.add(id(node))

    if isinstance(kind := getattr(node, "cls", None), type) and not issubclass(kind, PurePath):
        is_custom = isinstance(node, msgspec.inspect.CustomType)

        if is_custom or hasattr(kind, "__pydantic_validator__") or hasattr(kind, "__pydantic_config__"):
            yield kind

    for name in node.__struct_fields__:
        if name != "cls":
            yield from _unknown_classes(getattr(node, name), seen)


def _path_to_text(value: Any) -> str:
    if isinstance(value, PurePath):
        return str(value)

    raise Misfit(f"JSON has no form for {_named(type(value))}")


def _text_to_path(kind: type, value: Any) -> Any:
    if not issubclass(kind, PurePath) or not isinstance(value, str):
        raise Misfit(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")

    return kind(value)


def _schema_of_path(kind: type) -> dict[str, Any]:
    if issubclass(kind, PurePath):
        return {"type": "string", "format": "path"}

    raise NotImplementedError


def _misfit_of_msgspec(error: Exception) -> Misfit:
    found = _PLACE.fullmatch(str(error))

    return Misfit(str(error)) if found is None else Misfit(found[1], found[2].removeprefix("."))


def _misfit_of_pydantic(faults: list[Any]) -> Misfit:
    """All faults in one; the path is that of the first."""
    told = [Misfit(str(each["msg"]), _path_of(each["loc"])) for each in faults]
    more = "".join(f"; {each}" for each in told[1:MOST_FAULTS])
    more += f"; and {len(told) - MOST_FAULTS} more" if len(told) > MOST_FAULTS else ""

    return Misfit(told[0].problem + more, told[0].path)


def _path_of(steps: tuple[int | str, ...]) -> str:
    path = ""

    for step in steps:
        path = at_key(path, step) if isinstance(step, str) else f"{path}[{step}]"

    return path


def _named(annotation: Any) -> str:
    if isinstance(annotation, type) and not get_args(annotation):
        return f"{annotation.__module__}.{annotation.__qualname__}".removeprefix("builtins.")

    return str(annotation)
