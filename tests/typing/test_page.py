"""docs/types.md is right: each of its lines is taken or refused by both type checkers, as the page says."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.pages import ROOT, blocks
from tests.typing.checkers import mypy, pyright

PAGE = ROOT / "docs/types.md"

pytestmark = pytest.mark.timeout(150)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The page's files, and a program of all its other code."""
    program = ["async def main() -> None:"]

    for block in blocks(PAGE):
        if block.language == "python" and block.file:
            (tmp_path / block.file).write_text(block.code)
        elif block.language == "python":
            program += [f"    {line}" if line else "" for line in block.code.splitlines()]

    (tmp_path / "program.py").write_text("\n".join(program) + "\n")
    strict = {"typeCheckingMode": "strict", "pythonVersion": "3.11", "reportUnusedVariable": False}
    (tmp_path / "pyrightconfig.json").write_text(json.dumps(strict))

    return tmp_path


@pytest.mark.chaos  # it takes long
@pytest.mark.parametrize("check", [mypy, pyright])
def test_type_checkers_refuse_what_the_page_says_and_nothing_else(check: Callable[..., str], folder: Path) -> None:
    told = check("program.py", folder=folder)
    refused = {int(line) for line in re.findall(r"program\.py:(\d+)(?::\d+)?(?: -|:) error", told)}
    source = (folder / "program.py").read_text().splitlines()
    expected = {number for number, line in enumerate(source, 1) if "# refused: " in line}
    assert len(expected) > 5
    assert refused == expected, told
