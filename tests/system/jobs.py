"""Jobs whose effects are seen outside of the queue's server: lines in a file, one for each thing that happened."""

from __future__ import annotations

import asyncio
import ctypes
import os
import signal
import threading
import time
from collections.abc import Sequence
from pathlib import Path

from aioq import current_job, get_current_job
from aioq.errors import ServerUnreachable
from aioq.store.net.command import Command
from aioq.values.beat import Beat
from aioq.worker.leases import Leases


def note(path: str, what: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{what} {os.getpid()} {time.time()}\n")


def notes(path: Path, what: str) -> list[list[str]]:
    lines = path.read_text().splitlines() if path.exists() else []
    return [line.split() for line in lines if line.split()[0] == what]


async def work(path: str, seconds: float) -> str:
    """Sleeps on the loop, noting its start and its end."""
    note(path, "start")
    try:
        await asyncio.sleep(seconds)
    except asyncio.CancelledError:
        note(path, "cancelled")
        raise
    note(path, "end")
    return f"attempt {get_current_job().attempt}"


async def note_call(job: object, _: object, path: str) -> None:
    """A callback: notes that it was called, and as what."""
    note(path, current_job().callback or "")


async def slow_echo(text: str) -> str:
    await asyncio.sleep(0.02)
    return text


async def hang_once(path: str) -> str:
    """Hangs in its first run, and returns in every later one."""
    first = not notes(Path(path), "start")
    note(path, "start")
    if first:
        await asyncio.sleep(1000)
    note(path, "end")
    return f"attempt {get_current_job().attempt}"


async def block_the_loop(path: str, seconds: float) -> str:
    note(path, "start")
    time.sleep(seconds)  # what a job must not do, and does
    note(path, "end")
    return "done"


async def hold_the_interpreter(path: str, seconds: float) -> str:
    """As some C code does: no other thread of the process runs meanwhile, the heartbeat's neither."""
    note(path, "start")
    fence = get_current_job().fence
    ctypes.PyDLL(None).sleep(int(seconds)) if fence == 1 else None
    note(path, "end")
    return f"fence {fence}"


async def die(path: str) -> None:
    note(path, "start")
    os._exit(1)


async def note_and_fail(path: str) -> None:
    note(path, "start")
    raise ValueError("failed on purpose")


async def raise_once(path: str) -> str:
    """Raises in its first run, and returns in every later one."""
    first = not notes(Path(path), "start")
    note(path, "start")

    if first:
        raise RuntimeError("the first run")

    return "a later run"


async def await_file(path: str, gate: str) -> str:
    note(path, "start")

    while not Path(gate).exists():
        await asyncio.sleep(0.01)

    note(path, "end")
    job = get_current_job()

    return f"attempt {job.attempt}"


def spin(path: str, seconds: float) -> None:
    """Computes on a thread, and lets no other one have more of the interpreter than it must."""
    note(path, "start")
    until = time.monotonic() + seconds

    while time.monotonic() < until:
        pass


def end_thread(name: str) -> bool:
    """Raises SystemExit in a thread of the worker, as soon as it runs."""
    (ident,) = (thread.ident for thread in threading.enumerate() if thread.name == name)
    return ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(ident), ctypes.py_object(SystemExit)) == 1


def break_heartbeat(path: str, error: str) -> None:
    """While the file is there, every heartbeat of this worker raises an error."""
    renew = Leases.renew

    async def renew_or_raise(leases: Leases, others: Sequence[Command] = ()) -> list[Beat]:
        if Path(path).exists():
            raise {"exit": SystemExit, "away": ServerUnreachable, "odd": LookupError}[error](error)

        return await renew(leases, others)

    Leases.renew = renew_or_raise  # type: ignore[method-assign]


def _crash(way: str) -> None:
    """End the process: by its own will, by a fault in C, or as the kernel does when memory is full."""
    if way == "exit":
        os._exit(3)

    if way == "segv":
        ctypes.string_at(0)

    os.kill(os.getpid(), signal.SIGKILL)


async def crash(way: str, after: float) -> None:
    await asyncio.sleep(after)
    _crash(way)


def crash_on_a_thread(way: str, after: float) -> None:
    time.sleep(after)
    _crash(way)


async def hang_once_each(path: str) -> None:
    """Hangs in its first run, as its worker is to die with it; its second run ends at once."""
    note(path, "start")

    if get_current_job().fence == 1:
        await asyncio.sleep(1000)
