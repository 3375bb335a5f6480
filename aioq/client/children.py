"""Children: jobs that a run adds to its own job, whose dependents wait for them, too."""

from __future__ import annotations

from aioq.client.call import Call
from aioq.values.errors import InvalidJobOperation
from aioq.values.submission import Answer


def refuse_lost_run(call: Call, answer: Answer) -> None:
    """Refuse a child of a run that does not count any more. Raises InvalidJobOperation."""
    if answer.verdict in ("stale", "gone") and call.child:
        job_id, _, _ = call.child.partition("/")
        why = "is gone" if answer.verdict == "gone" else "does not count any more: it has ended or lost its claim"

        raise InvalidJobOperation(f"add_child: the run of job {job_id} {why}. The child was not enqueued")
