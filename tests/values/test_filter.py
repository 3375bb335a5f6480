"""Which jobs a search is for, as a text."""

from __future__ import annotations

import contextlib
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.errors import InvalidInput, InvalidType
from aioq.values.filter import Filter, make_filter
from aioq.values.states import JobStatus
from aioq.values.tags import check_tags, read_tags


def test_a_text_says_a_filter() -> None:
    text = 'state:failed state:stopped fn:shop.* tag:vip error:"time out" worker:w1 meta.user:7 id:a refused'
    assert Filter.parse(text) == make_filter(
        ids="a",
        states=["failed", JobStatus.STOPPED],
        functions="shop.*",
        tags=["vip"],
        errors="time out",
        workers="w1",
        meta={"user": 7},
        texts="refused",
    )
    assert Filter.parse("") == Filter()
    assert Filter.parse("after:2026-01-31").after == datetime(2026, 1, 31, tzinfo=UTC)
    ago = Filter.parse("before:1h").before
    assert ago is not None
    assert timedelta(minutes=59) < datetime.now(UTC) - ago < timedelta(minutes=61)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("state:done", "state='done'"),
        ("stat:failed", "'stat:failed' begins with an unknown name"),
        ('error:"time', "not closed"),
        ("tag:", "tag: has no value"),
        ("tag:a,b", "'a,b' is no tag"),
        ("fingerprint:xyz", "fingerprint='xyz'"),
        ("after:soon", "after='soon'"),
        ("after:1h after:2h", "is given twice"),
        ("x" * 3_000, "3000 characters"),
        ("x " * 31, "31 conditions"),
    ],
)
def test_what_cannot_be_used_is_named(text: str, told: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        Filter.parse(text)

    assert told in str(caught.value)


@given(st.text())
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with contextlib.suppress(InvalidInput):
        Filter.parse(text).packed()


@given(st.lists(st.text(min_size=1, max_size=20), max_size=10))
def test_tags_are_read_as_they_were_given(tags: list[str]) -> None:
    try:
        checked = check_tags(tags)
    except InvalidInput:
        return

    assert read_tags(",".join(checked).encode()) == checked == tuple(dict.fromkeys(tags))


@pytest.mark.parametrize(
    "tags", ["vip", [1], ["a b"], ["a,b"], [""], ["é" * 51], [str(each) for each in range(11)]]
)
def test_tags_that_cannot_be_used_are_refused(tags: object) -> None:
    with pytest.raises(InvalidInput, match="tags"):
        check_tags(tags)


def test_what_is_no_condition_is_refused() -> None:
    with pytest.raises(InvalidType, match="filter=7: expected a text, not int"):
        Filter.parse(7)  # type: ignore[arg-type]

    with pytest.raises(InvalidInput, match="expected a text that is not empty"):
        make_filter(functions=[""])

    moment = datetime(2026, 1, 31, tzinfo=UTC)
    assert make_filter(after=moment).after == moment
