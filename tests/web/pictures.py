"""Pictures of the dashboard: `python -m tests.web.pictures FOLDER`."""

from __future__ import annotations

import asyncio
import sys
import tempfile
import time
from io import BytesIO
from pathlib import Path
from typing import Any

from PIL import Image

from aioq import Queue
from tests.conftest import Server
from tests.web.browsing import PATIENCE_MS, address_in, browser, command, fill, log_in, run_apart, shown
from tests.web.history import PREFIX, pass_an_hour

#: How a picture is made: its name, the path, dark or light, and the width of the window.
PICTURES = (
    ("overview", "/", "light", 1280),
    ("overview-dark", "/", "dark", 1280),
    ("overview-phone", "/", "light", 390),
    ("job", "failed", "light", 1280),
    ("job-dark", "failed", "dark", 1280),
    ("job-phone", "failed", "dark", 390),
    ("graph", "/jobs/summary", "light", 1280),
    ("jobs", "/jobs?state=failed", "light", 1280),
    ("workers", "/workers", "light", 1280),
    ("failures", "/failures", "light", 1280),
    ("failures-phone", "/failures", "light", 390),
    ("plots", "/queues/billing?map=run", "light", 1280),
    ("plots-dark", "/queues/billing?map=run", "dark", 1280),
    ("plots-phone", "/queues/billing?map=run#past", "light", 390),
    ("search", "/jobs?q=fn:shop.*+state:failed", "light", 1280),
)

#: A window that is no wider is that of a phone, whose pictures show one screen. The others end at this height.
PHONE_WIDTH, MOST_HEIGHT = 400, 1600

#: Pages have few colours, and letters have smooth edges. So many make no difference that can be seen.
COLOURS = 256

#: A worker tells within ten seconds what it has done. A busy machine is slow. In seconds.
TOLD_WITHIN_S = 60


def make(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(prefix="aioq-") as place, browser() as opened:
        server = Server(Path(place), "--appendonly", "yes")
        server.start()

        try:
            take_of_shop(opened, server.tcp_url, Path(place), folder)
            take_of_demo(opened, Path(place), folder)
        finally:
            server.stop(kill=True)


def take_of_shop(opened: Any, url: str, place: Path, folder: Path) -> None:
    """The pictures for the documentation: a shop, after an hour of work."""
    run_apart(pass_an_hour(url))

    with shown(url, place, PREFIX) as base:
        run_apart(fill_and_tell(url))

        for name, path, scheme, width in PICTURES:
            context = opened.new_context(color_scheme=scheme, viewport={"width": width, "height": 800})
            page = context.new_page()
            page.set_default_timeout(PATIENCE_MS)
            log_in(page, base)

            if path == "failed":
                page.goto(f"{base}/jobs?state=failed")
                page.locator("td.call a").first.click()
            else:
                page.goto(base + path)

            take(page, folder / f"{name}.png")
            context.close()


def take_of_demo(opened: Any, place: Path, folder: Path) -> None:
    """The picture for the README: a job of `aioq demo --web` that has failed, and went well the second time."""
    with command("", place, "demo", "--web", token="") as process:
        page = opened.new_page(viewport={"width": 1280, "height": 800})
        page.set_default_timeout(PATIENCE_MS)
        page.goto(f"{address_in(process)}/jobs?state=finished")
        page.locator("td.call a").first.click()  # the last ones are those that were brought back
        page.wait_for_selector("h1.job")
        take(page, folder / "demo.png")
        page.close()


def take(page: Any, path: Path) -> None:
    """Take a picture of a page: of a phone what its window shows, else down to a limit. It is made small."""
    page.wait_for_load_state()
    size = page.viewport_size
    height = page.evaluate("document.documentElement.scrollHeight")
    clip = {"x": 0, "y": 0, "width": size["width"], "height": min(height, MOST_HEIGHT)}
    taken = page.screenshot(full_page=True, clip=clip) if size["width"] > PHONE_WIDTH else page.screenshot()
    few_colours(Image.open(BytesIO(taken)).convert("RGB")).save(path, optimize=True)


def few_colours(picture: Image.Image) -> Image.Image:
    """The same picture with the colours that it has most of. Bright ones count for more: a mark is small."""
    found = picture.getcolors(picture.width * picture.height)
    found.sort(key=lambda each: each[0] * (8 + max(each[1]) - min(each[1])), reverse=True)
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for _, colour in found[:COLOURS] for part in colour])

    return picture.quantize(palette=palette, dither=Image.Dither.NONE)


async def fill_and_tell(url: str) -> None:
    """Fill the queues, and wait until the worker has told what it has done of that."""
    async with Queue("mail", url, prefix=PREFIX) as mail:

        async def finished() -> int:
            return (await mail.statistics(since="2h")).total.finished

        before, deadline = await finished(), time.monotonic() + TOLD_WITHIN_S
        await fill(url, PREFIX)

        while await finished() < before + 24:
            assert time.monotonic() < deadline, "the worker has not told what it has done"
            await asyncio.sleep(0.5)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
