"""Secrets of webhooks, and the signature of a request: HMAC-SHA256, as the Standard Webhooks specification has it.

https://github.com/standard-webhooks/standard-webhooks/blob/main/spec/standard-webhooks.md
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from aioq.values.errors import InvalidInput, InvalidType

#: What a secret begins with; the key follows in base64.
PREFIX = "whsec_"

#: What the names of the variables begin with that hold a secret each: AIOQ_WEBHOOK_SECRET_BILLING is "billing".
VARIABLE = "AIOQ_WEBHOOK_SECRET_"

#: How many bytes a key has.
_SHORTEST, _LONGEST = 24, 64

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")

_MAKE = (
    "python -c 'import base64, secrets; print(\"whsec_\" + base64.b64encode(secrets.token_bytes(32)).decode())'"
)

#: The keys by the names of the secrets. Each of them signs: so a receiver may change its secret at any time.
Keys = Mapping[str, tuple[bytes, ...]]


def read_secrets(given: Mapping[str, str | Sequence[str]] | None, environment: Mapping[str, str]) -> Keys:
    """The keys of all secrets that a worker has.

    Args:
        given: secrets by name, as a user gives them: one each, or several, as a list or as a text with commas.
        environment: the variables that may have further ones. What was given goes before.

    Raises:
        InvalidType: something is of another type.
        InvalidInput: a name or a secret cannot be used. The text does not show a secret.

    """
    if given is not None and not isinstance(given, Mapping):
        raise InvalidType(f"webhook_secrets: expected a dict of secrets by name, not {type(given).__name__}")

    found: dict[str, tuple[str | Sequence[str], str]] = {
        variable.removeprefix(VARIABLE).lower(): (value, variable)
        for variable, value in environment.items()
        if variable.startswith(VARIABLE)
    }
    found |= {name: (value, f"webhook_secrets[{name!r}]") for name, value in (given or {}).items()}

    return {_check_name(name, where): _keys(value, where) for name, (value, where) in found.items()}


def signature(keys: Sequence[bytes], message_id: str, timestamp: int, body: bytes) -> str:
    """What stands in the header `webhook-signature`: a signature with each key, with a space between them.

    Args:
        keys: the keys.
        message_id: what stands in `webhook-id`.
        timestamp: what stands in `webhook-timestamp`: seconds since 1970.
        body: of the request.

    """
    content = b"%s.%d.%s" % (message_id.encode(), timestamp, body)
    signatures = (hmac.digest(key, content, hashlib.sha256) for key in keys)

    return " ".join(f"v1,{base64.b64encode(each).decode()}" for each in signatures)


def _check_name(name: object, where: str) -> str:
    if not isinstance(name, str) or not _NAME.fullmatch(name):
        raise InvalidInput(f"{where}: expected a name of at most 64 lower-case letters, digits and _")

    return name


def _keys(value: object, where: str) -> tuple[bytes, ...]:
    texts = [each.strip() for each in value.split(",")] if isinstance(value, str) else value

    if not isinstance(texts, list | tuple) or not texts or not all(isinstance(each, str) for each in texts):
        raise InvalidType(f"{where}: expected a secret, or a list of them")

    return tuple(_key(each, where) for each in texts)


def _key(text: str, where: str) -> bytes:
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True) if text.startswith(PREFIX) else b""
    except (binascii.Error, ValueError):
        key = b""

    if not _SHORTEST <= len(key) <= _LONGEST:
        raise InvalidInput(
            f'{where}: expected "{PREFIX}" and the base64 of {_SHORTEST} to {_LONGEST} bytes. `{_MAKE}` makes one'
        )

    return key
