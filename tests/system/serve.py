"""A worker process for tests: `python -m tests.system.serve URL QUEUES OPTIONS-AS-JSON`."""

import asyncio
import json
import logging
import sys

from aioq import Worker


async def main(url: str, queues: str, options: str) -> None:
    settings = json.loads(options)
    run = {name: settings.pop(name) for name in ("burst", "max_jobs") if name in settings}
    worker = Worker(queues.split(","), url, **settings)
    await worker.run(signals=True, ready=lambda: print("ready", worker.name, flush=True), **run)


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, stream=sys.stdout, format="%(asctime)s %(message)s")
    asyncio.run(main(*sys.argv[1:]))
