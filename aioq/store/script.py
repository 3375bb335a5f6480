"""Lua files as callables.

A script's first lines say what it is for, its KEYS, its ARGV and the verdicts that it SAYS. They are read here:
the names are bound at the top of the script, and callers pass keywords, so no position stands anywhere else.
Beginnings of keys that a script MAKES are not passed, since each call would carry their bytes. They are made from
`job`.
An ARGV name that ends in `...` takes a list; in Lua it is the position of the list's first value.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources

from aioq.store.keys import Keys, end_of
from aioq.store.net import library
from aioq.store.net.command import Argument, Command

_FOLDER = resources.files("aioq.store") / "lua"
_INCLUDE = re.compile(r"^--@include (\w+)$", re.MULTILINE)
_HEADER = re.compile(r"^-- (KEYS|ARGV|SAYS|MAKES):(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation on the server.

    Args:
        name: the verb; the file is `lua/<name>.lua`.
        text: what the server runs: bound names, includes, body.
        sha: how the server knows it (SHA-1 of the text).
        keys: names of the keys it uses, in order; fields of Keys.
        args: names of its arguments, in order.
        says: the words that its reply may begin with.

    """

    name: str
    text: str
    sha: str
    keys: tuple[str, ...]
    args: tuple[str, ...]
    says: frozenset[str]

    def head(self, keys: Keys) -> Command:
        """The part of the call that is the same for all calls on one queue."""
        return ("EVALSHA", self.sha, len(self.keys), *(getattr(keys, name) for name in self.keys))

    def arguments(self, **values: Argument | Sequence[Argument]) -> Command:
        """The arguments in the order of the header.

        Raises:
            TypeError: one is missing or unknown.

        """
        flat: list[Argument] = []

        try:
            found = [values[name.removesuffix("...")] for name in self.args]
        except KeyError:
            found = []

        if len(found) != len(values) or len(values) != len(self.args):
            raise TypeError(f"{self.name}.lua takes {', '.join(self.args)}; got {', '.join(values)}")

        for value in found:
            flat.extend(value) if isinstance(value, list | tuple) else flat.append(value)  # type: ignore[arg-type]

        return tuple(flat)


@cache
def script(name: str) -> Script:
    """The script in `lua/<name>.lua`."""
    source = (_FOLDER / f"{name}.lua").read_text()
    header = {kind: tuple(words.split()) for kind, words in _HEADER.findall(source)}
    made = [_making(name) for name in header.get("MAKES", ())]
    text = "\n".join([*_bindings(header["KEYS"], header["ARGV"]), *made, _with_includes(source, set())])

    return Script(name, text, library.add(name, text), header["KEYS"], header["ARGV"], frozenset(header["SAYS"]))


def _with_includes(source: str, included: set[str]) -> str:
    """Lua with all that it includes, and what that includes: each file once, where it is first asked for."""

    def insert(match: re.Match[str]) -> str:
        name = match[1]

        if name in included:
            return ""

        included.add(name)

        return _with_includes((_FOLDER / "lib" / f"{name}.lua").read_text().rstrip(), included)

    return _INCLUDE.sub(insert, source)


@cache
def all_scripts() -> dict[str, Script]:
    """Every script, by name."""
    names = sorted(item.name.removesuffix(".lua") for item in _FOLDER.iterdir() if item.name.endswith(".lua"))

    return {name: script(name) for name in names}


def _bindings(keys: tuple[str, ...], args: tuple[str, ...]) -> list[str]:
    lines = [f"local {', '.join(keys)} = {', '.join(f'KEYS[{i}]' for i in range(1, len(keys) + 1))}"]

    for position, name in enumerate(args, 1):
        value = str(position) if name.endswith("...") else f"ARGV[{position}]"
        lines.append(f"local {name.removesuffix('...')} = {value}")

    return lines


def _making(name: str) -> str:
    return f"local {name} = string.sub(job, 1, -{len(end_of('job')) + 1}) .. '{end_of(name)}'"
