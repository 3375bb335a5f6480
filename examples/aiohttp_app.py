"""aiohttp: enqueue in a handler, ask for the job's status, fetch its result."""

from collections.abc import AsyncIterator
from typing import Any

from aiohttp import web

from aioq import Job, JobFailed, Queue
from examples import jobs

QUEUE = web.AppKey("queue", Queue)
routes = web.RouteTableDef()


async def queue_context(app: web.Application) -> AsyncIterator[None]:
    # One Queue for the whole process: requests share its connections, and concurrent enqueues share round trips.
    async with Queue() as queue:
        app[QUEUE] = queue
        yield


async def known_job(request: web.Request) -> Job[Any]:
    job = await request.app[QUEUE].fetch_job(request.match_info["job_id"])

    if job is None:
        raise web.HTTPNotFound(text="there is no such job")

    return job


@routes.post("/words")
async def enqueue(request: web.Request) -> web.Response:
    # Nobody wants the answer after a minute, so a job that has waited longer is not run.
    job = await request.app[QUEUE].enqueue(jobs.count_words, await request.text(), ttl="1m")
    return web.json_response({"id": job.id}, status=202)


@routes.get("/jobs/{job_id}")
async def status(request: web.Request) -> web.Response:
    job = await known_job(request)
    return web.json_response({"status": job.status, "meta": job.meta})


@routes.get("/jobs/{job_id}/result")
async def result(request: web.Request) -> web.Response:
    job = await known_job(request)

    try:
        value = await job.result(timeout=min(30, float(request.query.get("wait", "0"))))
    except TimeoutError:
        return web.json_response({"status": await job.get_status()}, status=202)
    except JobFailed as error:
        # The whole traceback, error.exc_info, shows code and belongs in the log.
        told = {"error": error.error_type, "message": error.error_message}
        return web.json_response({"status": await job.get_status(), **told})

    return web.json_response({"status": "finished", "result": value})


def make_app(_argv: list[str]) -> web.Application:
    app = web.Application()
    app.add_routes(routes)
    app.cleanup_ctx.append(queue_context)
    return app
