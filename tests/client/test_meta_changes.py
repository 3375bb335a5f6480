"""The changes of a job's own data, without a server."""

from __future__ import annotations

import pytest

from aioq.client.meta import changed_meta, with_meta
from aioq.values.errors import InvalidInput, PayloadTooLarge, SerializationError
from aioq.values.options import MAX_PAYLOAD
from aioq.values.record import JobRecord
from aioq.values.serializer import PICKLE
from aioq.values.signed import Unreadable


def stored(**values: object) -> JobRecord:
    packed = {b"meta." + name.encode(): PICKLE.dumps(value, name) for name, value in values.items()}

    return JobRecord("a", {b"status": b"started", **packed})


def test_only_what_was_changed_added_or_removed_is_stored() -> None:
    record = stored(same=1, old=2, gone=3)
    changes = changed_meta(record, {"same": 1, "old": 5, "new": 6})

    assert changes is not None
    assert changes.changed == {b"meta.old": PICKLE.dumps(5, "it"), b"meta.new": PICKLE.dumps(6, "it")}
    assert changes.removed == [b"meta.gone"]
    assert with_meta(record, changes.present).meta == {"same": 1, "old": 5, "new": 6}
    assert with_meta(record, changes.present).fields[b"status"] == b"started"
    assert record.meta == {"same": 1, "old": 2, "gone": 3}


def test_nothing_is_stored_where_nothing_was_changed() -> None:
    record = stored(a=[1, 2])

    assert changed_meta(record, record.meta) is None
    assert changed_meta(stored(), {}) is None


def test_a_value_that_cannot_be_read_here_is_kept_as_it_is() -> None:
    record = JobRecord("a", {b"meta.a": b"pjunk"})

    assert isinstance(record.meta["a"], Unreadable)
    assert changed_meta(record, record.meta) is None


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({1: 2}, InvalidInput),
        ([1], InvalidInput),
        ({"a": lambda: None}, SerializationError),
        ({"a": b"x" * MAX_PAYLOAD}, PayloadTooLarge),
    ],
    ids=["key", "list", "lambda", "size"],
)
def test_what_cannot_be_stored_is_refused(values, error: type[Exception]) -> None:
    with pytest.raises(error):
        changed_meta(stored(), values)
