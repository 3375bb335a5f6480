"""Environments: a virtual environment for each peer, because their requirements contradict each other."""

from __future__ import annotations

import platform
import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.peers import peer

FOLDER = Path(__file__).parent.parent / ".venv-peers"

#: Written last, with what was installed: an environment without it is unfinished, another text is out of date.
MARK = "made"


class CannotBeMadeError(Exception):
    """An environment could not be made."""


def python(system: str) -> str:
    """The interpreter that runs a system's processes: the one of its environment, or this one."""
    return str(_folder(system) / "bin" / "python") if peer(system) else sys.executable


def make(system: str) -> None:
    """Make the environment of a peer, unless it is there."""
    found = peer(system)
    assert found is not None
    folder, wanted = _folder(system), [*found.packages, "hiredis==3.5.0", "uvloop==0.23.0"]
    text = "\n".join([platform.python_version(), *wanted])
    mark = folder / MARK

    if mark.exists() and mark.read_text() == text:
        return

    shutil.rmtree(folder, ignore_errors=True)
    _call([sys.executable, "-m", "venv", str(folder)])
    _call([python(system), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *wanted])
    mark.write_text(text)


def _folder(system: str) -> Path:
    return FOLDER / system.partition(":")[0]


def _call(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True, check=False)

    if done.returncode:
        errors = [line for line in done.stderr.splitlines() if line.startswith("ERROR:")]
        raise CannotBeMadeError((errors or done.stderr.splitlines() or ["no reason was given"])[-1])
