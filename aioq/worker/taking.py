"""Taking: the results of other jobs, as arguments of a run. They are read once the run has begun."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, NamedTuple

from aioq.client.endings import ENDINGS, ending_error
from aioq.store import Store
from aioq.values.errors import BadSignature, DeserializationError, JobFailed, ResultNotKept
from aioq.values.record import JobRecord
from aioq.values.result_of import Place, put_at, told
from aioq.values.signature import FIX, SIGNED, inner
from aioq.worker.frames import next_frame, pack_frame

#: What the process of a job gets beside the fields of its job: each result under such a name.
FIELD = b"result of "
FIRST = FIELD + b"0"

#: What a result, or an error in its place, is read from.
_READ = (b"func", b"opts", b"status", b"result", b"error", b"reason")


class Taken(NamedTuple):
    """The result of another job, before it is read.

    Args:
        place: where it stands among the arguments.
        job_id: the other job.
        or_error: whether the function gets an error in its place if there is none.
        record: the other job; None: it is gone.

    """

    place: Place
    job_id: str
    or_error: bool
    record: JobRecord | None

    def value(self) -> Any:
        """The result; or an error as a value.

        Raises:
            DeserializationError: there is none of both, or it cannot be read here; a BadSignature, if it is not
                signed and the queue signs.

        """
        if self.record is not None and self.record.fields.get(b"status") == b"finished":
            return self._result(self.record)

        how = "gone" if self.record is None else self.record.fields.get(b"status", b"?").decode(errors="replace")

        if not self.or_error:
            raise DeserializationError(f"{self._named}, which is {how} and has none")

        if self.record is None or how not in ENDINGS:
            return JobFailed(self.job_id, f"it is {how}", None, f"it is {how}")

        return ending_error(self.record, {})

    def _result(self, record: JobRecord) -> Any:
        try:
            return record.result()
        except BadSignature as error:
            raise BadSignature(f"{self._named}: {error}") from None
        except ResultNotKept:
            raise DeserializationError(
                f"{self._named}, which had ended before this one was enqueued and keeps none: give it a result_ttl"
            ) from None
        except DeserializationError as error:  # its cause says whether a deploy may help
            raise DeserializationError(f"{self._named}: {error}") from error.__cause__

    @property
    def _named(self) -> str:
        return f"{told(self.place)} is the result of job {self.job_id}"


async def read_taken(record: JobRecord, store: Store) -> list[Taken]:
    """The results that a job takes.

    Args:
        record: the job, whose options are verified.
        store: its queue.

    Raises:
        ServerError: a server cannot be reached, or refuses.

    """
    edges = {name.partition("@")[0]: (letter, name.partition("@")[2]) for letter, name in record.edges}
    wanted = [(place, job_id, *edges.get(job_id, ("", ""))) for place, job_id in record.opts.get("results", ())]
    found: dict[tuple[str, str], JobRecord | None] = {}

    for queue in dict.fromkeys(queue for *_, queue in wanted):
        ids = list(dict.fromkeys(job_id for _, job_id, _, its_queue in wanted if its_queue == queue))
        home = store if queue in ("", store.queue) else Store(store.connection, queue)

        for job_id, each in zip(ids, await home.reads.load(ids), strict=True):
            found[job_id, queue] = each

    return [Taken(place, job_id, letter == "r", found[job_id, queue]) for place, job_id, letter, queue in wanted]


def with_results(
    taken: Iterable[Taken], args: Sequence[Any], kwargs: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments with the results in their places. Raises as `Taken.value`."""
    return put_at({each.place: each.value() for each in taken}, args, kwargs)


def packed_taken(taken: Sequence[Taken]) -> dict[bytes, bytes]:
    """The results as the process of a job gets them: proven, and without signatures.

    Raises:
        BadSignature: the queue signs, and one of them is not signed.

    """
    return {b"%s%d" % (FIELD, number): _packed(each) for number, each in enumerate(taken)}


def unpack_taken(fields: dict[bytes, bytes]) -> list[Taken]:
    """The results that came with the fields of a job, out of which they are taken."""
    return [_unpacked(fields.pop(name)) for name in list(fields) if name.startswith(FIELD)]


def _packed(each: Taken) -> bytes:
    head = json.dumps([each.place, each.job_id, each.or_error]).encode()

    if each.record is None:
        return pack_frame(head)

    fields, result = each.record.fields, each.record.fields.get(b"result", b"")

    if each.record.signer is not None and fields.get(b"status") == b"finished":
        if not each.record.has_signed_result():
            raise BadSignature(
                f"{told(each.place)} is the result of job {each.job_id}, and that is not signed. {FIX}"
            )

        fields = fields | {b"result": inner(result) if result[:1] == SIGNED else result}

    return pack_frame(head, *chain.from_iterable((name, fields[name]) for name in _READ if name in fields))


def _unpacked(packed: bytes) -> Taken:
    parts = next_frame(bytearray(packed))
    assert parts is not None
    head, *flat = parts
    place, job_id, or_error = json.loads(head)
    record = JobRecord(job_id, dict(zip(flat[::2], flat[1::2], strict=True))) if flat else None

    return Taken(place, job_id, or_error, record)
