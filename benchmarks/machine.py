"""The machine: which core runs what, a spinner that keeps cores awake, and what to write above a table."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

_SPIN = """
import os
os.nice(19)
os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
parent = os.getppid()
while os.getppid() == parent:
    for _ in range(1_000):
        for _ in range(1_000):
            pass
        os.sched_yield()
"""


def cores() -> list[int]:
    """The cores for the server and for all else; empty if there are no two, or they cannot be chosen."""
    usable = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []

    return usable[:2] if len(usable) > 1 else []


@contextmanager
def on_core(core: int | None) -> Iterator[None]:
    """Processes that are started here stay on this core: they inherit it."""
    if core is None:
        yield
        return

    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {core})

    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def spinning(wanted: bool) -> Iterator[None]:
    """Keep both cores awake with work that yields to everything else.

    A virtual core that halts at each round trip is woken by its hypervisor, late and unevenly; that would be
    measured instead of the queue. A process of the class SCHED_IDLE takes only time that nobody wants. It
    also gives its core away every few microseconds: some kernels do not always take it from such a process before
    the next tick, and one in a hundred round trips then lasted 4 ms.
    """
    spinners = []

    if wanted and hasattr(os, "SCHED_IDLE"):
        for core in cores():
            with on_core(core):
                spinners.append(subprocess.Popen([sys.executable, "-c", _SPIN]))

    try:
        yield
    finally:
        for spinner in spinners:
            spinner.kill()
            spinner.wait()


def rss(pid: int) -> int:
    """Resident bytes of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def cpu_seconds(pid: int) -> float:
    """CPU time of all threads of a process. schedstat counts nanoseconds, where stat counts ticks of 10 ms."""
    threads = Path(f"/proc/{pid}/task").iterdir()

    return sum(int((thread / "schedstat").read_text().split()[0]) for thread in threads) / 1e9


def versions() -> dict[str, str]:
    """What the figures depend on beside aioq."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.release()}"}
    found["cores"] = str(os.cpu_count())

    for package in ("aioq-streams", "redis", "hiredis", "uvloop", "anyio"):
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "none"

    return found
