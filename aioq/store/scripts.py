"""Scripts: the Lua files as callables.

A script's first lines say what it is for, its KEYS, its ARGV and the verdicts that it SAYS. They are read here:
the names are bound at the top of the script, and callers pass keywords, so no position stands anywhere else.
Among the KEYS, `registries` stands for the registries of all final states. Beginnings of keys that a script MAKES
are not passed, since each call would carry their bytes. They are made from `job`.
An ARGV name that ends in `...` takes a list; in Lua it is the position of the list's first value.
What the script NEEDS comes before its body, see includes.py.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib import resources
from importlib.resources.abc import Traversable

from aioq.store.includes import with_needs
from aioq.store.keys import TEST_PREFIX, Keys, end_of
from aioq.store.net import library
from aioq.store.net.command import Argument, Command
from aioq.store.tables import tables
from aioq.values.states import STATES, JobStatus, Row

_FOLDER = resources.files("aioq.store") / "lua"
_TRAVEL = resources.files("aioq.store") / "travel"
_MAKES_INSIDE = re.compile(r"^ +-- MAKES:(.*)$", re.MULTILINE)
_HEADER = re.compile(r"^-- (KEYS|ARGV|SAYS|MAKES):(.*)$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Script:
    """One operation on the server.

    Args:
        name: the verb; the file is `lua/<name>.lua`.
        text: what the server runs: bound names, what it needs, body.
        sha: how the server knows it (SHA-1 of the text).
        keys: names of the keys it uses, in order; those of Keys.
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
        return ("EVALSHA", self.sha, len(self.keys), *(keys[name] for name in self.keys))

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


class Scripts:
    """All scripts, made from the Lua files and from the table of states.

    Args:
        clock: Lua in place of `lua/lib/now.lua`, for scripts that go by another clock (None: the server's). It
            binds the same names. Such scripts have SHAs of their own.
        states: the table of states.

    """

    def __init__(self, clock: str | None = None, states: Mapping[JobStatus, Row] = STATES) -> None:
        self._clock = clock
        self._states = states
        self._made: dict[str, Script] = {}

    def __getitem__(self, name: str) -> Script:
        """A script by its verb. It is made when it is asked for first: few programs call more than a handful."""
        if name not in self._made:
            source = _source(_FOLDER / f"{name}.lua")
            registries = tuple(str(state) for state, row in self._states.items() if row.kept_ms is not None)
            self._made[name] = _made(name, source, self._texts, registries)

        return self._made[name]

    @property
    def by_name(self) -> dict[str, Script]:
        """All scripts, each by its verb."""
        return {name: self[name] for name in _names(_FOLDER)}

    @cached_property
    def _texts(self) -> dict[str, str]:
        """What scripts can need, by the names that stand in a NEEDS line."""
        texts = tables(self._states) | _library()

        return texts if self._clock is None else texts | {"now": self._clock}


@cache
def server_scripts() -> Scripts:
    """The scripts that go by the server's clock. All connections of a process share them."""
    return Scripts()


@cache
def travelling_scripts() -> Scripts:
    """The scripts that go by the clock of a test's namespace, and refuse every other one; see time_travel.py."""
    return Scripts(clock=(_TRAVEL / "now.lua").read_text())


@cache
def travel_script(name: str) -> str:
    """The SHA of a script of the folder `travel` that is about a whole namespace of a test."""
    texts = _sources(_TRAVEL)

    return library.add(name, with_needs(texts[name], texts))


def scripts_of(prefix: str) -> Scripts:
    """The scripts for all who use a prefix, so that they go by one clock, in whatever process they are."""
    return travelling_scripts() if prefix.startswith(TEST_PREFIX) else server_scripts()


def _made(name: str, source: str, texts: Mapping[str, str], registries: tuple[str, ...]) -> Script:
    header = {kind: tuple(words.split()) for kind, words in _HEADER.findall(source)}
    args, says = header["ARGV"], frozenset(header["SAYS"])
    keys = tuple(key for word in header["KEYS"] for key in (registries if word == "registries" else (word,)))
    made = [_making(each) for each in header.get("MAKES", ())]
    text = "\n".join([*_bindings(keys, args), *made, with_needs(source, texts)])

    return Script(name, text, library.add(name, text), keys, args, says)


def _library() -> dict[str, str]:
    """What scripts have in common, by the names that stand in NEEDS lines."""
    found = _sources(_FOLDER / "lib")

    for folder in _FOLDER.iterdir():
        if folder.is_dir() and folder.name != "lib":
            found |= {f"{folder.name}/{name}": text for name, text in _sources(folder).items()}

    return found


def _sources(folder: Traversable) -> dict[str, str]:
    """The Lua files in a folder, by name, with the beginnings of keys that their functions make."""
    return {name: _source(folder / f"{name}.lua") for name in _names(folder)}


def _names(folder: Traversable) -> list[str]:
    return sorted(each.name.removesuffix(".lua") for each in folder.iterdir() if each.name.endswith(".lua"))


def _source(file: Traversable) -> str:
    return _MAKES_INSIDE.sub(_all_made, file.read_text())


def _all_made(line: re.Match[str]) -> str:
    return "\n".join(map(_making, line[1].split()))


def _bindings(keys: tuple[str, ...], args: tuple[str, ...]) -> list[str]:
    lines = [f"local {', '.join(keys)} = {', '.join(f'KEYS[{i}]' for i in range(1, len(keys) + 1))}"]

    for position, name in enumerate(args, 1):
        value = str(position) if name.endswith("...") else f"ARGV[{position}]"
        lines.append(f"local {name.removesuffix('...')} = {value}")

    return lines


def _making(name: str) -> str:
    return f"local {name} = string.sub(job, 1, -{len(end_of('job')) + 1}) .. '{end_of(name)}'"
