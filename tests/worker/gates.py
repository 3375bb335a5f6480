"""What modules that tests write do while they are imported: note it, and wait until the test lets them go on."""

from __future__ import annotations

import threading

#: Names of modules, once for each time that their code has run, with the thread that ran it.
IMPORTED: list[tuple[str, int]] = []

#: Opened by tests; a module waits for its own.
OPEN: dict[str, threading.Event] = {}


def enter(name: str) -> None:
    IMPORTED.append((name, threading.get_ident()))

    if name in OPEN:
        OPEN[name].wait(20)


def times(name: str) -> int:
    return sum(each == name for each, _ in IMPORTED)
