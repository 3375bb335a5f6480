"""A real kernel of a notebook, which runs cells that make calls. It prints what each cell has printed or raised.

python -m tests.sync.notebook URL
"""

from __future__ import annotations

import json
import sys
import threading
import time
from typing import Any

from jupyter_client.manager import start_new_kernel

CELLS = {
    "plain": """
from aioq.sync import Queue
from tests import jobs
queue = Queue("default", {url!r})
print(queue.enqueue(jobs.add, 1, 2).result(timeout=10))
""",
    "in a function": """
def count():
    return queue.count()
print([count() for _ in range(2)])
""",
    "beside await": """
import asyncio
await asyncio.sleep(0)
print(queue.count(), count())
""",
    "awaited": """
import aioq
async with aioq.Queue("default", {url!r}) as other:
    print(await other.count())
""",
    "in a coroutine": """
async def main():
    return count()
await main()
""",
    "in a task": """
await asyncio.create_task(main())
""",
    "interrupted": """
queue.enqueue_in(600, jobs.noop).result()
""",
    "afterwards": """
print(queue.count())
""",
}


def main() -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    found: dict[str, str] = {}

    try:
        for name, code in CELLS.items():
            said: list[str] = []

            def hook(message: dict[str, Any], said: list[str] = said) -> None:
                if message["msg_type"] == "stream":
                    said.append(message["content"]["text"].strip())

            def interrupt() -> None:
                time.sleep(1)
                manager.interrupt_kernel()

            if name == "interrupted":
                threading.Thread(target=interrupt).start()

            reply = client.execute_interactive(code.format(url=sys.argv[1]), timeout=30, output_hook=hook)
            found[name] = reply["content"].get("ename") or " ".join(said)
    finally:
        client.stop_channels()
        manager.shutdown_kernel()

    print(json.dumps(found))


if __name__ == "__main__":
    main()
