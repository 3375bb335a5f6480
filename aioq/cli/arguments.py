"""Arguments of a job in the form of the command line.

    text      a text                  name=text      by name
    :json     a JSON value            name:=json     by name
    %literal  a Python literal        name%=literal  by name

A text, JSON value or literal that begins with @ is read from the file whose name follows. The part before = is a
name only if it is a valid name in Python, so a URL with a query is a text.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import typer

_FORM = re.compile(r"(?:(?P<name>[^\W\d]\w*)(?P<named>[:%]?)=|(?P<kind>[:%]?))(?P<text>.*)", re.DOTALL)


def read_arguments(words: Sequence[str]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The positional and the keyword arguments.

    Raises:
        BadParameter: one cannot be read, or two have one name.

    Example:
        >>> read_arguments(["a", ":[1, 2]", "key%=(3, None)"])
        (('a', [1, 2]), {'key': (3, None)})

    """
    args: list[Any] = []
    kwargs: dict[str, Any] = {}

    for word in words:
        form = _FORM.fullmatch(word)
        assert form is not None  # the text may be anything
        name, kind = form["name"], form["named"] or form["kind"] or ""

        if name in kwargs:
            raise typer.BadParameter(f"{name!r} is given twice", param_hint="ARGS")

        value = read_value(kind, form["text"], word)

        if name is None:
            args.append(value)
        else:
            kwargs[name] = value

    return tuple(args), kwargs


def read_value(kind: str, text: str, word: str) -> Any:
    """A value of one kind: "" for a text, ":" for JSON, "%" for a literal. The error quotes `word`."""
    if text.startswith("@"):
        text = _read_file(text[1:], word)

    try:
        if kind == ":":
            return json.loads(text)

        return ast.literal_eval(text.strip()) if kind == "%" else text
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError) as error:
        form = "JSON" if kind == ":" else "a Python literal"
        raise typer.BadParameter(f"{word!r} is not {form}: {error}", param_hint="ARGS") from None


def read_meta(words: Sequence[str]) -> dict[str, Any]:
    """The values of `--meta name=json`."""
    meta: dict[str, Any] = {}

    for word in words:
        name, separator, text = word.partition("=")

        if not name or not separator:
            raise typer.BadParameter(f"{word!r}: expected name=json", param_hint="'--meta'")

        try:
            meta[name] = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise typer.BadParameter(
                f"{word!r} is not JSON: {error}. A text needs its own quotes: {name}='\"text\"'",
                param_hint="'--meta'",
            ) from None

    return meta


def _read_file(name: str, word: str) -> str:
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise typer.BadParameter(f"{word!r}: the file cannot be read: {error}", param_hint="ARGS") from None
