from __future__ import annotations

import subprocess
import sys

import pytest

from aioq import InvalidInput
from aioq.worker import memory


def test_the_memory_of_a_process_grows_with_what_it_holds() -> None:
    """A process of its own: another one may find room in what it has given up before."""
    program = (
        "import os; from aioq.worker import memory; before = memory.resident(os.getpid());"
        " held = os.urandom(1000) * 50_000; print(memory.resident(os.getpid()) - before)"
    )
    grown = int(subprocess.run([sys.executable, "-c", program], capture_output=True, check=True, text=True).stdout)
    assert 40_000_000 < grown < 80_000_000


def test_a_process_that_is_gone_has_none() -> None:
    assert memory.resident(2**22 + 1) is None


def test_a_limit_is_refused_where_memory_cannot_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    memory.check_readable("max_memory", "max_jobs")
    monkeypatch.setattr(memory, "resident", lambda pid: None)

    with pytest.raises(InvalidInput, match=r"^max_memory: the memory of a process cannot be read on this system"):
        memory.check_readable("max_memory", "max_jobs")
