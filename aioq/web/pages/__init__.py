"""Pages: the list of all pages. A new page is a file here, a template of its name, and a row in this list."""

from __future__ import annotations

from aioq.web.page import Page
from aioq.web.pages import audit, failures, job, jobs, matching, overview, queue, queues, workers

#: All pages, in the order of the navigation. The first one whose path fits is shown.
PAGES: tuple[Page, ...] = (
    overview.PAGE,
    queues.PAGE,
    jobs.PAGE,
    failures.PAGE,
    workers.PAGE,
    audit.PAGE,
    queue.PAGE,
    job.PAGE,
    matching.PAGE,
)
