"""The type checkers, as the environment of the tests has them."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.pages import ROOT

MYPY_CACHE = str(ROOT / ".mypy_cache/page")
_BIN = Path(sys.executable).parent


def mypy(*words: str, folder: Path) -> str:
    """What mypy prints, in its strict mode and without the project's own settings."""
    if importlib.util.find_spec("mypy") is None:
        pytest.skip("mypy is not installed here")

    own = ["--strict", "--config-file", "", "--cache-dir", MYPY_CACHE]

    return _run([sys.executable, "-m", "mypy", *own, *words], folder)


def pyright(*words: str, folder: Path) -> str:
    """What pyright prints. It looks for aioq where the Python of these tests does."""
    if not (_BIN / "basedpyright").exists():
        pytest.skip("pyright is not installed here")

    return _run([str(_BIN / "basedpyright"), *words], folder)


def _run(command: list[str], folder: Path) -> str:
    environment = os.environ | {"PATH": f"{_BIN}{os.pathsep}{os.environ['PATH']}"}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)

    return done.stdout + done.stderr
