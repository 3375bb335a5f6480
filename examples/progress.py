"""Progress: a job saves how far it is, and whoever enqueued it watches."""

import asyncio

from aioq import Queue
from examples import jobs


async def main() -> None:
    async with Queue() as queue:
        job = await queue.enqueue(jobs.convert, 12, meta={"page": 0, "of": 12})
        result = None

        while result is None:
            try:
                # Waiting for the result is also the pause between two reads of meta, so the end is seen at once.
                result = await job.result(timeout=0.3)
            except TimeoutError:
                meta = await job.get_meta()
                print(f"page {meta['page']} of {meta['of']}")

        print("done:", result)


if __name__ == "__main__":
    asyncio.run(main())
