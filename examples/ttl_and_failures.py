"""What happens to jobs that come too late, and to jobs that fail. It starts its own worker."""

import asyncio
import tempfile
from pathlib import Path

from aioq import JobFailed, Queue, Worker
from aioq.errors import JobExpired
from examples import jobs


async def main() -> None:
    # A queue of its own, so that no other worker takes these jobs.
    async with Queue("reports") as queue:
        worker = Worker([queue])

        # No worker serves the queue yet, so this job waits longer than its ttl.
        late = await queue.enqueue(jobs.count_words, "a b c", ttl=0.2)

        try:
            await late.result()
        except JobExpired:
            print("too late:", await late.get_status(), "- jobs in the queue:", await queue.count())

        with tempfile.TemporaryDirectory() as folder:
            report = Path(folder) / "report.txt"
            job = await queue.enqueue(jobs.read_report, str(report))
            # burst: work until the queue is empty, then return.
            await worker.run(burst=True)

            try:
                await job.result()
            except JobFailed as error:
                print("failed:", error.error_type)

            registry = queue.failed_job_registry
            print("failed jobs:", await registry.count())

            # First fix the cause, then requeue the job: its id, arguments and meta are kept.
            report.write_text("all is well")
            await registry.requeue(job)
            print("failed jobs:", await registry.count(), "- jobs in the queue:", await queue.count())
            await worker.run(burst=True)
            print("result:", await job.result())


if __name__ == "__main__":
    asyncio.run(main())
