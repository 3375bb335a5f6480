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
    *("tonumber", "tostring", "ipairs", "pairs", "type", "unpack"),
}


def bare(text: str) -> str:
    """Lua without its comments."""
    return re.sub(r"--.*", "", text)


def codeless(text: str) -> str:
    """Lua without comments and without what stands in quotes."""
    return re.sub(r"'[^'\n]*'", "''", bare(text))


def bound(text: str) -> set[str]:
    """Names that Lua binds somewhere: as a local, a function, a parameter or in a loop."""
    code = codeless(text)
    found = set()

    for names in re.findall(r"\blocal\s+(?!function)([\w,\s]+?)(?==|\n|$)", code):
        found |= set(re.findall(r"\w+", names))

    for name, parameters in re.findall(r"\bfunction\b\s*([\w.:]*)\s*\(([^)]*)\)", code):
        found |= {name, *re.findall(r"\w+", parameters)}

    for names in re.findall(r"\bfor\s+([\w,\s]+?)(?:=|\bin\b)", code):
        found |= set(re.findall(r"\w+", names))

    return found


def used(text: str) -> set[str]:
    """Names that Lua reads; those behind a point or a colon are fields."""
    code = re.sub(r"([{,]\s*)[A-Za-z_]\w*(\s*=[^=])", r"\1\2", codeless(text))  # fields of a table constructor

    return set(re.findall(r"(?<![.\w:])[A-Za-z_]\w*", code)) - LUA_WORDS - LUA_GLOBALS


def unbound(text: str) -> set[str]:
    """Names that a script reads and nobody has bound: each is an error at run time, on the day it is reached."""
    return used(text) - bound(text)


def offered(text: str) -> set[str]:
    """Names that a file binds for whoever needs it."""
    found = set(re.findall(r"^local function (\w+)", codeless(text), re.MULTILINE))

    for names in re.findall(r"^local (?!function)([\w, ]+?)(?: =|$)", codeless(text), re.MULTILINE):
        found |= set(re.findall(r"\w+", names))

    return found


def needs(text: str) -> list[str]:
    """What the NEEDS lines of a file name."""
    return [name for line in re.findall(r"^ *-- NEEDS:(.*)$", text, re.MULTILINE) for name in line.split()]
