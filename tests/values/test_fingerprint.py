"""What tells a failure from others stays the same, whatever changes from job to job."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.failure import Failure, unpack_failure
from aioq.values.fingerprint import LENGTH, fingerprint, normalised, place_of

FRAME = 'Traceback (most recent call last):\n  File "{}", line {}, in charge\n    raise X\n'


@given(st.text(), st.none() | st.text(), st.text(), st.text())
def test_anything_has_a_fingerprint(function: str, kind: str | None, message: str, text: str) -> None:
    found = fingerprint(function, kind, message, text)
    assert len(found) == LENGTH
    assert int(found, 16) >= 0
    assert found == fingerprint(function, kind, message, text)
    assert unpack_failure(Failure(text, "E", "m", fingerprint=found).pack()).fingerprint == found


@given(
    st.sampled_from(["user {} is gone", "no answer from {}", "({}) refused", "at {}, twice {}"]),
    st.one_of(
        st.integers().map(str),
        st.floats().filter(lambda each: each == each and abs(each) != float("inf")).map(repr),
        st.uuids().map(str),
        st.ip_addresses().map(lambda each: f"{each}".replace("::", "0::")),
        st.integers(0, 2**64).map(lambda each: f"<X at {each:#x}>"),
        st.text(st.characters(exclude_characters="'\n", exclude_categories=["Cs"])).map(lambda each: f"'{each}'"),
    ),
)
def test_what_changes_from_job_to_job_does_not_count(form: str, value: str) -> None:
    known = {"<": "<X at *>"}.get(value[:1], "*")
    assert normalised(form.format(value, value)).replace("-*", "*") == form.format(known, known).replace("-*", "*")


@given(st.integers(1, 10**6), st.from_regex(r"[a-z0-9_.-]{1,20}", fullmatch=True))
def test_lines_and_folders_do_not_count(line: int, folder: str) -> None:
    assert place_of(FRAME.format(f"/srv/{folder}/shop/pay.py", line)) == "shop/pay.py charge"
    assert place_of(FRAME.format(f"C:\\{folder}\\shop\\pay.py", line)) == "shop/pay.py charge"
    library = f"/home/{folder}/lib/python3.12/site-packages/httpx/client.py"
    assert place_of(FRAME.format(library, line)) == "httpx/client.py charge"
    both = FRAME.format(f"/srv/{folder}/shop/pay.py", line) + FRAME.format(library, line)
    assert place_of(both) == "shop/pay.py charge"


@pytest.mark.parametrize(
    "other",
    [("b", "E", "m", ""), ("a", "F", "m", ""), ("a", "E", "n", ""), ("a", "E", "m", FRAME.format("/x/y.py", 1))],
)
def test_different_failures_differ(other: tuple[str, str, str, str]) -> None:
    assert fingerprint("a", "E", "m", "") != fingerprint(*other)
