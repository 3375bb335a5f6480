"""The functions that are enqueued, and a count of what ran in this process."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from functools import cache


class Tally:
    """How often each job ran here, and when the first began and the last ended.

    It is filled inside the jobs, so what a system does around a job cannot hide a run or invent one.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.runs: dict[int, int] = {}
        self.ended = 0
        self.first = self.last = self.cpu = 0.0

    def begin(self) -> None:
        """A job's body begins."""
        if not self.first:
            self.first, self.cpu = time.perf_counter(), time.process_time()

    def end(self, index: int) -> None:
        """A job's body ends."""
        if not self.first:
            self.begin()

        self.runs[index] = self.runs.get(index, 0) + 1
        self.ended += 1
        self.last = time.perf_counter()

    def end_on_thread(self, index: int) -> None:
        with self._lock:
            self.end(index)

    def report(self) -> dict[str, float]:
        """What ran: `cpu` is this process's CPU seconds since the first job began."""
        cpu = time.process_time() - self.cpu

        return {"ended": self.ended, "first": self.first, "last": self.last, "cpu": cpu}


tally = Tally()


async def note(index: int) -> int:
    """The no-op job of most figures: it only counts that it ran."""
    tally.end(index)
    return index


def note_plain(index: int) -> int:
    """The same as a plain function, which a worker runs on a thread."""
    tally.end_on_thread(index)
    return index


async def sleep(index: int, seconds: float) -> int:
    """A job that waits for I/O."""
    tally.begin()
    await asyncio.sleep(seconds)
    tally.end(index)
    return index


async def clock(index: int) -> float:
    """When its body began. The clock is the machine's, so another process can compare it with its own."""
    now = time.perf_counter()
    tally.end(index)
    return now


def clock_plain(index: int) -> float:
    """The same as a plain function."""
    now = time.perf_counter()
    tally.end_on_thread(index)
    return now


async def pause(index: int, seconds: float) -> float:
    """When its body began; then it waits for I/O, if that is to take any time."""
    now = time.perf_counter()
    tally.begin()

    if seconds:
        await asyncio.sleep(seconds)

    tally.end(index)
    return now


def note_apart(index: int, path: str) -> int:
    """The no-op job in a process of its own, where nobody counts it: it writes down when and where it ran."""
    os.write(_opened(path), f"{index} {time.perf_counter()} {os.getpid()}\n".encode())
    return index


async def answer() -> int:
    """A job without arguments. It is counted but not listed, so that the count itself takes no memory."""
    tally.ended += 1
    return 42


async def fail(index: int) -> None:
    tally.end(index)
    raise ValueError(index)


async def hold(index: int, path: str) -> int:
    """Write down when and where it began, then wait to be killed if this is the process of a victim."""
    os.write(_opened(path), f"{index} {time.perf_counter()} {os.getpid()}\n".encode())

    if os.environ.get("BENCHMARK_VICTIM"):
        await asyncio.sleep(3600)

    return index


async def block(index: int, path: str, seconds: float) -> int:
    """Write down when and where it began, then let no other task of the worker run."""
    os.write(_opened(path), f"{index} {time.perf_counter()} {os.getpid()}\n".encode())
    time.sleep(seconds)  # that is what it is for

    return index


@cache
def _opened(path: str) -> int:
    return os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)


#: What a peer's worker has to know, as coroutines and, for those that run nothing else, as plain functions.
COROUTINES = {"note": note, "sleep": sleep, "clock": clock}
PLAIN = {"note": note_plain, "clock": clock_plain}
