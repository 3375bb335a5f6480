"""JobRecord: what is stored about one job, as a typed view of its hash.

Fields are read when they are asked for: a worker that only runs a job never pays for its timestamps, and a
field that a newer version wrote is kept as it is.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from aioq.values.callback import Followed, carried_fields, definitions_in, followed_by
from aioq.values.errors import DeserializationError
from aioq.values.group import read_place
from aioq.values.numbered import NumberedFields
from aioq.values.option import Field, Option, Packed, Word
from aioq.values.options import FAILURE_TTL_MS, TIMEOUT_MS
from aioq.values.repeat import Repeat
from aioq.values.retry import Retry
from aioq.values.states import JobStatus
from aioq.values.tags import read_tags
from aioq.values.webhook import FIELD, Webhook, stored_webhooks


class JobRecord(NumberedFields):
    """The stored fields of a job. Never changed in place: a change of state is a script's work.

    Args:
        job_id: the job.
        fields: what is stored of it.
        signer: of the queue, if what it stores is signed; then nothing else is read.

    """

    __slots__ = ()

    # What the scripts write, for a record that need not be loaded because of it

    def as_enqueued(self, created_ms: int, words: Mapping[str, str | int]) -> JobRecord:
        """The record once `enqueue` has stored it. Nobody else has seen its fields, so the new ones are put there.

        Args:
            created_ms: the server's clock.
            words: what else `enqueue` was told, as it stands in the Submission.

        """
        fields = self.fields
        fields[b"status"], fields[b"created_at"] = b"queued", b"%d" % created_ms

        if not words:
            return self

        has_parents, due = "parents" in words, str(words["due"]) if "due" in words else ""

        if due:
            fields[b"status"] = b"scheduled"
            fields[b"due_at"] = b"%d" % (created_ms + int(due[1:]) if due.startswith("+") else int(due))

        if has_parents:
            fields[b"status"], fields[b"parents"] = b"deferred", str(words["parents"]).encode()

        if "group" in words:
            fields[b"after"] = b"group=" + str(words["group"]).encode()

        if "ttl" in words:
            ttl_ms = int(words["ttl"])
            fields[b"ttl"] = b"%d" % ttl_ms

            if not due and not has_parents:
                fields[b"expires_at"] = b"%d" % (created_ms + ttl_ms)

        if "deferred_ttl" in words:
            deferred_ms = int(words["deferred_ttl"])
            fields[b"deferred_ttl"] = b"%d" % deferred_ms

            if has_parents:
                fields[b"expires_at"] = b"%d" % (created_ms + deferred_ms)

        if "nonce" in words:  # the id may have been another job's; the fences of this one are higher
            fields[b"fence"] = fields[b"uncounted"] = fields[b"created_at"]

        return self

    def as_claimed(self, fence: int, started_at: bytes, worker: bytes) -> JobRecord:
        """The record once `claim` has given the job to a worker. Nobody else has seen its fields, as above.

        Args:
            fence: the number of the claim.
            started_at: the server's clock.
            worker: the name of the worker.

        """
        fields = self.fields
        fields[b"status"], fields[b"fence"], fields[b"started_at"] = b"started", b"%d" % fence, started_at
        fields[b"worker"] = worker
        fields.pop(b"expires_at", None)

        return self

    def as_ended(self, status: str, value: bytes | None = None) -> JobRecord:
        """A record of the job in another state, as far as that is known without the server.

        Args:
            status: the state, a final one mostly.
            value: of the final state: the bytes of the result or of the error; None: not known.

        """
        fields = self.fields | {b"status": status.encode()}

        if value is not None:
            fields[b"result" if status == "finished" else b"error"] = value

        return JobRecord(self.id, fields, self.signer)

    @property
    def status(self) -> JobStatus:
        """Where the job stands.

        Raises:
            DeserializationError: what is stored is no state.

        """
        try:
            return JobStatus(self.fields.get(b"status", b"").decode())
        except ValueError:
            raise DeserializationError(
                f"job {self.id} is damaged: its status is {self.fields.get(b'status')!r}; it can only be deleted"
            ) from None

    def is_in(self, status: JobStatus) -> bool:
        """Whether the job is in this state."""
        return self.fields.get(b"status") == status.value.encode()

    @property
    def attempt(self) -> int:
        """How many runs count against the retries: all, but those that the user's code did not decide."""
        return max(0, self.fence - self._int(b"uncounted"))

    def is_claimed(self, fence: int) -> bool:
        """Whether the claim with this fence is the one that counts."""
        return self.is_in(JobStatus.STARTED) and self.fence == fence

    @property
    def deliveries(self) -> int:
        """How many runs ended without the user's code deciding: a lost worker, a shutdown."""
        return self._int(b"deliveries")

    @property
    def worker(self) -> str | None:
        return self._text(b"worker")

    @property
    def description(self) -> str | None:
        return self.opts.get("description")

    @property
    def timeout_ms(self) -> int:
        timeout_ms: int = self._unpack().get("timeout", TIMEOUT_MS)

        return timeout_ms

    @property
    def executor(self) -> str | None:
        """Where a plain function runs: on a thread of the worker, or in a process. None: a default applies."""
        return self._unpack().get("executor")

    @property
    def default_executor(self) -> str | None:
        """As `executor`, as the queue had it as its default: it is nothing to a function that is awaited."""
        return self._unpack().get("default_executor")

    @property
    def result_ttl_ms(self) -> int | None:
        """None where the worker's default applies."""
        return self._unpack().get("result_ttl")

    @property
    def ttl_ms(self) -> int | None:
        return self._int(b"ttl") or None

    @property
    def deferred_ttl_ms(self) -> int | None:
        return self._int(b"deferred_ttl") or None

    @property
    def failure_ttl_ms(self) -> int:
        return self._int(b"failure_ttl", FAILURE_TTL_MS)

    @property
    def retry(self) -> Retry | None:
        stored = self.opts.get("retry")

        return None if stored is None else Retry.from_dict(stored)

    @property
    def reason(self) -> str | None:
        """Why the job ended, if it was no run and no user that ended it."""
        return None if b"reason" not in self.fields else self.fields[b"reason"].decode(errors="replace")

    @property
    def repeat(self) -> Repeat | None:
        stored = self.opts.get("repeat")

        return None if stored is None else Repeat.from_dict(stored)

    @property
    def repeats(self) -> int:
        """How many runs of its series have ended, of a job that repeats."""
        return self._int(b"repeats")

    @property
    def callbacks(self) -> dict[str, str]:
        """The dotted names of the functions that are called when something becomes of the job, by their kind."""
        found = definitions_in(self.fields)

        return {kind: each.func.decode(errors="replace") for kind, each in found.items()}

    @property
    def webhooks(self) -> list[Webhook | None]:
        """The webhooks that are sent when something becomes of the job; None: one that cannot be read."""
        return [each.webhook() for each in stored_webhooks(self.fields.get(FIELD, b""))]

    @property
    def followed(self) -> Followed | None:
        """The job that this one follows as its callback; None if it is no callback."""
        return followed_by(self.id)

    @property
    def is_webhook(self) -> bool:
        """Whether it sends a webhook of the job that it follows."""
        return self.followed is not None and self.followed.number > 0

    def carried(self) -> JobRecord:
        """The job that this callback follows, as it was when the callback was made.

        Raises:
            DeserializationError: this is no callback, or what it carries is damaged.

        """
        followed, fields = self.followed, carried_fields(self.fields)

        if followed is None or b"status" not in fields or b"func" not in fields:
            raise DeserializationError(f"job {self.id} is a callback and does not carry the job that it follows")

        return JobRecord(followed.job_id, fields, self.signer)

    @property
    def group(self) -> str | None:
        """The name of the group that it is a member of, or that it follows from; None if there is none."""
        if (place := read_place(self.fields.get(b"after", b""))) is not None:
            return place.group

        return self.fields[b"group"].decode(errors="replace") if b"group" in self.fields else None

    @property
    def tags(self) -> tuple[str, ...]:
        """Its tags, in the order in which they were given."""
        return read_tags(self.fields.get(b"tags", b""))

    @property
    def fingerprint(self) -> str | None:
        """What it has failed of, as `aioq failures` groups it; None unless it is in the failed registry."""
        return self.fields[b"fingerprint"].decode(errors="replace") if b"fingerprint" in self.fields else None

    @property
    def edges(self) -> list[tuple[str, str]]:
        """The jobs that this one was told to wait for: the first letter of a policy, and a name.

        That is the id; if it is a job of another queue, `<id>@<queue>`.
        """
        parents = self.fields.get(b"parents", b"").decode(errors="replace")

        return [(each[0].lower(), each[1:]) for each in parents.split(",") if each]

    def option(self, option: Option) -> Any:
        """What is stored of an option, or what holds if nothing is."""
        stored = option.stored.field if isinstance(option.stored, Word) else option.stored

        if isinstance(stored, Packed):
            return self.opts.get(stored.key, stored.default)

        return self._int(stored.name, stored.default) if isinstance(stored, Field) else None
