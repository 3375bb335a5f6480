"""A plain function as a job: the worker runs it on a thread."""

import asyncio

from aioq import Queue
from examples import jobs


async def main() -> None:
    async with Queue() as queue:
        # No keyword says that `digest` is a plain function: the worker sees that by itself.
        enqueued = [await queue.enqueue(jobs.digest, text, job_timeout=60) for text in ("a", "b", "c")]

        for job in enqueued:
            result = await job.result(timeout=60)
            # `job` is a snapshot from when it was enqueued; what the run has saved since must be fetched.
            meta = await job.get_meta()
            print(f"{result[:16]} computed on thread {meta['thread']}")


if __name__ == "__main__":
    asyncio.run(main())
