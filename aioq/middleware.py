"""Types for middleware: what runs around each enqueue of a queue, and around each run of a worker."""

from aioq.client.middleware import EnqueuedCall, EnqueueMiddleware, EnqueueNext
from aioq.worker.middleware import RunMiddleware, RunNext

__all__ = ["EnqueueMiddleware", "EnqueueNext", "EnqueuedCall", "RunMiddleware", "RunNext"]
