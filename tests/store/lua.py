"""What can be told from Lua's text: the files, and the names that they bind, read and need."""

from __future__ import annotations

import re
from pathlib import Path

import aioq.store

FOLDER = Path(aioq.store.__file__).parent / "lua"

#: The files that scripts need, by their names in NEEDS lines.
LIBRARY = {
    str(path.relative_to(FOLDER).with_suffix("")).removeprefix("lib/"): path.read_text()
    for path in sorted(FOLDER.rglob("*.lua"))
    if path.parent != FOLDER
}

LUA_WORDS = {
    *(
        "and",
        "break",
        "do",
        "else",
        "elseif",
        "end",
        "false",
        "for",
        "function",
        "if",
        "in",
        "local",
        "nil",
        "not",
    ),
    *("or", "repeat", "return", "then", "true", "until", "while"),
}
LUA_GLOBALS = {
    *("KEYS", "ARGV", "redis", "cjson", "string", "math", "table"),
    *("tonumber", "tostring", "ipairs", "pairs", "pcall", "type", "unpack", "setmetatable"),
}


def bare(text: str) -> str:
    """Lua without its comments."""
    return re.sub(r"--.*", "", text)


def codeless(text: str) -> str:
    """Lua without comments and without what stands in quotes."""
    return re.sub(r"'[^'\n]*'", "''", bare(text))


_TOKEN = re.compile(r"[A-Za-z_]\w*|\d+[\w.]*|\.{2,3}|[=~<>]=|\n|\S")


class _Reader:
    """Goes through Lua's words and keeps the scopes that it is in. Collects names that no scope binds there.

    A `local` is taken as bound from its name on, not from its end.
    """

    def __init__(self, text: str) -> None:
        self._words = _TOKEN.findall(codeless(text))
        self._at = 0
        self._scopes: list[set[str]] = [set()]
        self._brackets: list[str] = []  # what is open: {, ( or [, and "function" for a body
        self._loop: set[str] = set()  # what the next `do` binds
        self._is_until = False
        self.unbound: set[str] = set()

    def read(self) -> set[str]:
        while self._at < len(self._words):
            word = self._next()

            if step := getattr(self, f"_{word}", None) if word in LUA_WORDS else None:
                step()
            elif word in "{([":
                self._brackets.append(word)
            elif word in "})]":
                self._brackets.pop()
            elif word == "\n":
                if self._is_until:
                    self._pop()
                    self._is_until = False
            elif word.isidentifier() and word not in LUA_WORDS:
                self._name(word)

        assert len(self._scopes) == 1
        assert not self._brackets

        return self.unbound

    def _next(self) -> str:
        self._at += 1

        return self._words[self._at - 1]

    def _peek(self, offset: int = 0) -> str:
        at = self._at + offset

        return self._words[at] if 0 <= at < len(self._words) else ""

    def _name(self, word: str) -> None:
        is_field = self._peek(-2) in (".", ":") or (self._brackets[-1:] == ["{"] and self._peek() == "=")

        if not is_field and word not in LUA_GLOBALS and not any(word in scope for scope in self._scopes):
            self.unbound.add(word)

    def _names(self) -> set[str]:
        found = {self._next()}

        while self._peek() == ",":
            self._next()
            found.add(self._next())

        return found

    def _pop(self) -> None:
        self._scopes.pop()

    def _local(self) -> None:
        if self._peek() == "function":
            self._scopes[-1].add(self._peek(1))
        else:
            self._scopes[-1] |= self._names()

    def _function(self) -> None:
        while (word := self._next()) != "(":
            if word.isidentifier():
                self._name(word)

        self._scopes.append(set() if self._peek() == ")" else self._names())
        assert self._next() == ")"
        self._brackets.append("function")

    def _for(self) -> None:
        self._loop = self._names()

    def _do(self) -> None:
        self._scopes.append(self._loop)
        self._loop = set()
        self._brackets.append("do")

    def _then(self) -> None:
        self._scopes.append(set())
        self._brackets.append("then")

    def _else(self) -> None:
        self._end()
        self._then()

    def _elseif(self) -> None:
        self._end()

    def _end(self) -> None:
        self._pop()
        assert self._brackets.pop() in ("function", "do", "then")

    def _repeat(self) -> None:
        self._scopes.append(set())

    def _until(self) -> None:
        self._is_until = True


def unbound(text: str) -> set[str]:
    """Names that a script reads where nobody has bound them: each is an error on the day that it is reached."""
    return _Reader(text).read()


def offered(text: str) -> set[str]:
    """Names that a file binds for whoever needs it."""
    found = set(re.findall(r"^local function (\w+)", codeless(text), re.MULTILINE))

    for names in re.findall(r"^local (?!function)([\w, ]+?)(?: =|$)", codeless(text), re.MULTILINE):
        found |= set(re.findall(r"\w+", names))

    return found


def needs(text: str) -> list[str]:
    """What the NEEDS lines of a file name."""
    return [name for line in re.findall(r"^ *-- NEEDS:(.*)$", text, re.MULTILINE) for name in line.split()]
