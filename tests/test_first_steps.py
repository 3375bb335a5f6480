"""The README's example and the quickstart, typed from top to bottom as a reader does, without the internet.

The lines that install something are tried by tests/system/test_packaging.py.
"""

from __future__ import annotations

import json
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.pages import ROOT, SHELL, Block, blocks
from tests.tools import eventually_sync


class Terminal:
    """A worker in a terminal of its own: what it prints may depend on that."""

    def __init__(self, line: str, place: Path, environment: dict[str, str]) -> None:
        self._master, slave = pty.openpty()
        self._printed = bytearray()
        self.process = subprocess.Popen(
            shlex.split(line), cwd=place, env=environment, stdin=slave, stdout=slave, stderr=slave
        )
        os.close(slave)
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    @property
    def text(self) -> str:
        return self._printed.decode()

    def _read(self) -> None:
        # Linux answers with an error when nobody has the other side any more.
        try:
            while some := os.read(self._master, 4096):
                self._printed += some
        except OSError:
            pass

    def end(self) -> int:
        self.process.send_signal(signal.SIGINT)
        code = self.process.wait(30)
        self._reader.join()
        os.close(self._master)

        return code


class Reader:
    """Does what a page says, block by block."""

    def __init__(self, place: Path, environment: dict[str, str]) -> None:
        self.place = place
        self.environment = environment
        self.worker: Terminal | None = None
        self._shown: str | None = None
        self._log: list[str] = []

    def follow(self, page: Path) -> None:
        for block in blocks(page):
            if block.skipped:
                continue

            if block.file:
                (self.place / block.file).write_text(block.code)
            elif block.language in SHELL:
                for line in block.code.splitlines():
                    self._type(line)
            elif block.language == "text":
                self._compare(block)

        # At the end, because a page shows all that a worker prints beside the command that starts it.
        worker, expected = self.worker, self._log
        assert worker is not None
        eventually_sync(
            lambda: without_chance(worker.text)[: len(expected)] == expected,
            describe=f"{expected} in {without_chance(worker.text)}",
        )

    def run(self, line: str) -> str:
        done = subprocess.run(
            ["sh", "-c", line], cwd=self.place, env=self.environment, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, ""), line

        return done.stdout

    def _type(self, line: str) -> None:
        words = shlex.split(line, comments=True)

        if not words or words[0] in ("pip", "make", ".") or "venv" in words:
            return

        if words[0] == "export":
            name, _, value = words[1].partition("=")
            self.environment[name] = value
        elif words[:2] == ["aioq", "worker"]:
            assert self.worker is None
            worker = self.worker = Terminal(line, self.place, self.environment)
            self._shown = None
            eventually_sync(lambda: "serves" in worker.text)
        else:
            self._shown = self.run(line)

    def _compare(self, block: Block) -> None:
        if self._shown is None:
            self._log += without_chance(block.code)
        else:
            assert without_chance(block.code) == without_chance(self._shown), f"{block.page.name}:{block.line}"


def without_chance(text: str) -> list[str]:
    """The lines, without what is another one each time, or in another version of Python."""
    text = re.sub(r"\x1b\[[\d;]*m", "", text)
    text = re.sub(r"\b\d\d:\d\d:\d\d\b", "TIME", text)
    text = re.sub(r"\bworker [\w-]+\.\d+\.[0-9a-f]+", "worker NAME", text)
    text = re.sub(r"\bjob [0-9a-v]{26}\b", "job ID", text)
    text = re.sub(r"\bin [\d.]+ m?s\b", "in SECONDS", text)
    text = re.sub(r'File "/[^"]*/', 'File "/FOLDER/', text)
    text = re.sub(r"embedded:///\S*/\.aioq", "embedded:///FOLDER/.aioq", text)

    return [line for line in text.splitlines() if line.strip(" ~^")]


@pytest.fixture
def readers(environment: dict[str, str]) -> Iterator[Callable[[], Reader]]:
    """Makes readers that sit before the same folder, one after the other."""
    # A short path: it holds the socket of an embedded server.
    place = Path(tempfile.mkdtemp(prefix="aioq-")).resolve()
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    all_of_them: list[Reader] = []

    def make() -> Reader:
        all_of_them.append(Reader(place, environment | {"PATH": path}))

        return all_of_them[-1]

    try:
        yield make
    finally:
        for reader in all_of_them:
            if reader.worker is not None and reader.worker.process.poll() is None:
                reader.worker.end()

        # An embedded server ends a moment after its last user, and may still write.
        eventually_sync(lambda: shutil.rmtree(place, ignore_errors=True) or not place.exists())


def test_the_example_of_the_readme_and_the_quickstart_after_it(readers: Callable[[], Reader]) -> None:
    reader = readers()
    reader.follow(ROOT / "README.md")
    assert reader.worker is not None
    assert reader.worker.end() == 0
    assert "Traceback" not in reader.worker.text

    # In the same folder, where the README's jobs.py stands: its worker has ended, as the quickstart asks for.
    reader = readers()
    reader.follow(ROOT / "docs/quickstart.md")

    def job() -> dict[str, object]:
        found: dict[str, object] = json.loads(reader.run("aioq job show report --json"))

        return found

    eventually_sync(lambda: job()["status"] == "finished")
    assert job()["result"] == 3
    assert reader.worker is not None
    assert reader.worker.end() == 0


def test_the_readme_fits_a_screen_or_two() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= 120
