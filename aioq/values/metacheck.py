"""Values of meta as users give them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioq.values.errors import InvalidInput, InvalidType


def check_meta(value: object, name: str = "meta") -> Mapping[str, Any]:
    """Values of meta as given by a user.

    Raises:
        InvalidType: it is not a mapping, or a key is not a str.
        InvalidInput: a key cannot be encoded.

    """
    if not isinstance(value, Mapping):
        raise InvalidType(f"{name}={value!r}: expected a mapping, not {type(value).__name__}")

    for key in value:
        if not isinstance(key, str):
            raise InvalidType(f"{name} key {key!r}: expected a str, not {type(key).__name__}")

        try:
            key.encode()
        except UnicodeEncodeError:
            raise InvalidInput(f"{name} key {key!r}: expected text that can be encoded as UTF-8") from None

    return value
