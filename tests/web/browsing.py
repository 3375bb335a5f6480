"""A dashboard and a worker as processes, with jobs of a shop, for a browser."""

from __future__ import annotations

import asyncio
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from aioq import Queue, Retry
from aioq.store.connection import PREFIX_VARIABLE
from aioq.store.keys import PREFIX

ROOT = Path(__file__).parent.parent.parent

TOKEN = "the-token-of-the-pictures"

#: A busy machine is slow. In ms.
PATIENCE_MS = 15_000


@contextmanager
def command(
    url: str, folder: Path, *words: str, prefix: str = PREFIX, token: str = TOKEN
) -> Iterator[subprocess.Popen[str]]:
    """`aioq`, as a process."""
    environment = os.environ | {"AIOQ_REDIS_URL": url, "PYTHONPATH": str(ROOT), "AIOQ_WEB_TOKEN": token}
    environment |= {PREFIX_VARIABLE: prefix}
    process = subprocess.Popen(
        [sys.executable, "-m", "aioq", *words],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )

    try:
        yield process
    finally:
        process.terminate()
        process.wait(30)
        process.stdout.close()


@contextmanager
def shown(url: str, folder: Path, prefix: str = PREFIX) -> Iterator[str]:
    """The address of a dashboard that allows actions, while a worker serves three queues of four."""
    shutil.copy(Path(__file__).with_name("shop.py"), folder)

    with ExitStack() as stack:
        stack.enter_context(
            command(
                url,
                folder,
                "worker",
                "mail",
                "billing",
                "nightly",
                "-c",
                "8",
                "--name",
                "web-1",
                "--shutdown-timeout",
                "1",
                prefix=prefix,
            )
        )
        web = stack.enter_context(command(url, folder, "web", "--port", "0", "--allow-actions", prefix=prefix))
        yield address_in(web)


def address_in(process: subprocess.Popen[str]) -> str:
    """The address of the dashboard that a command has printed."""
    for line in process.stdout:
        if found := re.search(r"dashboard is at (http://\S+)/\s", line):
            return found[1]

    raise AssertionError(f"no dashboard was started; the command ended with status {process.wait()}")


async def fill(url: str, prefix: str = PREFIX) -> None:
    """Jobs in most states. Those that end have ended when this returns, if a worker runs."""
    async with Queue("mail", url, prefix=prefix) as mail:
        billing, nightly, reports = (Queue(name, mail.connection) for name in ("billing", "nightly", "reports"))
        sent = [
            await mail.enqueue("shop.send", f"user{n}@example.org", copies=n, result_ttl=3600) for n in range(24)
        ]
        await mail.enqueue_in(3600, "shop.send", "later@example.org")
        failed = [
            await billing.enqueue(
                "shop.charge",
                order=n,
                amount=12.5,
                retry=Retry(2, interval=0.5),
                meta={"order": n, "shop": "web-2"},
            )
            for n in range(3)
        ]
        await nightly.pause(3600)
        await nightly.enqueue("shop.report", "night")

        for week in range(3):
            await reports.enqueue("shop.report", f"week-{week}")

        long = [
            await billing.enqueue("shop.report", f"{month} 2026", job_timeout=900) for month in ("May", "June")
        ]
        middle = await billing.enqueue("shop.send", "boss@example.org", depends_on=long, job_id="summary")
        await billing.enqueue("shop.charge", order=8, amount=1.0, depends_on=middle, job_id="bill")
        await billing.enqueue("shop.send", "archive@example.org", depends_on=middle, job_id="archive")
        deadline = time.monotonic() + 60

        while [await job.get_status() for job in (*sent, *failed)] != ["finished"] * 24 + ["failed"] * 3:
            assert time.monotonic() < deadline
            await asyncio.sleep(0.2)


def run_apart(work: Coroutine[Any, Any, Any]) -> Any:
    """What a coroutine brings, from a thread of its own: the browser's library has an event loop in this one."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, work).result()


def browser_path() -> str | None:
    """The browser of the system; None if there is none."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@contextmanager
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as started:
        # The sandbox does not work for root, as whom containers run.
        opened = started.chromium.launch(executable_path=browser_path(), args=["--no-sandbox"])
        yield opened
        opened.close()


def log_in(page: Any, base: str) -> None:
    page.goto(f"{base}/login")
    page.fill("#token", TOKEN)
    page.click("main button")
    page.wait_for_url(f"{base}/")
