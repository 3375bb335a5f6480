"""Django, in one file: enqueue in a view, ask for the job's status, fetch its result; all with plain calls."""

from typing import Any

from django.conf import settings
from django.core.wsgi import get_wsgi_application
from django.http import Http404, HttpRequest, JsonResponse
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from django.views.decorators.http import require_POST

from aioq import JobFailed
from aioq.sync import Job, Queue
from examples import jobs

settings.configure(ROOT_URLCONF=__name__, ALLOWED_HOSTS=["*"], SECRET_KEY="an example needs none", DEBUG=False)

# One Queue for the whole process: all threads share its connections. A server that forks may import this first.
queue = Queue()


def known_job(job_id: str) -> Job[Any]:
    job = queue.fetch_job(job_id)

    if job is None:
        raise Http404("there is no such job")

    return job


def enqueue(request: HttpRequest) -> JsonResponse:
    # Nobody wants the answer after a minute, so a job that has waited longer is not run.
    job = queue.enqueue(jobs.count_words, request.body.decode(), ttl="1m")
    return JsonResponse({"id": job.id}, status=202)


def status(request: HttpRequest, job_id: str) -> JsonResponse:
    job = known_job(job_id)
    return JsonResponse({"status": job.status, "meta": job.meta})


def result(request: HttpRequest, job_id: str) -> JsonResponse:
    job = known_job(job_id)

    try:
        value = job.result(timeout=min(30, float(request.GET.get("wait", 0))))
    except TimeoutError:
        return JsonResponse({"status": job.get_status()}, status=202)
    except JobFailed as error:
        # The whole traceback, error.exc_info, shows code and belongs in the log.
        return JsonResponse({"status": job.status, "error": error.error_type, "message": error.error_message})

    return JsonResponse({"status": "finished", "result": value})


urlpatterns = [
    path("words", csrf_exempt(require_POST(enqueue))),
    path("jobs/<job_id>", status),
    path("jobs/<job_id>/result", result),
]
application = get_wsgi_application()
