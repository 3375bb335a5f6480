"""Lost claims: a job may have arguments that are too large for what its server may send.

The reply of the claim then never reaches the worker. The job would be claimed and given back for ever.
"""

from __future__ import annotations

from dataclasses import dataclass

from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.errors import PayloadTooLarge
from aioq.values.record import JobRecord
from aioq.worker.large_outcomes import LARGE_BYTES, failed, report_refused
from aioq.worker.telling import tell_of_failure

#: So many claims of a job are lost in a row before it fails.
LOSSES_UNTIL_FAILED = 5


@dataclass(frozen=True, slots=True)
class LostClaim:
    """A job whose claims were lost again and again.

    Args:
        id: the id of the job.
        losses: how often in a row a claim of this job alone was lost, while a small call succeeded after it.

    """

    id: str
    losses: int

    async def fail(self, connection: Connection, store: Store, worker: str) -> None:
        """Fail the run that was claimed last if its arguments are large: small ones have another reason."""
        key = store.keys.job + self.id.encode()
        size, (status, name, fence, func) = await connection.calls(
            (("HSTRLEN", key, "data"), ("HMGET", key, "status", "worker", "fence", "func"))
        )

        if size <= LARGE_BYTES or status != b"started" or name != worker.encode():
            return

        claim = Claim(JobRecord(self.id, {b"func": func or b""}), int(fence))
        error = PayloadTooLarge(
            f"the arguments have {size} bytes and do not reach the worker, while smaller replies do: see"
            " client-output-buffer-limit of the server. Store them elsewhere, and pass a reference to them"
        )
        tell_of_failure(self.id, claim.record.func_name, store.queue, error, worker)
        ((command, claims),) = store.duty.end_commands([(claim, failed(claim, error))])
        report_refused(store.queue, [claims], await connection.calls((command,)), set())
