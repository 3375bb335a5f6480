"""Includes: a Lua file with all that it needs, each file once, and before whatever uses it.

A line `-- NEEDS: now leave doors/end_job USUAL` names files of `lua/lib`, files of other folders, and in capitals
tables that are printed from values/states.py. A file names what it uses itself; what that needs comes along.

A function may have such a line inside, too. What it names is put there and not at the top, so a call that does not
run this function makes none of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from collections.abc import Set as AbstractSet
from functools import cache
from itertools import zip_longest

_AT_TOP = re.compile(r"^-- NEEDS:(.*)$", re.MULTILINE)
_INSIDE = re.compile(r"^ +-- NEEDS:(.*)$", re.MULTILINE)


def with_needs(source: str, texts: Mapping[str, str]) -> str:
    """A script with all that it needs.

    Args:
        source: the script's own Lua.
        texts: what can be needed, by the names that stand in a NEEDS line.

    Raises:
        LookupError: a needed file does not exist.
        ValueError: files need each other.

    """
    there: set[str] = set()
    everywhere = _closure(_needs(source), texts)
    top = [*_needed(_needs(source), texts, there, everywhere)]

    return "\n".join([*top, _filled(source, texts, there)])


def _closure(names: Iterable[str], texts: Mapping[str, str]) -> set[str]:
    """All that comes to the top of a script."""
    found, left = set[str](), list(names)

    while left:
        if (name := left.pop()) not in found and name in texts:
            found.add(name)
            left += _needs(texts[name])

    return found


def _filled(text: str, texts: Mapping[str, str], there: set[str]) -> str:
    """A file with what its functions need put into them, unless it is there already."""

    def fill(names: list[str]) -> str:
        return "\n".join(_needed(names, texts, set(there), _closure(names, texts)))

    parts = _parts(text)
    inside = [fill(names.split()) for names in parts[1::2]]

    return "".join(part for pair in zip_longest(parts[::2], inside, fillvalue="") for part in pair)


def _needed(
    names: Iterable[str],
    texts: Mapping[str, str],
    there: set[str],
    everywhere: AbstractSet[str],
    path: tuple[str, ...] = (),
) -> Iterator[str]:
    """What is not there yet of these files and of what they need, in the order in which Lua must read it.

    Args:
        names: the files.
        texts: all files.
        there: what is there; what comes is added.
        everywhere: all that comes to the same level. Where a function needs one of these, it comes before that
            function if it can, so that it is there once.
        path: which files have led to these.

    """
    for name in names:
        if name in there:
            continue

        if name in path:
            raise ValueError(f"Lua files need each other: {' → '.join((*path[path.index(name) :], name))}")

        if name not in texts:
            raise LookupError(f"{path[-1] if path else 'a script'} needs {name!r}, which is no Lua file or table")

        here = (*path, name)
        yield from _needed(_needs(texts[name]), texts, there, everywhere, here)
        inside = _closure((each for needs in _parts(texts[name])[1::2] for each in needs.split()), texts)
        sooner = [each for each in sorted(inside & everywhere) if not _leads_to(each, {*here}, texts)]
        yield from _needed(sooner, texts, there, everywhere, here)
        there.add(name)
        yield _filled(texts[name].rstrip(), texts, there)


def _leads_to(name: str, goals: AbstractSet[str], texts: Mapping[str, str]) -> bool:
    """Whether a file is one of these, or needs one."""
    return not goals.isdisjoint(_closure([name], texts))


# Dozens of scripts need the same files. To search them each time took most of the time of making scripts.
@cache
def _needs(text: str) -> tuple[str, ...]:
    return tuple(name for line in _AT_TOP.findall(text) for name in line.split())


@cache
def _parts(text: str) -> list[str]:
    """A file as what stands between the lines inside of its functions, and by turns the names in such a line."""
    return _INSIDE.split(text)
