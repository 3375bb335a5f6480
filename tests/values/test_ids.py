from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import chain

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq.values.errors import InvalidInput
from aioq.values.ids import check_id, check_queue_name, new_id


def test_new_ids_are_26_characters_that_a_user_could_have_chosen() -> None:
    for _ in range(100):
        fresh = new_id()

        assert re.fullmatch(r"[0-9a-v]{26}", fresh)
        assert check_id(fresh) == fresh


def test_ids_made_together_differ() -> None:
    assert len({new_id() for _ in range(10_000)}) == 10_000


def test_ids_made_on_many_threads_differ() -> None:
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)

    try:
        with ThreadPoolExecutor(8) as pool:
            made = list(chain.from_iterable(pool.map(lambda _: [new_id() for _ in range(5_000)], range(8))))
    finally:
        sys.setswitchinterval(interval)

    assert len(set(made)) == 40_000


FORK = """
import os
from aioq.values.ids import new_id
new_id()  # what is left of this draw is what both would use
child = os.fork()
if child:
    os.waitpid(child, 0)  # one after the other: what they write must not mix
print(new_id()[10:])
"""


def test_a_forked_process_makes_ids_of_its_own() -> None:
    own, its = subprocess.run([sys.executable, "-c", FORK], capture_output=True, check=True).stdout.split()

    assert own != its


@given(st.lists(st.integers(0, 2**48 - 1), min_size=2))
def test_ids_sort_by_the_time_at_which_they_were_made(moments_ms: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        made = []

        for ms in moments_ms:
            patch.setattr(time, "time_ns", lambda ms=ms: ms * 1_000_000)
            made.append((ms, new_id()))

    for earlier, early_id in made:
        for later, late_id in made:
            assert (earlier < later) <= (early_id < late_id)


@pytest.mark.parametrize("value", ["a", "A-Z_09", "x" * 200, "-", "_"])
def test_an_id_of_plain_characters_is_taken_as_it_is(value: str) -> None:
    assert check_id(value) == value


@pytest.mark.parametrize(
    "value", ["", "a b", "a:b", "a\n", "a{b}", "é", "x" * 201, "a.b", "a/b", "\x00", "\u0661"]
)
def test_an_id_with_other_characters_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="job_id="):
        check_id(value)


@pytest.mark.parametrize("value", [None, 1, b"a", ["a"]])
def test_an_id_that_is_not_a_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="job_id="):
        check_id(value)


@pytest.mark.parametrize("value", ["default", "mail.high", "a:b/c@d+e-f_1", "Z" * 200])
def test_a_queue_name_of_plain_characters_is_taken_as_it_is(value: str) -> None:
    assert check_queue_name(value) == value


@pytest.mark.parametrize("value", ["", "a b", "{x}", "a}", "q\n", "é", "*", "x" * 201])
def test_a_queue_name_that_would_spoil_a_key_is_refused(value: str) -> None:
    with pytest.raises(InvalidInput, match="queue name"):
        check_queue_name(value)


@pytest.mark.parametrize("value", ["redis://localhost", "embedded://", "redis://:hunter2@localhost:6379/0"])
def test_a_url_is_no_queue_name(value: str) -> None:
    """It would be taken for the name of a queue on the default server, in silence."""
    with pytest.raises(InvalidInput, match=r"that is a URL; the server goes by Queue\(connection=…\)$") as caught:
        check_queue_name(value)

    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize("value", [None, 1, b"q"])
def test_a_queue_name_that_is_not_a_text_is_refused(value: object) -> None:
    with pytest.raises(TypeError, match="queue name"):
        check_queue_name(value)
