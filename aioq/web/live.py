"""Live: pages that are read again and again, once for all browsers that show the same."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Generic, NamedTuple, TypeVar

from aioq.values.errors import ServerError

K = TypeVar("K")

#: Seconds between two looks at a page, and how many times as long as a look takes there is a pause at least.
PAUSE_S, PAUSE_SHARE = 2.0, 20.0

#: A browser asks anew after this time, in seconds: whether it may still look is checked then.
STREAM_S = 300.0

#: Browsers and different pages that are served at once; others keep what they have.
MOST_BROWSERS, MOST_PAGES = 500, 100


class News(NamedTuple):
    """What a browser hears.

    Args:
        kind: page (how it looks now) or trouble (it cannot be read).
        text: the page's main part, or what the trouble is.

    """

    kind: str
    text: str


class _Channel:
    """One page, and who hears of it. Whoever is slow hears the last news only."""

    def __init__(self) -> None:
        self.heard_by: set[asyncio.Queue[News | None]] = set()
        self.last: News | None = None
        self.task: asyncio.Task[None] | None = None

    def tell(self, news: News | None) -> None:
        """Let all hear this; None: there will be no more."""
        self.last = news

        for each in self.heard_by:
            if each.full():
                each.get_nowait()

            each.put_nowait(news)


class Live(Generic[K]):
    """Pages that are read for browsers.

    Args:
        render: brings the main part of a page.
        pause: seconds between two looks.

    """

    def __init__(self, render: Callable[[K], Awaitable[str]], pause: float = PAUSE_S) -> None:
        self._render = render
        self._pause = pause
        self._channels: dict[K, _Channel] = {}

    @property
    def is_full(self) -> bool:
        """Whether no more browsers are served."""
        return (
            len(self._channels) >= MOST_PAGES
            or sum(len(each.heard_by) for each in self._channels.values()) >= MOST_BROWSERS
        )

    async def listen(self, key: K) -> AsyncIterator[News]:
        """What becomes of a page, until it is time to ask anew. The page is read while anybody listens."""
        channel = self._channels.setdefault(key, _Channel())
        mine: asyncio.Queue[News | None] = asyncio.Queue(1)
        channel.heard_by.add(mine)

        if channel.last is not None:
            mine.put_nowait(channel.last)

        if channel.task is None:
            channel.task = asyncio.create_task(self._watch(key, channel), name="aioq web: a live page")

        deadline = time.monotonic() + STREAM_S

        try:
            while (left := deadline - time.monotonic()) > 0:
                try:
                    news = await asyncio.wait_for(mine.get(), left)
                except TimeoutError:
                    return

                if news is None:
                    return

                yield news
        finally:
            channel.heard_by.discard(mine)

            if not channel.heard_by and channel.task is not None:
                channel.task.cancel()
                self._channels.pop(key, None)

    def end(self) -> None:
        """Let all browsers go, since the process ends."""
        for channel in self._channels.values():
            channel.tell(None)

    async def _watch(self, key: K, channel: _Channel) -> None:
        while True:
            begun = time.monotonic()

            try:
                news = News("page", await self._render(key))
            except ServerError as error:
                news = News("trouble", str(error))
            except Exception as error:  # noqa: BLE001 - the page is gone, say; the browsers see that when they load it
                news = News("trouble", f"This page cannot be read now ({type(error).__name__}). Load it again.")

            if news != channel.last:
                channel.tell(news)

            await asyncio.sleep(max(self._pause, (time.monotonic() - begun) * PAUSE_SHARE))
