"""Functions that tests enqueue. They are importable by worker processes."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from aioq import get_current_job


async def noop() -> None:
    pass


async def add(x: int, y: int) -> int:
    return x + y


def add_sync(x: int, y: int) -> int:
    return x + y


async def sleep(seconds: float) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def wait_for_file(path: str) -> None:
    while not Path(path).exists():
        await asyncio.sleep(0.01)


def sleep_sync(seconds: float) -> float:
    time.sleep(seconds)
    return seconds


def div_by_zero(x: int) -> float:
    return x / 0


async def current_id() -> str:
    await asyncio.sleep(0)
    return get_current_job().id


def current_id_sync() -> str:
    return get_current_job().id


async def many_bytes(count: int) -> bytes:
    return b"x" * count


async def fail_with_many_characters(count: int) -> None:
    raise ValueError("x" * count)


async def length(data: bytes) -> int:
    return len(data)
