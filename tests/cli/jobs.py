"""Jobs that let loose on a worker's event loop what would end the process, and one that fails in two lines."""

from __future__ import annotations

import asyncio
import sys

from aioq import current_job


class DeclinedError(Exception):
    pass


def decline() -> None:
    raise DeclinedError("402 \x1b[1mdeclined\nFor more information: https://errors.example/402")


async def loop_name() -> str:
    return type(asyncio.get_running_loop()).__module__


async def leave() -> None:
    sys.exit(3)


async def interrupt() -> None:
    raise KeyboardInterrupt


async def unwatched_tasks() -> str:
    """Tasks that nobody awaits raise SystemExit and KeyboardInterrupt; the job itself goes on."""
    tasks = [asyncio.create_task(leave()), asyncio.create_task(interrupt())]
    await asyncio.wait(tasks)
    return ", ".join(type(task.exception()).__name__ for task in tasks)


def unwatched_callback() -> None:
    raise SystemExit(4)


async def late_callback() -> str:
    asyncio.get_running_loop().call_soon(unwatched_callback)
    await asyncio.sleep(0.01)
    return "done"


async def cancel_everything() -> None:
    for task in asyncio.all_tasks():
        task.cancel()


async def awaited_task() -> None:
    await asyncio.create_task(leave())


async def cancel_another(job_id: str) -> None:
    other = await current_job().queue.fetch_job(job_id)
    await other.cancel()
