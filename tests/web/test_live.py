"""Live pages: one reader for all browsers that show the same, and news only when there are any."""

from __future__ import annotations

import asyncio
import contextlib

from aioq.errors import ServerUnreachable
from aioq.web.live import Live, News
from tests.tools import eventually


async def heard(live: Live[str], key: str, found: list[News]) -> None:
    async for news in live.listen(key):
        found.append(news)


async def test_twenty_browsers_cost_one_reader_and_nobody_costs_none() -> None:
    reads: list[str] = []

    async def render(key: str) -> str:
        reads.append(key)
        return f"page {len(reads) // 5}"

    live = Live(render, pause=0.01)
    found: list[list[News]] = [[] for _ in range(20)]
    tasks = [asyncio.create_task(heard(live, "a", each)) for each in found]
    await eventually(lambda: all(len(each) > 2 for each in found))
    number = len(reads)
    assert all(len(each) <= number // 5 + 1 for each in found)  # what is the same is told once

    for task in tasks:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task

    number = len(reads)
    await asyncio.sleep(0.05)
    assert len(reads) == number
    assert live._channels == {}


async def test_trouble_is_told_and_ends() -> None:
    answers = iter(["one", ServerUnreachable("away"), ValueError("hidden"), "two"])

    async def render(_: str) -> str:
        answer = next(answers, "two")
        if isinstance(answer, Exception):
            raise answer
        return answer

    found: list[News] = []
    task = asyncio.create_task(heard(Live(render, pause=0.05), "a", found))
    await eventually(lambda: len(found) == 4)
    task.cancel()
    assert [each.kind for each in found] == ["page", "trouble", "trouble", "page"]
    assert "away" in found[1].text
    assert "hidden" not in found[2].text
