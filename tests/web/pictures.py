"""Pictures of the dashboard: `python -m tests.web.pictures FOLDER`."""

from __future__ import annotations

import sys
import tempfile
import time
from pathlib import Path

from tests.conftest import Server
from tests.web.browsing import PATIENCE_MS, browser, fill, log_in, run_apart, shown

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
    ("search", "/jobs?q=fn:shop.*+state:failed", "light", 1280),
)

#: By then the worker has told of its runs, and the dashboard has read that: the plots are not empty. In seconds.
TOLD_BY = 15


def make(folder: Path) -> None:
    """Make all pictures."""
    folder.mkdir(parents=True, exist_ok=True)

    with tempfile.TemporaryDirectory(prefix="aioq-") as place:
        server = Server(Path(place), "--appendonly", "yes")
        server.start()

        try:
            with shown(server.tcp_url, Path(place)) as base, browser() as opened:
                run_apart(fill(server.tcp_url))
                time.sleep(TOLD_BY)

                for name, path, scheme, width in PICTURES:
                    size = {"width": width, "height": 800}
                    context = opened.new_context(color_scheme=scheme, viewport=size)
                    page = context.new_page()
                    page.set_default_timeout(PATIENCE_MS)
                    log_in(page, base)

                    if path == "failed":
                        page.goto(f"{base}/jobs?state=failed")
                        page.locator("td.call a").first.click()
                    else:
                        page.goto(base + path)

                    page.wait_for_load_state()
                    page.screenshot(path=folder / f"{name}.png", full_page=width > 400)
                    context.close()
        finally:
            server.stop(kill=True)


if __name__ == "__main__":
    make(Path(sys.argv[1]))
