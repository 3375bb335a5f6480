"""Flask: enqueue in a view, ask for the job's status, fetch its result; all with plain calls."""

from typing import Any

from flask import Flask, abort, request

from aioq import JobFailed
from aioq.sync import Job, Queue
from examples import jobs

# One Queue for the whole process: all threads share its connections. A server that forks may import this first.
queue = Queue()
app = Flask(__name__)


def known_job(job_id: str) -> Job[Any]:
    job = queue.fetch_job(job_id)

    if job is None:
        abort(404, "there is no such job")

    return job


@app.post("/words")
def enqueue() -> tuple[dict[str, str], int]:
    # Nobody wants the answer after a minute, so a job that has waited longer is not run.
    job = queue.enqueue(jobs.count_words, request.get_data(as_text=True), ttl="1m")
    return {"id": job.id}, 202


@app.get("/jobs/<job_id>")
def status(job_id: str) -> dict[str, Any]:
    job = known_job(job_id)
    return {"status": job.status, "meta": job.meta}


@app.get("/jobs/<job_id>/result")
def result(job_id: str) -> tuple[dict[str, Any], int]:
    job = known_job(job_id)

    try:
        value = job.result(timeout=min(30, request.args.get("wait", 0.0, type=float)))
    except TimeoutError:
        return {"status": job.get_status()}, 202
    except JobFailed as error:
        # The whole traceback, error.exc_info, shows code and belongs in the log.
        return {"status": job.status, "error": error.error_type, "message": error.error_message}, 200

    return {"status": "finished", "result": value}, 200
