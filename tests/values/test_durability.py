from __future__ import annotations

import pickle

import pytest

from aioq.values.durability import MEMORY, Durability, check_level
from aioq.values.errors import InvalidInput, NotDurable


def test_a_level_is_one_of_three() -> None:
    assert [check_level(each) for each in ("memory", "fsync", "replicated")] == ["memory", "fsync", "replicated"]

    for wrong in ("", "disk", 1, None, b"fsync", ["fsync"]):
        with pytest.raises(InvalidInput, match="durability="):
            check_level(wrong)


def test_it_reads_as_words() -> None:
    assert [str(each) for each in (MEMORY, Durability("fsync"), Durability("replicated", 2))] == [
        "memory",
        "fsync",
        "replicated (2)",
    ]


def test_the_error_says_that_the_job_is_there_and_can_be_pickled() -> None:
    error = NotDurable(["a", "b"], "fsync", 5)
    assert str(error).startswith("job a, b is in the queue, but was not known to be fsync within 5 s")
    again = pickle.loads(pickle.dumps(error))
    assert (again.job_ids, again.wanted, again.seconds, str(again)) == (("a", "b"), "fsync", 5, str(error))
