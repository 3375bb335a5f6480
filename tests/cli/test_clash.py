"""The package `aioq` of another project is installed beside this one: who is told of it, and what it costs.

Installing both for real is tried by tests/system/test_packaging.py.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from aioq import Queue, Worker
from aioq.values.distribution import NAME, NAME_AND_VERSION, clash
from tests.cli.tools import Cli


@pytest.fixture
def other(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that Python imports from, as pip leaves it when it has installed the other package there."""
    (tmp_path / "aioq-0.4.0.dist-info").mkdir()
    (tmp_path / "aioq-0.4.0.dist-info/METADATA").write_text("Metadata-Version: 2.4\nName: aioq\nVersion: 0.4.0\n")
    monkeypatch.syspath_prepend(str(tmp_path))

    return tmp_path


def test_no_clash_as_a_rule() -> None:
    assert clash() is None


@pytest.mark.parametrize("entry", [b"lib", None, 5, "\udcff", "a\0b", Path("lib")])
def test_entries_of_the_path_that_are_no_texts_are_passed_over(
    other: Path, monkeypatch: pytest.MonkeyPatch, entry: Any
) -> None:
    monkeypatch.setattr(sys, "path", [entry, *sys.path])
    assert str(other) in (clash() or "")


def test_a_clash_names_the_folder_and_the_fix(other: Path) -> None:
    told = clash()
    assert told is not None
    assert str(other) in told
    assert f"`pip uninstall aioq {NAME}`, and install {NAME} again" in told


def test_remains_without_metadata_break_nothing(other: Path) -> None:
    (other / "aioq-0.4.0.dist-info/METADATA").unlink()
    assert clash() is not None


def test_a_clash_is_no_business_of_an_import(environment: dict[str, str]) -> None:
    program = "import importlib.metadata as it; it.distributions = lambda **_: 1 / 0; import aioq, aioq.cli.main"
    subprocess.run([sys.executable, "-c", program], env=environment, check=True)


def test_the_version_option_tells_of_a_clash(other: Path, cli: Cli) -> None:
    result = cli.call("--version")
    assert (result.exit_code, result.stdout) == (0, f"{NAME_AND_VERSION}\n")
    assert result.stderr == f"Warning: {clash()}\n"


def test_the_other_command_is_told_why_it_finds_nothing(other: Path) -> None:
    with pytest.raises(ImportError, match=f"{other} has the package aioq of another project"):
        from aioq.cli import cli  # noqa: F401


def test_without_the_other_package_a_missing_name_is_missing() -> None:
    with pytest.raises(ImportError, match="cannot import name 'cli'"):
        from aioq.cli import cli  # noqa: F401


async def test_a_worker_warns_of_a_clash(other: Path, queue: Queue, caplog: pytest.LogCaptureFixture) -> None:
    await Worker([queue]).run(burst=True)
    warnings = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert warnings == [clash()]
