"""Jobs and lifespans for the tests of pools."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aioq import current_job

kept: list[bytes] = []


def note(path: str, *words: object) -> None:
    """Append a line to a file, in one write."""
    with Path(path).open("a") as file:
        file.write(" ".join(map(str, words)) + "\n")


def notes(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


async def pid() -> int:
    return os.getpid()


async def version() -> str:
    """The code that this process has loaded."""
    import changing

    return changing.VERSION


async def hang_once(path: str) -> str:
    """The first run hangs until its process is killed; each run notes its process and when it has begun."""
    note(path, os.getpid(), time.time(), current_job().id)

    if current_job().fence == 1:
        await asyncio.sleep(600)

    return f"attempt {current_job().attempt}"


async def nap(seconds: float, path: str | None = None) -> int:
    if path is not None:
        note(path, os.getpid(), current_job().id)

    await asyncio.sleep(seconds)

    return os.getpid()


async def die(path: str) -> None:
    note(path, os.getpid())
    os.kill(os.getpid(), signal.SIGKILL)


async def exit_at_once(path: str, code: int) -> None:
    """Leaves no time for anything, on its first run."""
    note(path, os.getpid())

    if current_job().fence == 1:
        os._exit(code)


async def segfault_once() -> int:
    if current_job().fence == 1:
        ctypes.string_at(0)

    return current_job().fence


async def keep(megabytes: int) -> int:
    """Memory that the process never gives back."""
    kept.append(os.urandom(1024) * (1000 * megabytes))

    return os.getpid()


def keep_in_process(megabytes: int) -> int:
    kept.append(os.urandom(1024) * (1000 * megabytes))

    return os.getpid()


def pid_of_process() -> int:
    return os.getpid()


@asynccontextmanager
async def lifespan() -> AsyncIterator[int]:
    yield os.getpid()


@asynccontextmanager
async def broken_lifespan() -> AsyncIterator[None]:
    raise ConnectionError("the database is away")
    yield


def note_start(worker: object) -> None:
    note(os.environ["HOOKS"], "start", os.getpid())


def note_stop(worker: object) -> None:
    note(os.environ["HOOKS"], "stop", os.getpid())


async def resources() -> tuple[int, int]:
    return current_job().resources, os.getpid()


async def wait_for(path: str) -> int:
    """Runs until a file is there; another file has a line for each run that has begun."""
    note(str(Path(path).with_suffix(".begun")), current_job().id)

    while not Path(path).exists():
        await asyncio.sleep(0.01)

    return os.getpid()


async def hold_the_interpreter_once() -> int:
    """C code that lets no other thread run, for long."""
    if current_job().fence == 1:
        ctypes.PyDLL(None).sleep(60)

    return current_job().fence
