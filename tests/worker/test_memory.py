from __future__ import annotations

import os

import pytest

from aioq import InvalidInput
from aioq.worker import memory


def test_the_memory_of_a_process_grows_with_what_it_holds() -> None:
    before = memory.resident(os.getpid())
    held = os.urandom(1000) * 50_000
    after = memory.resident(os.getpid())
    assert before is not None
    assert after is not None
    assert 40_000_000 < after - before < 80_000_000
    del held


def test_a_process_that_is_gone_has_none() -> None:
    assert memory.resident(2**22 + 1) is None


def test_a_limit_is_refused_where_memory_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check_readable("max_memory", "max_jobs")
    monkeypatch.setattr(memory, "resident", lambda pid: None)

    with pytest.raises(InvalidInput, match=r"^max_memory: the memory of a process cannot be read on this system"):
        memory.check_readable("max_memory", "max_jobs")
