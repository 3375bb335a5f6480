"""Plain calls in the cells of a notebook, whose kernel runs an event loop."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.conftest import Server


@pytest.mark.chaos  # it takes long
def test_cells_make_calls_and_their_coroutines_do_not(
    server: Server, environment: dict[str, str], start_worker: Callable[..., Any]
) -> None:
    start_worker()
    command = [sys.executable, "-m", "tests.sync.notebook", server.tcp_url]
    environment.pop("PYTHONWARNINGS")  # the kernel has some of its own
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=55, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == {
        "plain": "3",
        "in a function": "[0, 0]",
        "beside await": "0 0",
        "awaited": "0",
        "in a coroutine": "WrongContext",
        "in a task": "WrongContext",
        "interrupted": "KeyboardInterrupt",
        "afterwards": "0",
    }
