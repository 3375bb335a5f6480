"""The functions that the examples enqueue.

They are in a module of their own because a worker imports them by name ("examples.jobs.count_words").
"""

import asyncio
import hashlib
import sqlite3
import threading
from pathlib import Path

from aioq import Depends, current_job
from examples.database import get_session


async def count_words(text: str) -> int:
    if not text.strip():
        raise ValueError("there are no words to count")

    return len(text.split())


async def look_up(city: str) -> str:
    # Stands for a request to another service: while one job waits, the worker runs others.
    await asyncio.sleep(0.3)
    return f"{city}: {len(city) * 3} degrees"


def digest(text: str, rounds: int = 200_000) -> str:
    # A plain function: the worker runs it on a thread, so blocking work does not block the other jobs.
    job = current_job()
    job.meta["thread"] = threading.get_native_id()
    job.save_meta_sync()  # nothing can be awaited here; in a coroutine it is `await job.save_meta()`

    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"salt", rounds).hex()


def charge(order: int, session: sqlite3.Connection = Depends(get_session)) -> str:
    # The worker calls get_session, and closes the session when the run ends.
    session.execute("UPDATE orders SET paid = 1 WHERE id = ?", (order,))
    (item,) = session.execute("SELECT item FROM orders WHERE id = ?", (order,)).fetchone()

    return f"{item} is paid"


async def convert(pages: int) -> str:
    job = current_job()

    for page in range(1, pages + 1):
        await asyncio.sleep(0.1)
        # Only changed keys are written, so meta that others save meanwhile stays.
        job.meta["page"] = page
        await job.save_meta()

    return f"{pages} pages"


def read_report(path: str) -> str:
    return Path(path).read_text()
