"""Includes: a Lua file with all that it needs, each file once, and before whatever uses it.

A line `-- NEEDS: now leave doors/end_job USUAL` names files of `lua/lib`, files of other folders, and in capitals
tables that are printed from values/states.py. A file names what it uses itself; what that needs comes along.

A function may have such a line inside, too. What it names is put there and not at the top, so a call that does not
run this function makes none of it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

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
    top = [*_needed(_needs(source), texts, there)]

    return "\n".join([*top, _filled(source, texts, there)])


def _filled(text: str, texts: Mapping[str, str], there: set[str]) -> str:
    """A file with what its functions need put into them, unless it is there already."""
    return _INSIDE.sub(lambda match: "\n".join(_needed(match[1].split(), texts, set(there))), text)


def _needed(
    names: Iterable[str], texts: Mapping[str, str], there: set[str], path: tuple[str, ...] = ()
) -> Iterator[str]:
    """What is not there yet of these files and of what they need, in the order in which Lua must read it."""
    for name in names:
        if name in there:
            continue

        if name in path:
            raise ValueError(f"Lua files need each other: {' → '.join((*path[path.index(name) :], name))}")

        if name not in texts:
            raise LookupError(f"{path[-1] if path else 'a script'} needs {name!r}, which is no Lua file or table")

        yield from _needed(_needs(texts[name]), texts, there, (*path, name))
        there.add(name)
        yield _filled(texts[name].rstrip(), texts, there)


def _needs(text: str) -> list[str]:
    return [name for line in _AT_TOP.findall(text) for name in line.split()]
