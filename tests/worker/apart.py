"""Jobs that run in processes of their own. They tell what they do in files: nothing else is shared with a test."""

from __future__ import annotations

import asyncio
import ctypes
import logging
import multiprocessing
import os
import re
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from aioq import get_current_job, task


def note(path: str, *words: object) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    os.write(descriptor, f"{' '.join(map(str, words))}\n".encode())
    os.close(descriptor)


def notes(path: Path) -> list[list[str]]:
    return [line.split() for line in path.read_text().splitlines()] if path.exists() else []


def pid(_: object = None) -> int:
    return os.getpid()


def facts() -> dict[str, Any]:
    job = get_current_job()
    return {
        "id": job.id,
        "origin": job.origin,
        "func": job.func is facts,
        "args": job.args,
        "kwargs": job.kwargs,
        "fence": job.fence,
        "attempt": job.attempt,
        "meta": job.meta,
        "status": job.status,
        "main": threading.current_thread() is threading.main_thread(),
    }


def current() -> str | None:
    return None if get_current_job() is None else get_current_job().id


def hang(path: str) -> None:
    note(path, os.getpid())
    time.sleep(60)


def hang_in_c(path: str) -> None:
    """Holds the interpreter's lock for hours: no signal handler, no thread and no exception gets in."""
    note(path, os.getpid())
    re.match(r"(a+)+b", "a" * 60)


def hang_with_a_program(path: str) -> None:
    with subprocess.Popen(["sleep", "60"]) as program:
        note(path, os.getpid(), program.pid)


def work(path: str, seconds: float) -> str:
    note(path, os.getpid(), "start", time.monotonic())
    time.sleep(seconds)
    note(path, os.getpid(), "end", time.monotonic())
    return "done"


def die(path: str, how: str) -> None:
    note(path, os.getpid())

    match how:
        case "exit":
            os._exit(3)
        case "zero":
            os._exit(0)
        case "crash":
            ctypes.string_at(0)
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "close":
            os.closerange(3, 200)
            time.sleep(60)
        case "garbage":
            for each in range(3, 200):
                try:
                    os.write(each, b"\0\0\0\0\0\0\0\x08\xff\xff\xff\xff\xff\xff\xff\xff")
                except OSError:
                    pass
            time.sleep(60)


def leave_a_fork_behind(path: str) -> str:
    process = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,))
    process.start()
    note(path, os.getpid(), process.pid)
    process.terminate()  # what the worker's processes do with signals is not what their forks do
    process.join(5)
    return f"ended by {-process.exitcode}" if process.exitcode is not None else "still there"


def big(size: int) -> bytes:
    return b"x" * size


def measure(data: bytes) -> int:
    return len(data)


def save(value: object) -> dict[str, Any]:
    job = get_current_job()
    seen = dict(job.meta)
    job.meta["saved"] = value
    job.meta.pop("old", None)
    job.save_meta_sync()
    job.save_meta_sync()
    return seen


def save_much(size: int) -> None:
    get_current_job().meta["much"] = "x" * size
    get_current_job().save_meta_sync()


def refresh() -> None:
    asyncio.run(get_current_job().refresh())


def save_by_await() -> None:
    job = get_current_job()
    job.meta["saved"] = 1
    asyncio.run(job.save_meta())


def save_without_await() -> None:
    job = get_current_job()
    job.meta["saved"] = 1
    job.save_meta()


def save_when_it_is_over(path: str) -> None:
    job = get_current_job()

    def later() -> None:
        while not Path(f"{path}.go").exists():
            time.sleep(0.01)

        job.meta["late"] = 1
        try:
            job.save_meta_sync()
        except Exception as error:
            note(path, type(error).__name__, error)

    threading.Thread(target=later, daemon=True).start()


def speak() -> None:
    print("a printed line")
    print("an unfinished line", end="")
    sys.stderr.write("a line of stderr\n")
    logging.getLogger("shop").warning("a logged warning")
    logging.getLogger("shop").info("a logged fact")
    logging.getLogger("shop").debug("a detail")
    subprocess.run(["echo", "a line of a program"], check=True)


def read_input() -> str:
    return sys.stdin.read()


@task(executor="process")
def apart(x: int) -> tuple[int, int]:
    return x + 1, os.getpid()


def leave_a_fork_alone(seconds: float) -> int:
    if (pid := os.fork()) == 0:
        time.sleep(seconds)
        os._exit(0)
    return pid


kept: list[bytes] = []


def keep(megabytes: int) -> int:
    """Memory that the process never gives back."""
    kept.append(os.urandom(1000) * (1000 * megabytes))

    return os.getpid()
