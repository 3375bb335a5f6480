"""Filter: which jobs a search is for, as a text that people write, or as values."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from aioq.values.durations import to_ms
from aioq.values.errors import InvalidInput, InvalidType
from aioq.values.failure_group import check_fingerprint
from aioq.values.moments import moment_ms
from aioq.values.states import JobStatus
from aioq.values.tags import check_tag

#: How long the text of a filter may be, and how many conditions it may have.
MAX_TEXT = 2_000
MAX_CONDITIONS = 30

_WORD = re.compile(r"^(id|state|fn|tag|error|worker|fingerprint|after|before|meta\.[^:\s]+):(.*)$", re.DOTALL)
_KNOWN = "id, state, fn, tag, error, worker, meta.<key>, fingerprint, after and before"
_LOOKS_LIKE_WORD = re.compile(r"^[a-z_]+(?:\.[^:\s]+)?:\S")


@dataclass(frozen=True, slots=True)
class Filter:
    """Which jobs a search is for. Without any condition it is for all.

    Of ids, states, functions and workers a job must have one of those that are named; of all else it must have
    each. Texts are found whether their ASCII letters are capital ones or not.

    Args:
        ids: of the jobs.
        states: their states.
        functions: the dotted names of their functions; a `*` stands for anything.
        tags: tags that they have.
        errors: texts that stand in their errors, traceback included.
        workers: the names of the workers that run them, or ran them last.
        meta: values of their meta, as pairs of a key and a text. What is no text is compared as JSON, so `1` is
            found by "1".
        fingerprint: what they have failed of; "" for anything.
        after, before: they ended at the moment `after` or later, and earlier than `before`. For jobs that have not
            ended, the moment of their enqueue counts.
        texts: texts that stand in their ids, functions, errors, workers or tags.

    """

    ids: tuple[str, ...] = ()
    states: tuple[JobStatus, ...] = ()
    functions: tuple[str, ...] = ()
    tags: tuple[str, ...] = ()
    errors: tuple[str, ...] = ()
    workers: tuple[str, ...] = ()
    meta: tuple[tuple[str, str], ...] = ()
    fingerprint: str = ""
    after: datetime | None = None
    before: datetime | None = None
    texts: tuple[str, ...] = ()

    @classmethod
    def parse(cls, text: str) -> Filter:
        """The filter that a text stands for.

        It is a row of words with a blank between them: `state:failed fn:shop.mail.* tag:vip error:"time out"
        meta.user:7 after:1h refused`. A word without a name is a text. `after:` and `before:` take a moment in ISO
        8601 (UTC, unless it says otherwise), or a duration: `after:1h` is an hour ago.

        Raises:
            InvalidInput: a part of it cannot be used. The error names that part.

        Example:
            >>> Filter.parse("state:failed fn:shop.* refused").functions
            ('shop.*',)

        """
        if not isinstance(text, str):
            raise InvalidType(f"filter={text!r}: expected a text, not {type(text).__name__}")

        if len(text) > MAX_TEXT:
            raise InvalidInput(f"filter: it has {len(text)} characters; at most {MAX_TEXT} can be used")

        try:
            words = _split(text)
        except ValueError as error:
            raise InvalidInput(f"filter={text!r}: a quotation mark is not closed") from error

        found: dict[str, Any] = {}

        for word in words:
            _add(found, word)

        return make_filter(**found)

    def packed(self) -> str:
        """The filter as `match.lua` takes it, as JSON. Meta is not in it, since no script reads it."""
        conditions = {
            "states": list(map(str, self.states)),
            "functions": [each.split("*") for each in self.functions],
            "tags": list(self.tags),
            "errors": list(map(_lower, self.errors)),
            "workers": list(self.workers),
            "fingerprint": self.fingerprint,
            "after": "" if self.after is None else str(moment_ms(self.after, "after")),
            "before": "" if self.before is None else str(moment_ms(self.before, "before")),
            "texts": list(map(_lower, self.texts)),
        }

        return json.dumps({name: value for name, value in conditions.items() if value})

    def __str__(self) -> str:
        """The filter as people read it. `parse` can read it back, unless a text in it has quotation marks."""
        words = [(name, str(each)) for name, field in _LISTS.items() for each in getattr(self, field)]
        words += [(f"meta.{key}", value) for key, value in self.meta]
        words += [("fingerprint", self.fingerprint)] if self.fingerprint else []
        words += [
            (name, moment.isoformat())
            for name, moment in (("after", self.after), ("before", self.before))
            if moment is not None
        ]

        return " ".join([*(f"{name}:{_quoted(value)}" for name, value in words), *map(_quoted, self.texts)])

    def takes(self, state: JobStatus) -> bool:
        """Whether jobs of this state may be among those that it is for."""
        if self.fingerprint and state != JobStatus.FAILED:
            return False

        return not self.states or state in self.states


def make_filter(
    ids: Iterable[str] | str = (),
    states: Iterable[JobStatus | str] | JobStatus | str = (),
    functions: Iterable[str] | str = (),
    tags: Iterable[str] | str = (),
    errors: Iterable[str] | str = (),
    workers: Iterable[str] | str = (),
    meta: dict[str, Any] | Iterable[tuple[str, Any]] = (),
    fingerprint: str = "",
    after: datetime | str | None = None,
    before: datetime | str | None = None,
    texts: Iterable[str] | str = (),
) -> Filter:
    """A filter of values as users give them. Each may be one, or several.

    Raises:
        InvalidInput: a value cannot be used; it is named.

    """
    pairs = meta.items() if isinstance(meta, dict) else meta
    made = Filter(
        ids=_several(ids, "id"),
        states=tuple(map(_state, _several(states, "state"))),
        functions=_several(functions, "fn"),
        tags=tuple(check_tag(each, "tag") for each in _several(tags, "tag")),
        errors=_several(errors, "error"),
        workers=_several(workers, "worker"),
        meta=tuple((str(key), _text_of(value)) for key, value in pairs),
        fingerprint=check_fingerprint(fingerprint) if fingerprint else "",
        after=_moment(after, "after"),
        before=_moment(before, "before"),
        texts=_several(texts, "text"),
    )
    count = sum(
        len(each) for each in (getattr(made, name) for name in Filter.__slots__) if isinstance(each, tuple)
    )

    if count > MAX_CONDITIONS and len(made.ids) < count - MAX_CONDITIONS:
        raise InvalidInput(f"filter: it has {count} conditions; at most {MAX_CONDITIONS} can be used")

    return made


_LISTS = {
    "id": "ids",
    "state": "states",
    "fn": "functions",
    "tag": "tags",
    "error": "errors",
    "worker": "workers",
}


def _add(found: dict[str, Any], word: str) -> None:
    match = _WORD.match(word)

    if match is None:
        if _LOOKS_LIKE_WORD.match(word) and "://" not in word:
            raise InvalidInput(
                f"filter: {word!r} begins with an unknown name; the names are {_KNOWN}. To look for it as a text,"
                f' write error:"{word}"'
            )

        found.setdefault("texts", []).append(word)

        return

    name, value = match[1], match[2]

    if not value:
        raise InvalidInput(f"filter: {name}: has no value; write {name}:VALUE")

    if name.startswith("meta."):
        found.setdefault("meta", []).append((name[len("meta.") :], value))
    elif name in _LISTS:
        found.setdefault(_LISTS[name], []).append(value)
    elif name in found:
        raise InvalidInput(f"filter: {name}: is given twice; give it once")
    else:
        found[name] = value


def _split(text: str) -> list[str]:
    lexer = shlex.shlex(text, posix=True, punctuation_chars=False)
    lexer.whitespace_split = True
    lexer.commenters = ""
    lexer.quotes = '"'
    lexer.escape = ""

    return list(lexer)


def _several(values: Iterable[str] | str, name: str) -> tuple[str, ...]:
    some = (values,) if isinstance(values, str) else tuple(values)

    for each in some:
        if not isinstance(each, str) or not each:
            raise InvalidInput(f"{name}={each!r}: expected a text that is not empty")

    return some


def _state(value: str) -> JobStatus:
    try:
        return JobStatus(value)
    except ValueError:
        raise InvalidInput(
            f"state={value!r}: there is no such state; the states are {', '.join(JobStatus)}"
        ) from None


def _moment(value: datetime | str | None, name: str) -> datetime | None:
    if value is None or value == "":
        return None

    if isinstance(value, datetime):
        moment_ms(value, name)

        return value

    try:
        found = datetime.fromisoformat(value)
    except (ValueError, TypeError):
        try:
            ago_ms = to_ms(value, name)
        except InvalidInput:
            raise InvalidInput(
                f"{name}={value!r}: expected a moment such as 2026-01-31T12:00, or a duration such as 1h"
            ) from None

        return datetime.fromtimestamp(max(0.0, datetime.now(UTC).timestamp() - ago_ms / 1000), UTC)

    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _quoted(text: str) -> str:
    return text if text and not any(each.isspace() for each in text) else f'"{text}"'


def _text_of(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value, default=repr)


def _lower(text: str) -> str:
    """With small ASCII letters, as `string.lower` of a script makes them."""
    return "".join(each.lower() if each.isascii() else each for each in text)
