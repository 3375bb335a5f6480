"""Meta: the changes of a job's own data, from its snapshot to what is stored."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import chain
from typing import Any, NamedTuple

from aioq.values.errors import PayloadTooLarge
from aioq.values.metacheck import check_meta
from aioq.values.options import MAX_PAYLOAD
from aioq.values.record import JobRecord
from aioq.values.signed import META, Fields


class MetaChanges(NamedTuple):
    """Meta values as they are to be stored: all of them, the changed ones, and the names of the removed ones."""

    present: Fields
    changed: Fields
    removed: list[bytes]


def changed_meta(record: JobRecord, values: Mapping[str, Any]) -> MetaChanges | None:
    """What is to be stored of meta values; None if nothing was changed.

    Args:
        record: the snapshot.
        values: the values, which may have been changed since.

    Raises:
        InvalidInput: they are no mapping of texts to values.
        SerializationError: a value cannot be serialised.
        PayloadTooLarge: the changed values have more than 1 MiB.

    """
    present = {META + name.encode(): record.pack_meta(name, value) for name, value in check_meta(values).items()}
    changed = {name: value for name, value in present.items() if not record.is_same_meta(name, value)}
    removed = [name for name in record.meta_fields() if name not in present]

    if (size := sum(map(len, chain.from_iterable(changed.items())))) > MAX_PAYLOAD:
        raise PayloadTooLarge(
            f"the changed meta values of job {record.id} have {size} bytes; the limit is {MAX_PAYLOAD}."
            " Store a reference to the data instead"
        )

    return MetaChanges(present, changed, removed) if changed or removed else None


def with_meta(record: JobRecord, present: Fields) -> JobRecord:
    """The record once these meta values are stored."""
    others = {name: value for name, value in record.fields.items() if not name.startswith(META)}

    return JobRecord(record.id, others | present, record.signer)
