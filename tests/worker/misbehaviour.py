"""Jobs that do what no job should do."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections import defaultdict
from typing import Any

notes: defaultdict[str, list[Any]] = defaultdict(list)


class OwnBaseException(BaseException):
    pass


class UnprintableError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")

    __repr__ = __str__


class UnprintableBadlyError(Exception):
    def __str__(self) -> str:
        raise OwnBaseException("no text")

    __repr__ = __str__


class UnpicklableError(Exception):
    def __init__(self, lock: Any) -> None:
        super().__init__(lock)
        self.lock = lock


class RaisesOnLoad:
    """Pickles well; whoever loads it gets what it raises."""

    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        return explode, (self.kind,)


class RaisesOnDump:
    def __init__(self, kind: str) -> None:
        self.kind = kind

    def __reduce__(self) -> Any:
        explode(self.kind)


def recurse(depth: int = 0) -> int:
    return recurse(depth + 1) + 1


def explode(kind: str) -> None:
    match kind:
        case "exit":
            sys.exit(3)
        case "exit text":
            sys.exit("with a text")
        case "interrupt":
            raise KeyboardInterrupt
        case "base":
            raise OwnBaseException("of its own kind")
        case "generator exit":
            raise GeneratorExit
        case "stop iteration":
            raise StopIteration("early")
        case "stop async iteration":
            raise StopAsyncIteration("early")
        case "canceled":
            raise asyncio.CancelledError("by itself")
        case "timeout":
            raise TimeoutError("its own")
        case "unprintable":
            raise UnprintableError
        case "unprintable badly":
            raise UnprintableBadlyError
        case "unpicklable":
            raise UnpicklableError(threading.Lock())
        case "surrogates":
            raise ValueError("lone \ud800 surrogate")
        case "nul":
            raise ValueError("a \0 and \r\n and \x1b[31m")
        case "long":
            raise ValueError("x" * 10_000_000 + " the end")
        case "recursion":
            recurse()
        case "group":
            raise ExceptionGroup("several", [ValueError("one"), KeyError("two")])
        case "chain":
            try:
                raise KeyError("the cause")
            except KeyError as error:
                raise ValueError("the effect") from error
        case "cycle":
            first, second = ValueError("first"), ValueError("second")
            first.__cause__, second.__cause__ = second, first
            raise first
        case "memory":
            raise MemoryError("out of it")
        case "assertion":
            assert kind == "other", "asserted"
        case _:
            raise ValueError(kind)


#: What is raised, and what of it stands in the job's error.
EXPLOSIONS = {
    "exit": "SystemExit: 3",
    "exit text": "SystemExit: with a text",
    "interrupt": "KeyboardInterrupt",
    "base": "OwnBaseException: of its own kind",
    "generator exit": "GeneratorExit",
    "stop iteration": "early",
    "stop async iteration": "early",
    "canceled": "CancelledError: by itself",
    "timeout": "TimeoutError: its own",
    "unprintable": "UnprintableError",
    "unprintable badly": "UnprintableBadlyError",
    "unpicklable": "UnpicklableError: <unlocked _thread.lock",
    "surrogates": "ValueError: lone",
    "nul": "ValueError: a \0 and",
    "long": "x the end",
    "recursion": "RecursionError: maximum recursion depth exceeded",
    "group": "KeyError: 'two'",
    "chain": "the direct cause",
    "cycle": "ValueError: first",
    "memory": "MemoryError: out of it",
    "assertion": "AssertionError: asserted",
}


async def explode_in_coroutine(kind: str) -> None:
    await asyncio.sleep(0)
    explode(kind)


def explode_in_thread(kind: str) -> None:
    explode(kind)


async def explode_in_generator(kind: str) -> Any:
    yield 1
    explode(kind)


def return_what_explodes(kind: str) -> Any:
    return RaisesOnDump(kind)


async def return_the_unserialisable() -> Any:
    return threading.Lock()


async def return_many(size: int) -> bytes:
    return bytes(size)


async def return_the_deep() -> Any:
    nested: list[Any] = []
    for _ in range(100_000):
        nested = [nested]
    return nested


async def swallow_cancellation(key: str, times: int) -> str:
    """Goes on after it was cancelled so many times, then returns a value."""
    canceled = 0
    while canceled < times:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            canceled += 1
            notes[key].append(canceled)
    return "a value"


async def swallow_exceptions(key: str) -> str:
    while True:
        try:
            await asyncio.sleep(60)
        except Exception as error:
            notes[key].append(type(error).__name__)


def swallow_exceptions_in_thread(key: str) -> str:
    pause = threading.Event()
    while True:
        try:
            pause.wait(0.005)
        except Exception as error:
            notes[key].append(type(error).__name__)


def swallow_everything_in_thread(key: str) -> str:
    pause = threading.Event()
    try:
        while True:
            pause.wait(0.005)
    except BaseException as error:
        notes[key].append(type(error).__name__)
    return "a value"


async def clean_up(key: str, seconds: float) -> None:
    try:
        await asyncio.sleep(60)
    finally:
        await asyncio.sleep(seconds)
        notes[key].append("cleaned up")


async def own_timeout() -> str:
    try:
        async with asyncio.timeout(0.02):
            await asyncio.sleep(60)
    except TimeoutError:
        return "its own"
    return "none"


async def leave_a_task_behind(key: str) -> None:
    async def later() -> None:
        await asyncio.sleep(0.02)
        notes[key].append("later")

    notes[key].append(asyncio.create_task(later()))
