"""`aioq monitor` on a real terminal, with a real server and a real worker."""

from __future__ import annotations

import asyncio
import fcntl
import os
import pty
import re
import shutil
import signal
import struct
import termios
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Self

import pytest

from aioq import Connection, Queue
from aioq.cli.screen import monitor
from aioq.cli.screen.monitor import Monitor
from aioq.cli.screen.terminal import Terminal
from tests import jobs
from tests.cli.terminal import BACK, OnTerminal
from tests.cli.tools import Cli, Running
from tests.conftest import Server
from tests.tools import eventually, eventually_sync


def opened(cli: Cli, *words: str, **options: int) -> OnTerminal:
    return OnTerminal("monitor", *words, environment=cli.environment, **options)


def is_restored(terminal: OnTerminal) -> bool:
    """Whether the terminal is as it was, and was told so."""
    return terminal.settings == terminal.before and terminal.sent.rstrip().endswith(BACK)


def test_a_failed_job_is_found_and_requeued_and_a_queue_is_paused(cli: Cli) -> None:
    cli.fail("x", queue="mail")

    with opened(cli) as terminal:
        terminal.shows("> mail")
        assert not terminal.settings[3] & (termios.ICANON | termios.ECHO)
        terminal.press("\r", "> Queue mail")
        terminal.shows("> x")
        terminal.press("\x1b[B\r", "> Job x")
        terminal.shows("ZeroDivisionError: division by zero")
        terminal.press("r", "Job x is requeued.")
        terminal.shows("No live worker serves queue mail.")
        assert cli.status("x", "mail") == "queued"
        terminal.press("\x1b", "> Queue mail")
        terminal.press("P", "Pause queue mail? y, or any other key for no:")
        terminal.press("n", "Nothing was done.")
        assert not cli.do(Queue.is_paused, "mail")
        terminal.press("P", "Pause queue mail?")
        terminal.press("y", "Queue mail is paused. Runs in progress go on.")
        assert cli.do(Queue.is_paused, "mail")
        terminal.shows("Paused by ")
        terminal.press("?", "what it does")
        terminal.press("2", "[Failures]")
        terminal.press("q")
        assert terminal.ends() == 0
        assert is_restored(terminal)


@pytest.mark.chaos
def test_a_run_is_stopped_and_a_whole_failure_requeued(cli: Cli, start: Callable[..., Running]) -> None:
    cli.fail(*"abc")
    cli.enqueue("long", func=jobs.sleep, args=(600,))
    start("worker", "--concurrency", "2").says("serves")

    with opened(cli, "--interval", "500ms", columns=120, lines=40) as terminal:
        terminal.press("3", "[Workers]")
        terminal.shows("tests.jobs.sleep(600)")
        terminal.shows("slots 1/2")
        terminal.press("S", "Stop job long?")
        terminal.press("y", "Job long is stopped.")
        terminal.shows("No job runs.")
        assert cli.status("long") == "stopped"
        terminal.press("2", "3 failed jobs with 1 fingerprint")
        terminal.press("R", "Requeue 3 jobs with fingerprint")
        terminal.press("33\r", "Nothing was done.")
        terminal.press("R3\r", "3 jobs requeued.")
        eventually_sync(lambda: set(cli.failed()) == set("abc"), timeout=30)  # they fail again
        terminal.press("\x03")
        assert terminal.ends() == 0
        assert is_restored(terminal)


@pytest.mark.chaos
def test_a_server_that_is_away_is_told_and_the_screen_recovers(
    own_server: Callable[..., Server], environment: dict[str, str]
) -> None:
    server = own_server()
    cli = Cli(server.url, environment)
    cli.enqueue("x")

    with opened(cli, "--interval", "500ms") as terminal:
        terminal.shows("> default")
        server.stop()
        terminal.shows("As it was ")
        terminal.shows("> default")  # what was read last stays
        server.start()
        eventually_sync(lambda: "As it was " not in terminal.screen(), timeout=30)
        terminal.shows("There is no queue yet.")  # it kept nothing
        terminal.resize(60, 12)
        eventually_sync(lambda: len(terminal.screen().split("\n")) == 12, timeout=30)
        assert max(map(len, terminal.screen().split("\n"))) <= 60
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ends() == 128 + signal.SIGTERM
        assert is_restored(terminal)


@pytest.mark.chaos
def test_a_pause_asks_the_server_for_nothing_and_ctrl_z_gives_the_terminal_back(
    own_server: Callable[..., Server], environment: dict[str, str]
) -> None:
    server = own_server()
    cli = Cli(server.url, environment)
    cli.enqueue("x")

    with opened(cli, "--interval", "500ms") as terminal:
        terminal.shows("> default")
        terminal.press("p", "PAUSED")
        eventually_sync(lambda: asked(server) == asked(server, wait=1.2), timeout=30)
        terminal.press("\r", "> x")  # what is opened is read once
        eventually_sync(lambda: asked(server) == asked(server, wait=1.2), timeout=30)
        terminal.press("p")
        before = asked(server)
        eventually_sync(lambda: asked(server) > before + 4, timeout=30)
        terminal.press("\x1a")
        terminal.says(BACK)
        eventually_sync(lambda: os.waitpid(terminal.process.pid, os.WUNTRACED | os.WNOHANG)[0] != 0, timeout=30)
        assert terminal.settings == terminal.before
        sent = len(terminal.sent)
        terminal.process.send_signal(signal.SIGCONT)
        eventually_sync(lambda: "> x" in terminal.screen() and len(terminal.sent) > sent, timeout=30)
        assert terminal.settings != terminal.before
        terminal.press("q")
        assert terminal.ends() == 0
        assert is_restored(terminal)


