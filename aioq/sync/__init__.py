"""aioq for code without an event loop: the same names and arguments, as plain calls.

>>> from aioq.sync import Queue
>>> queue = Queue("default", connection="redis://localhost:6379/0")  # doctest: +SKIP
>>> job = queue.enqueue(count_words_at_url, "http://nvie.com")  # doctest: +SKIP
>>> job.result(timeout=10)  # doctest: +SKIP
"""

from aioq.sync.context import CurrentJob, current_job, get_current_job
from aioq.sync.group import Group
from aioq.sync.job import Job
from aioq.sync.queue import Queue
from aioq.sync.registry import Registry

__all__ = ["CurrentJob", "Group", "Job", "Queue", "Registry", "current_job", "get_current_job"]
