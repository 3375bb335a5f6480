"""What stands in the pages of the documentation: blocks of code, command lines, tables."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
EXAMPLES = ROOT / "examples/README.md"

SHELL = ("console", "sh", "shell", "bash")


@dataclass(frozen=True)
class Block:
    """A fenced block of a page; `line` is that of its first line of code."""

    page: Path
    line: int
    language: str
    code: str
    skipped: bool

    @property
    def file(self) -> str | None:
        """The name of the file that the block is, if it is one."""
        found = re.match(r"# (\w+\.py)\n", self.code)
        return found[1] if found else None

    @property
    def is_test(self) -> bool:
        return self.file is not None and self.file.startswith("test_")

    @property
    def is_program(self) -> bool:
        return self.file is not None and ("asyncio.run(" in self.code or "\nprint(" in self.code)


@cache
def blocks(page: Path) -> list[Block]:
    found, inside, before = [], None, ""

    for number, line in enumerate(page.read_text().splitlines(), 1):
        if inside is None and (opening := re.fullmatch(r"\s*```(\w+)\s*", line)):
            inside = (number + 1, opening[1], before.strip().startswith("<!-- skip: "), [])
        elif inside is not None and line.strip() == "```":
            start, language, skipped, lines = inside
            found.append(Block(page, start, language, "\n".join(lines) + "\n", skipped))
            inside = None
        elif inside is not None:
            inside[3].append(line)
        elif line.strip():
            before = line

    assert inside is None, f"{page.name}: a block is not closed"
    return found


def table(page: Path, first: str) -> list[dict[str, str]]:
    """The rows of the table whose first column has this heading."""
    lines = iter(page.read_text().splitlines())
    heading = next((line for line in lines if re.match(rf"\| *{first} *\|", line)), None)
    assert heading, f"{page.name} has no table with the first column {first!r}"
    next(lines)
    names = _cells(heading)
    rows = []

    for line in lines:
        if not line.startswith("|"):
            break

        rows.append(dict(zip(names, _cells(line), strict=True)))

    return rows


def _cells(line: str) -> list[str]:
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip().strip("|"))]


def commands(page: Path) -> Iterator[tuple[int, list[str]]]:
    """Every command line of the page's shell blocks, as words."""
    for block in blocks(page):
        if block.language in SHELL:
            text = block.code.replace("\\\n", "  ")

            for offset, line in enumerate(text.splitlines()):
                words = shlex.split(line.removeprefix("$ "), comments=True)

                while words and re.fullmatch(r"[A-Z_]+=.*", words[0]):
                    words.pop(0)

                if words:
                    yield block.line + offset, words
