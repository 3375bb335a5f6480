"""The job of `aioq demo`, in a module of its own so that a worker imports nothing else for it."""

from __future__ import annotations

import asyncio


async def count_words_at_url(url: str) -> int:
    """How many words the document at a URL has.

    Raises:
        ValueError: it is not an http:// or https:// URL.
        OSError: the document cannot be read; HTTPError if the server says so.

    """
    if not url.startswith(("http://", "https://")):
        raise ValueError(f"{url!r}: expected http:// or https://")

    return len((await asyncio.to_thread(_read, url)).split())


def _read(url: str) -> bytes:
    from urllib.request import urlopen  # noqa: PLC0415 - slow to import, and all commands import this module

    with urlopen(url, timeout=10) as response:  # noqa: S310 - the scheme was looked at
        content: bytes = response.read()

    return content
