"""Signatures: whether stored bytes were written by someone who knows the secret.

What is signed is bound to its place: the queue, the job, the field, the function and the options. So bytes that
are valid in one place are refused in every other one. The signature is keyed BLAKE2b (RFC 7693) of 128 bits, which
takes half the time of HMAC-SHA256; the server and its scripts never see a key.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Sequence
from typing import NoReturn

from aioq.values.errors import BadSignature, InvalidInput, InvalidType

#: What is signed begins with this byte, as what is not begins with that of its serializer; the signature follows.
SIGNED = b"s"

#: Bytes of a signature. A record's hash stays small on the server while no value is longer than 64 bytes.
LENGTH = 16

_HEAD = len(SIGNED) + LENGTH

#: The fewest characters of a secret. An attacker who reads the server can try as many as machines can hash.
SHORTEST = 16

FIX = "Give every client and worker the same secret (AIOQ_SECRET, or secret=…)"


class Keyring:
    """The keys made of some secrets: the first one signs, all of them verify.

    Args:
        secrets: texts of at least 16 characters.

    """

    __slots__ = ("_keys",)

    def __init__(self, secrets: Sequence[str]) -> None:
        self._keys = tuple(
            hashlib.blake2b(_key(each), digest_size=64, person=b"aioq secret").digest() for each in secrets
        )

    def signer(self, place: bytes) -> Signer:
        """What signs and reads at one place of the server."""
        return Signer(self._keys, place)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Keyring) and self._keys == other._keys

    def __hash__(self) -> int:
        return hash(self._keys)

    def __repr__(self) -> str:
        return f"<Keyring of {len(self._keys)}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Keyring holds secrets and is not pickled")


class Signer:
    """Signs what is stored of the jobs of one queue, and reads only what is signed.

    Args:
        keys: the first one signs, all of them verify.
        place: what the names of the jobs' keys begin with.

    """

    __slots__ = ("_hashes", "_place")

    def __init__(self, keys: Sequence[bytes], place: bytes) -> None:
        self._hashes = tuple(hashlib.blake2b(key=key, digest_size=LENGTH) for key in keys)
        self._place = place

    def sign(self, subject: tuple[bytes, bytes, bytes, bytes], data: bytes) -> bytes:
        """The data behind its signature.

        Args:
            subject: what the data belongs to: job, field, function and options.
            data: what is signed.

        """
        return SIGNED + self._signature(0, self._message(subject, data)) + data

    def open(self, subject: tuple[bytes, bytes, bytes, bytes], signed: bytes, what: str) -> bytes:
        """The data that was signed.

        Args:
            subject: what the data must belong to.
            signed: what is stored.
            what: says in the error what it is.

        Raises:
            BadSignature: it is not signed, or not with one of the keys, or not for this subject.

        """
        if signed[:1] != SIGNED:
            raise BadSignature(f"{what} is not signed, and was not read. {FIX}")

        signature, data = signed[1:_HEAD], signed[_HEAD:]
        message = self._message(subject, data)

        for at in range(len(self._hashes)):
            if hmac.compare_digest(self._signature(at, message), signature):
                return data

        raise BadSignature(
            f"{what} is signed with no secret that is known here, or was changed or moved since, and was not read."
            f" {FIX}; while secrets change, the old one stands behind the new one"
        )

    def _message(self, subject: tuple[bytes, bytes, bytes, bytes], data: bytes) -> bytes:
        """All parts as one; their lengths stand in front, so no two subjects look the same."""
        job, field, func, opts = subject

        return b"%d %d %d %d %d %s%s%s%s%s%s" % (
            len(self._place),
            len(job),
            len(field),
            len(func),
            len(opts),
            self._place,
            job,
            field,
            func,
            opts,
            data,
        )

    def _signature(self, at: int, message: bytes) -> bytes:
        keyed = self._hashes[at].copy()
        keyed.update(message)

        return keyed.digest()

    def __repr__(self) -> str:
        return f"<Signer of {self._place.decode(errors='replace')}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a Signer holds secrets and is not pickled")


Secret = str | Sequence[str] | Keyring | None


def read_secret(secret: Secret, environment: str | None = None) -> Keyring | None:
    """The keys for what a user gave, else for what stands in the environment; None if nothing is to be signed.

    Args:
        secret: one secret or several, as a text with commas or as a list. The first one signs, all of them verify.
        environment: the same as a text, from AIOQ_SECRET; None if that is not set.

    Raises:
        InvalidType: a secret is not a str.
        InvalidInput: there is none, or one is too short, or AIOQ_SECRET is empty. The text does not show it.

    """
    if secret is None:
        if environment is None:
            return None

        if not environment.strip():  # of a variable that is not set, say; it would mean that nothing is signed
            raise InvalidInput("AIOQ_SECRET is set and empty: unset it, or give it a value")

        secret = environment

    if isinstance(secret, Keyring):
        return secret

    found = [each.strip() for each in secret.split(",")] if isinstance(secret, str) else list(secret)

    if not found:
        raise InvalidInput("secret: expected at least one secret")

    for each in found:
        if not isinstance(each, str):
            raise InvalidType(f"secret: expected a str, not {type(each).__name__}")

        if len(each) < SHORTEST:
            raise InvalidInput(
                f"secret: one has {len(each)} characters; expected at least {SHORTEST}."
                " `python -c 'import secrets; print(secrets.token_hex(32))'` makes one"
            )

    return Keyring(found)


def inner(data: bytes) -> bytes:
    """What stands behind the signature of signed data, unverified."""
    return data[_HEAD:]


def _key(secret: str) -> bytes:
    return secret.encode(errors="surrogateescape")
