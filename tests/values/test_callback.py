"""Callbacks as values: how they are stored in their job, and which ids are theirs."""

from __future__ import annotations

import pytest

from aioq.values.callback import Definition, Followed, callback_id, followed_by, read_definition


def test_a_definition_comes_back_as_it_was_stored() -> None:
    made = Definition(b"shop.tell", b'{"timeout": 1}', b"j[null, [], {}]")
    assert read_definition(made.pack()) == made


@pytest.mark.parametrize("stored", [b"", b"shop.tell", b"shop.tell x\n", b" 3\nabc", b"shop.tell -1\n"])
def test_what_is_no_definition_is_none(stored: bytes) -> None:
    assert read_definition(stored) is None


def test_the_id_of_a_callback_names_the_job_that_it_follows() -> None:
    assert followed_by(callback_id("a", 3, "on_success")) == Followed("a", "on_success")
    assert followed_by(callback_id("a", 3, "on_success", 2)) == Followed("a", "on_success", 2)


@pytest.mark.parametrize(
    "job_id", ["a", "a.3", ".3.on_success", "a.x.on_success", "a.3.never", "a.3.on_success.x", "a.3.b.c.d"]
)
def test_another_id_is_that_of_no_callback(job_id: str) -> None:
    assert followed_by(job_id) is None
