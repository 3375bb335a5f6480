"""Tags: short texts by which jobs can be found."""

from __future__ import annotations

from collections.abc import Iterable

from aioq.values.errors import InvalidInput, InvalidType

#: The field of a record that holds its tags, with a comma between them.
FIELD = b"tags"

#: How many tags a job may have, and how many bytes each may have in UTF-8.
MOST = 10
MAX_BYTES = 100


def check_tags(value: object, name: str = "tags") -> tuple[str, ...]:
    """The tags of a job as users give them, each once, in their order.

    Raises:
        InvalidInput: one cannot be used, or there are too many; it is named.

    Example:
        >>> check_tags(["vip", "eu", "vip"])
        ('vip', 'eu')

    """
    if isinstance(value, str | bytes) or not isinstance(value, Iterable):
        raise InvalidType(f"{name}={value!r}: expected a list of texts, not {type(value).__name__}")

    tags = tuple(dict.fromkeys(check_tag(each, name) for each in value))

    if len(tags) > MOST:
        raise InvalidInput(f"{name}: a job may have at most {MOST} tags, and these are {len(tags)}")

    return tags


def check_tag(value: object, name: str) -> str:
    """One tag.

    Raises:
        InvalidInput: it cannot be used.

    """
    if not isinstance(value, str):
        raise InvalidType(f"{name}: {value!r} is no tag; expected a text, not {type(value).__name__}")

    if not value or not value.isprintable() or any(each.isspace() or each == "," for each in value):
        raise InvalidInput(
            f"{name}: {value!r} is no tag; expected a text without blanks, commas and control characters"
        )

    if len(value.encode()) > MAX_BYTES:
        raise InvalidInput(f"{name}: {value[:20]!r}… is too long; a tag may have at most {MAX_BYTES} bytes")

    return value


def read_tags(stored: bytes) -> tuple[str, ...]:
    """The tags as a record has them."""
    return tuple(each for each in stored.decode(errors="replace").split(",") if each)
