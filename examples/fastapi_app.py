"""FastAPI: enqueue in a handler, ask for the job's status, fetch its result; one session for handlers and jobs."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Body, FastAPI, HTTPException, Query, Request, Response

from aioq import Job, JobFailed, Queue
from examples import jobs, orders


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncGenerator[None]:
    # One Queue for the whole process: requests share its connections, and concurrent enqueues share round trips.
    async with Queue() as queue:
        app.state.queue = queue
        yield


app = FastAPI(lifespan=lifespan)
app.include_router(orders.router)


async def known_job(request: Request, job_id: str) -> Job[Any]:
    job: Job[Any] | None = await request.app.state.queue.fetch_job(job_id)

    if job is None:
        raise HTTPException(404, f"there is no job {job_id}")

    return job


@app.post("/words", status_code=202)
async def enqueue(text: Annotated[str, Body()], request: Request) -> dict[str, str]:
    # Nobody wants the answer after a minute, so a job that has waited longer is not run.
    job = await request.app.state.queue.enqueue(jobs.count_words, text, ttl="1m")
    return {"id": job.id}


@app.get("/jobs/{job_id}")
async def status(job_id: str, request: Request) -> dict[str, Any]:
    job = await known_job(request, job_id)
    return {"status": job.status, "enqueued_at": job.enqueued_at, "meta": job.meta}


@app.get("/jobs/{job_id}/result")
async def result(
    job_id: str, request: Request, response: Response, wait: Annotated[float, Query(ge=0, le=30)] = 0
) -> dict[str, Any]:
    job = await known_job(request, job_id)

    try:
        return {"status": "finished", "result": await job.result(timeout=wait)}
    except TimeoutError:
        response.status_code = 202
        return {"status": await job.get_status()}
    except JobFailed as error:
        # The whole traceback, error.exc_info, shows code and belongs in the log.
        return {"status": await job.get_status(), "error": error.error_type, "message": error.error_message}
