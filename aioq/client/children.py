"""Children: jobs that a run adds to its own job, whose dependents wait for them, too."""

from __future__ import annotations

from aioq.client.call import Call
from aioq.values.errors import InvalidJobOperation
from aioq.values.submission import Answer

#: What the server answers if a run does not count any more that is to have a child, or its job is gone.
LOST_RUN = frozenset(("stale", "gone"))


def lost_run(call: Call, answer: Answer) -> InvalidJobOperation:
    """The error of a child whose run does not count any more."""
    job_id, _, _ = call.child.partition("/")
    why = "is gone" if answer.verdict == "gone" else "does not count any more: it has ended or lost its claim"

    return InvalidJobOperation(f"add_child: the run of job {job_id} {why}. The child was not enqueued")
