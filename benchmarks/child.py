"""The other end of Process: `python -m benchmarks.child module:function loop spec`."""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import sys
from collections.abc import AsyncIterator
from typing import Any


class Talk:
    """What a measured process says and hears."""

    def say(self, word: str, value: Any = None) -> None:
        sys.stdout.write(json.dumps([word, value]) + "\n")
        sys.stdout.flush()

    async def words(self) -> AsyncIterator[str]:
        """What the parent says, until it closes the pipe."""
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)

        while line := await reader.readline():
            yield line.decode().strip()


def main() -> None:
    role, loop, spec = sys.argv[1:]
    logging.basicConfig(level=logging.ERROR)  # warnings of jobs that fail on purpose are not what is measured
    module, name = role.split(":")
    function = getattr(importlib.import_module(f"benchmarks.{module}"), name)
    factory = importlib.import_module("uvloop").new_event_loop if loop == "uvloop" else None

    with asyncio.Runner(loop_factory=factory) as runner:
        runner.run(function(Talk(), **json.loads(spec)))


if __name__ == "__main__":
    main()
