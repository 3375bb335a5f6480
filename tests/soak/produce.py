"""The producer of a soak: `python -m tests.soak.produce URL FOLDER JOBS-PER-SECOND TTL`.

It enqueues numbered jobs at a steady pace until SIGTERM, and then writes `produced.json` into the folder.
"""

from __future__ import annotations

import asyncio
import json
import signal
import sys
from pathlib import Path

from aioq import JobFailed, Queue, ServerError
from aioq.errors import NotDurable
from tests.soak import jobs

#: Seconds between two batches, and how many calls may be under way; beyond that the pace falls behind.
TICK, MOST = 0.02, 2000

#: How long a result may take, in seconds: a killed worker's job is begun anew within ten.
PATIENCE = 60


class Producer:
    """Enqueues jobs of all kinds, and knows which of them were accepted."""

    def __init__(self, queue: Queue, folder: str) -> None:
        self.queue = queue
        self.folder = folder
        self.sent = 0
        self.unknown: list[int] = []
        self.unanswered: list[int] = []
        self.durable = 0
        self.not_durable: list[int] = []
        self._under_way: set[asyncio.Task[None]] = set()

    async def run(self, rate: float, stop: asyncio.Event) -> None:
        loop = asyncio.get_running_loop()
        due, last = 0.0, loop.time()

        while not stop.is_set():
            await asyncio.sleep(TICK)
            now = loop.time()
            # What an outage held up is not made up for: the load is to be steady.
            due, last = min(due + rate * (now - last), rate), now

            while due >= 1 and len(self._under_way) < MOST:
                task = asyncio.create_task(self._send(self.sent))
                self._under_way.add(task)
                task.add_done_callback(self._under_way.discard)
                self.sent, due = self.sent + 1, due - 1

        await asyncio.gather(*self._under_way)

    async def _send(self, number: int) -> None:
        try:
            job = await self._enqueue(number)
        except NotDurable:
            self.not_durable.append(number)
            return
        except ServerError:  # it may have arrived, and may not
            self.unknown.append(number)
            return

        if number % 50 == 0:
            try:
                assert await job.result(PATIENCE) in (number, None)
            except JobFailed:
                pass
            except Exception as error:
                self.unanswered.append(number)
                print(f"{number}: {error!r}", flush=True)

    async def _enqueue(self, number: int):
        queue, call = self.queue, (self.folder, number)

        match number % 100:
            case 0:
                return await queue.enqueue(jobs.fail, *call)
            case 1:
                return await queue.enqueue(jobs.fail_first, *call, retry=1)
            case 2:
                return await queue.enqueue_in(0.5, jobs.work, *call)
            case 3:
                return await queue.enqueue(jobs.work, *call, at_front=True, meta={"number": number})
            case 4:
                return await queue.enqueue(jobs.on_a_thread, *call)
            case 5:
                return await queue.enqueue(jobs.work, *call, ttl="1h", job_id=f"number-{number}")
            case 6 if number % 500 == 6:
                self.durable += 1
                return await queue.enqueue(jobs.work, *call, durability="fsync")

        return await queue.enqueue(jobs.work, *call)


async def main(url: str, folder: str, rate: str, ttl: str) -> None:
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)

    async with Queue(
        "default", url, default_result_ttl=float(ttl), default_failure_ttl=float(ttl), durability_timeout=10
    ) as queue:
        producer = Producer(queue, folder)
        await producer.run(float(rate), stop)

    names = ("sent", "unknown", "unanswered", "durable", "not_durable")
    Path(folder, "produced.json").write_text(json.dumps({name: getattr(producer, name) for name in names}))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
