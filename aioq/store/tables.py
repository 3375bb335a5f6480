"""Tables: what values/states.py says of the states, as Lua. The names of the tables stand in NEEDS lines."""

from __future__ import annotations

from collections.abc import Mapping

from aioq.values.states import JobStatus, Row

#: Verbs that are words of Lua's own, as they stand in a table.
_QUOTED = {"repeat": "['repeat']"}


def tables(states: Mapping[JobStatus, Row]) -> dict[str, str]:
    """The Lua that makes each table, by the table's name."""
    final = {state: row.kept_ms for state, row in states.items() if row.kept_ms is not None}
    verbs = {
        state: ", ".join(f"{_QUOTED.get(verb, verb)} = true" for verb in row.verbs)
        for state, row in states.items()
    }

    return {
        "NEXT": _made("NEXT", {state: f"{{{allowed}}}" for state, allowed in verbs.items()}),
        "FINAL": _made("FINAL", dict.fromkeys(final, "true")),
        "REGISTRIES": _made("REGISTRIES", {state: str(state) for state in final}),
        "USUAL": _made("USUAL", {state: str(kept_ms) for state, kept_ms in final.items()}),
    }


def _made(name: str, rows: Mapping[JobStatus, str]) -> str:
    return f"local {name} = {{{', '.join(f'{state} = {value}' for state, value in rows.items())}}}"
