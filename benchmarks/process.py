"""A measured process, seen from the one that measures. They speak in lines of JSON over its pipes."""

from __future__ import annotations

import json
import os
import select
import subprocess
import time
from typing import Any, Self

from benchmarks.machine import on_core

#: Longer than any single step takes; then something is wrong, and the run must not hang for ever.
PATIENCE = 900.0


class Process:
    """A fresh Python that runs one coroutine function.

    Args:
        role: "module:function"; it is called with a Talk and the keywords of `spec`.
        core: where it is pinned.
        python: its interpreter.
        uvloop: run it on uvloop.
        environment: more variables.
        spec: the arguments; what JSON can hold.

    """

    def __init__(
        self,
        role: str,
        core: int | None,
        *,
        python: str,
        uvloop: bool,
        environment: dict[str, str] | None = None,
        **spec: Any,
    ) -> None:
        command = [
            python,
            "-m",
            "benchmarks.child",
            role,
            "uvloop" if uvloop else "asyncio",
            json.dumps(spec),
        ]

        with on_core(core):
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=os.environ | (environment or {}),
            )

        self.role, self.pid = role, self._process.pid
        self._heard = b""

    def hear(self, word: str, patience: float = PATIENCE) -> Any:
        """Wait for a message that begins with this word; what it brings."""
        said, value = json.loads(self._line(word, time.monotonic() + patience))

        if said != word:
            raise RuntimeError(f"{self.role} said {said!r}; expected {word!r}")

        return value

    def say(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word.encode() + b"\n")
        self._process.stdin.flush()

    def ask(self, word: str, patience: float = PATIENCE) -> Any:
        """Say a word and what belongs to it, and wait for the answer, which begins with the same word."""
        self.say(word)

        return self.hear(word.split(maxsplit=1)[0], patience)

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        self._process.kill()
        self._process.wait()

    def _line(self, word: str, deadline: float) -> bytes:
        assert self._process.stdout is not None
        pipe = self._process.stdout.fileno()

        while b"\n" not in self._heard:
            if not select.select([pipe], [], [], max(0, deadline - time.monotonic()))[0]:
                raise TimeoutError(f"{self.role} has not said {word!r} in time")

            part = os.read(pipe, 1 << 20)

            if not part:
                raise RuntimeError(f"{self.role} ended with status {self._process.wait()} before it said {word!r}")

            self._heard += part

        line, _, self._heard = self._heard.partition(b"\n")

        return line

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is not None:
            self._process.kill()

        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.close()  # the child takes the end of its input as the word to stop

        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self.kill()

        self._process.stdout.close()