def asked(server: Server, wait: float = 0) -> int:
    """How many scripts the server has run, now or after some seconds."""

    time.sleep(wait)  # nothing is to happen in this time
    stats = server.bare.info("commandstats")

    return int(stats.get("cmdstat_evalsha", {}).get("calls", 0))


def test_without_a_terminal_one_line_names_what_else_there_is(cli: Cli) -> None:
    for words in (("monitor",), ("monitor", "--interval", "1")):
        done = cli.call(*words)
        assert done.exit_code == 1
        assert done.stderr.count("\n") == 1
        assert "`aioq info`" in done.stderr

    status, seen = cli.on_terminal("monitor", environment={"TERM": "dumb"})
    assert status == 1
    assert "`aioq info`" in seen
    assert cli.call("monitor", "--interval", "never").exit_code == 2


class Screen:
    """A screen in this process, on a terminal of a test's own."""

    def __init__(self, url: str, interval: float = 0.05) -> None:
        self.own, self._its = pty.openpty()
        fcntl.ioctl(self.own, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
        self.connection = Connection(url)
        self.sent = b""
        self._interval = interval

    async def __aenter__(self) -> Self:
        os.set_blocking(self.own, False)
        asyncio.get_running_loop().add_reader(self.own, self._read)
        self.task = asyncio.create_task(self._run())

        return self

    async def __aexit__(self, *_: object) -> None:
        self.task.cancel()
        await asyncio.wait([self.task])
        await self.connection.aclose()
        self.close()
        os.close(self._its)

    async def _run(self) -> int:
        with Terminal(self._its, self._its) as terminal:
            return await Monitor(self.connection, terminal, self._interval, "utf-8").run()

    def _read(self) -> None:
        with suppress(OSError):
            self.sent += os.read(self.own, 65_536)

    def close(self) -> None:
        """As if its window was closed."""
        if self.own >= 0:
            asyncio.get_running_loop().remove_reader(self.own)
            os.close(self.own)
            self.own = -1

    async def press(self, keys: str, text: str) -> None:
        """Press keys, and wait until what is sent from then on has a text."""
        self.sent = b""
        os.write(self.own, keys.encode())
        await self.shows(text)

    async def shows(self, text: str) -> None:
        await eventually(lambda: text in self.text, timeout=20, describe=f"{text} in {self.text[-2000:]}")

    @property
    def text(self) -> str:
        return re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", self.sent.decode(errors="replace"))


async def test_a_server_that_goes_and_comes_and_what_signals_and_keys_do_to_the_screen(
    own_server: Callable[..., Server],
) -> None:
    server = own_server()

    async with Queue("mail", server.url) as queue, Screen(server.url) as screen:
        await queue.enqueue(jobs.noop)
        await screen.shows("> mail")
        await screen.press("P", "Pause queue mail?")
        await screen.press("y", "Queue mail is paused.")
        server.stop()
        await screen.press("", "As it was ")
        server.start()
        await screen.press("", "There is no queue yet.")
        await Queue("post", queue.connection).enqueue(jobs.noop)
        await screen.press("", "> post")
        await screen.press("p", "PAUSED")
        await screen.press("\x0c", "PAUSED")  # Ctrl-L draws it again
        screen.sent = b""
        os.kill(os.getpid(), signal.SIGWINCH)
        await screen.shows("PAUSED")
        await screen.press("/mxy\x7f", "mx")
        await screen.press("\x1b", "> post")
        os.kill(os.getpid(), signal.SIGHUP)
        assert await screen.task == 128 + signal.SIGHUP
        await eventually(lambda: BACK in screen.sent)


async def test_a_page_that_cannot_be_shown_is_told_and_the_screen_stays(
    queue: Queue, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fail(*_: object) -> None:
        raise ValueError("what is stored is damaged")

    async with Screen(server.url) as screen:
        await screen.shows("There is no queue yet.")
        with monkeypatch.context() as patched:
            patched.setattr(monitor, "read", fail)
            await screen.press("", "this page cannot be shown (ValueError")

            async def hang(*_: object) -> None:
                await asyncio.sleep(60)

            patched.setattr(monitor, "LONGEST_LOOK_S", 0.05)
            patched.setattr(monitor, "read", hang)
            await screen.press("", "the server has not answered for 0.05 s")
        screen.close()
        assert await screen.task == 0  # there is nobody any more who would see it


async def test_a_terminal_that_takes_nothing_gets_the_newest_frame_when_it_does() -> None:
    own, its = pty.openpty()
    gone: list[bool] = []
    os.set_blocking(own, False)

    with Terminal(its, its) as terminal:
        assert terminal.size == shutil.get_terminal_size()  # it does not say its own
        for text in (b"first" * 50_000, b"second", b"third"):
            terminal.show(text, lambda: gone.append(True))

        sent = b""

        def read() -> bool:
            nonlocal sent
            with suppress(BlockingIOError):
                while True:
                    sent += os.read(own, 65_536)
            return b"third" in sent

        await eventually(read)
        assert sent.count(b"first") == 50_000
        assert b"second" not in sent
        terminal.leave()
        terminal.leave()
        terminal.enter()
        os.close(own)
        assert terminal.read() == b""
        terminal.show(b"fourth", lambda: gone.append(True))
        assert gone == [True]

    os.close(its)
