"""`aioq web`: the dashboard as a process."""

from __future__ import annotations

import re
import signal
from collections.abc import Callable
from pathlib import Path

import httpx

from tests.cli.tools import Cli, Running


def test_it_serves_and_ends_while_a_page_is_live(cli: Cli, start: Callable[..., Running]) -> None:
    cli.enqueue("x")
    running = start("web", "--port", "0")
    running.says("The dashboard is at http://127.0.0.1:", 50)
    base = re.search(r"http://\S+", running.stdout)[0]
    assert "default" in httpx.get(base, timeout=60).text

    with httpx.stream("GET", f"{base}live/queues", timeout=60) as stream:
        lines = stream.iter_lines()
        found = [next(lines) for _ in range(12)]
        assert "event: page" in found
        assert any("data: <h1>Queues</h1>" in line for line in found)
        running.signal(signal.SIGTERM)
        assert running.ends() in (0, -signal.SIGTERM)

    assert running.stderr == ""


def test_others_need_a_token(cli: Cli, tmp_path: Path) -> None:
    for words, text in (
        (["--host", "0.0.0.0"], "--host 0.0.0.0: others can reach it, so it needs a token."),
        (["--allow-actions"], "--allow-actions: actions need a token."),
        (["--token-file", str(tmp_path / "none")], "it cannot be read"),
        (["--root-path", "x/"], "expected a path such as /aioq"),
    ):
        result = cli.call("web", *words)
        assert result.exit_code in (1, 2)
        assert text in result.stderr
        assert "Traceback" not in result.stderr
