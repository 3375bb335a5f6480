"""A plain script: enqueue many jobs, gather their results."""

import asyncio
import time

from aioq import Queue
from examples import jobs

CITIES = ["Bergen", "Cairo", "Dakar", "Helsinki", "Lima", "Nairobi", "Oslo", "Quito", "Riga", "Sofia"]


async def main() -> None:
    async with Queue() as queue:
        started = time.monotonic()

        # One call enqueues all of them; awaiting `queue.enqueue` in a loop would take a round trip for each.
        enqueued = await queue.enqueue_many([Queue.prepare_data(jobs.look_up, (city,)) for city in CITIES])

        # All waits share one subscription, so waiting for many jobs costs no more connections than for one.
        results = await asyncio.gather(*(job.result(timeout=30) for job in enqueued))

        for result in results:
            print(result)

        print(f"{len(results)} jobs in {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    asyncio.run(main())
