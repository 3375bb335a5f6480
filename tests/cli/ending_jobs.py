"""Jobs that do not end, or leave behind what does not, and that tell how they and their process have ended."""

from __future__ import annotations

import asyncio
import atexit
import multiprocessing
import subprocess
import threading
import time
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path


def note(path: str, line: str) -> None:
    with Path(path).open("a") as file:
        file.write(f"{line}\n")


def note_at_exit(path: str) -> None:
    print("an unfinished line", end="")
    atexit.register(note, path, "atexit")
    note(path, "begun")


# Threads


def sleep_in_c(path: str) -> None:
    note_at_exit(path)
    time.sleep(60)


def wait_for_a_lock(path: str) -> None:
    note_at_exit(path)
    lock = threading.Lock()
    lock.acquire()
    lock.acquire()


def wait_for_a_program(path: str) -> None:
    note_at_exit(path)
    program = subprocess.Popen(["sleep", "20"])
    program.wait()


async def sleep_in_c_beside(path: str) -> None:
    note_at_exit(path)
    await asyncio.to_thread(time.sleep, 60)


def leave_a_thread(path: str) -> None:
    note_at_exit(path)
    threading.Thread(target=time.sleep, args=(60,), name="left by a job").start()


def leave_a_pool(path: str) -> None:
    note_at_exit(path)
    ThreadPoolExecutor(1).submit(time.sleep, 60)


THREADS = (sleep_in_c, wait_for_a_lock, wait_for_a_program, sleep_in_c_beside, leave_a_thread, leave_a_pool)

# Tasks


async def never_cancelled(path: str) -> None:
    note_at_exit(path)
    await _swallow()


async def _swallow() -> None:
    while True:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            pass


_left: list[object] = []


async def leave_a_task(path: str) -> None:
    note_at_exit(path)
    _left.append(asyncio.create_task(_swallow()))
    await asyncio.sleep(0.01)


async def leave_a_generator(path: str) -> None:
    note_at_exit(path)
    generator = _numbers()
    _left.append(generator)
    await anext(generator)


async def _numbers() -> AsyncIterator[int]:
    try:
        yield 1
    finally:
        await _swallow()


TASKS = (never_cancelled, leave_a_task, leave_a_generator)

# What the interpreter waits for at its end


def leave_a_process(path: str) -> None:
    note_at_exit(path)
    multiprocessing.get_context("fork").Process(target=time.sleep, args=(20,)).start()


def leave_a_handler(path: str) -> None:
    atexit.register(time.sleep, 60)
    note_at_exit(path)


def write(text: str) -> None:
    print(text, flush=True)


def write_apart(text: str) -> str:
    print(text)
    return text


# Clean-up


async def clean_up(path: str, tag: str, seconds: float) -> None:
    note(path, f"{tag} begun")

    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(seconds)
        note(path, f"{tag} cleaned")


def clean_up_in_thread(path: str, tag: str, seconds: float) -> None:
    note(path, f"{tag} begun")

    try:
        while True:
            time.sleep(0.01)
    finally:
        deadline = time.monotonic() + seconds

        while time.monotonic() < deadline:
            time.sleep(0.01)

        note(path, f"{tag} cleaned")


async def clean_up_in_manager(path: str, tag: str, seconds: float) -> None:
    @asynccontextmanager
    async def connected() -> AsyncIterator[None]:
        try:
            yield
        finally:
            await asyncio.sleep(seconds)
            note(path, f"{tag} cleaned")

    async with connected(), asyncio.TaskGroup() as group:
        group.create_task(asyncio.sleep(60))
        note(path, f"{tag} begun")


async def clean_up_in_generator(path: str, tag: str, seconds: float) -> AsyncIterator[int]:
    try:
        note(path, f"{tag} begun")
        yield 1
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(seconds)
        note(path, f"{tag} cleaned")


CLEAN_UPS = (clean_up, clean_up_in_thread, clean_up_in_manager, clean_up_in_generator)
