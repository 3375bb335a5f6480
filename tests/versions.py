"""What pyproject.toml promises: `python -m tests.versions lowest`, `pythons` or `traced`.

`lowest` prints the lowest version of each requirement, as constraints for pip. `pythons` prints each supported
version of Python and where it is on this machine; those that are not found are named on stderr. `traced` prints
where the newest one is, for a measurement of coverage.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from itertools import chain
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent.parent
REQUIREMENT = re.compile(r"(?P<name>[\w.-]+)(?:\[[\w,]+\])?>=(?P<version>[\w.]+)(?:;.*)?")
CLASSIFIER = "Programming Language :: Python :: "


def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def lowest() -> list[str]:
    """Each requirement of the package and of its extras, as the lowest version that it allows."""
    found = project()
    wanted = [*found["dependencies"], *chain.from_iterable(found["optional-dependencies"].values())]
    matches = {each: REQUIREMENT.fullmatch(each) for each in wanted}

    if unclear := [each for each, match in matches.items() if match is None]:
        raise ValueError(f"{', '.join(unclear)}: expected name>=version")

    return [f"{match['name']}=={match['version']}" for match in matches.values() if match]


def supported() -> list[str]:
    return [each.removeprefix(CLASSIFIER) for each in project()["classifiers"] if each.startswith(CLASSIFIER)]


def interpreter(version: str) -> str | None:
    """Where this version of Python is: on the PATH, or among those of pyenv, of which the PATH may have none."""
    for path in candidates(version):
        # A shim of pyenv is on the PATH even if it leads nowhere.
        if subprocess.run([path, "-c", ""], capture_output=True, check=False).returncode == 0:
            return path

    return None


def candidates(version: str) -> Iterator[str]:
    if found := shutil.which(f"python{version}"):
        yield found

    yield from map(str, (Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))


def traced(found: dict[str, str | None]) -> int:
    """Print where the newest Python is.

    On 3.11 a traced process hangs: when an exception is raised in a thread that is blocked in C, another thread
    spins and keeps the GIL. Runs of plain jobs are ended by such exceptions.
    """
    paths = [path for version, path in found.items() if path and version != "3.11"]

    if not paths:
        print("coverage needs Python 3.12 or later: on 3.11, tests of blocked threads hang", file=sys.stderr)
        return 1

    print(paths[-1])
    return 0


def main(what: str) -> int:
    if what == "lowest":
        print("\n".join(lowest()))
        return 0

    found = {version: interpreter(version) for version in supported()}

    if what == "traced":
        return traced(found)

    for version, path in found.items():
        if path:
            print(f"{version}={path}")
        else:
            print(f"Python {version} is not installed here: nothing is tested on it", file=sys.stderr)

    return 0 if any(found.values()) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
