"""A call and its options, turned into what is stored. All that can be refused is refused here."""

from __future__ import annotations

import secrets
from typing import Any

from aioq.client.task import Task
from aioq.store.store import Submission
from aioq.values.errors import PayloadTooLarge
from aioq.values.ids import new_id
from aioq.values.options import MAX_PAYLOAD, JobOptions
from aioq.values.record import META, Fields, JobRecord
from aioq.values.reference import refer
from aioq.values.serializer import PICKLE, Serializer


def prepare(
    func: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    options: JobOptions,
    serializer: Serializer = PICKLE,
    *,
    due: str = "",
    max_payload: int = MAX_PAYLOAD,
) -> Submission:
    """The job that a call makes.

    Args:
        func: a function, bound method, callable instance, task or dotted name.
        args: what it is called with, by position.
        kwargs: what it is called with, by name.
        options: checked options.
        serializer: for the arguments, meta values and the result.
        due: "" for now, "+ms" from now, or a moment in ms.
        max_payload: the most bytes that arguments and meta may have together.

    Raises:
        InvalidInput: what cannot be used, and why.

    """
    if isinstance(func, Task):
        options = options.over(func.options)
        func = func.function

    reference, instance = refer(func)
    reference.check(args, kwargs)
    fields: Fields = {b"func": reference.name.encode()}

    if args or kwargs or instance is not None:
        fields[b"data"] = serializer.dumps((instance, args, kwargs), f"an argument of {reference.name}")
    elif serializer is not PICKLE:
        fields[b"data"] = serializer.tag

    if options.meta:
        for name, value in options.meta.items():
            fields[META + name.encode()] = serializer.dumps(value, f"meta value {name!r}")

    _check_size(fields, reference.name, max_payload)

    if packed := options.packed():
        fields[b"opts"] = packed

    if options.failure_ttl_ms is not None:
        fields[b"failure_ttl"] = b"%d" % options.failure_ttl_ms

    return Submission(
        JobRecord(options.job_id or new_id(), fields),
        options.at_front,
        due,
        options.ttl_ms or 0,
        # An id that a user chose may be chosen twice; a repeated call is told from that by its nonce.
        secrets.token_hex(4) if options.job_id else "",
    )


def _check_size(fields: Fields, name: str, limit: int) -> None:
    size = sum(map(len, fields.values()))

    if size > limit:
        raise PayloadTooLarge(
            f"the arguments and meta of {name} have {size} bytes; the limit is {limit}."
            " Pass a reference to the data, or raise Queue(max_payload=…)"
        )
