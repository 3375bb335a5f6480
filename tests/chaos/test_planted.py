"""A bug is planted in a copy of aioq, and a trial must find it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from .topology import ROOT
from .trial import Outcome

pytestmark = [pytest.mark.chaos, pytest.mark.timeout(900)]

#: The trials that may find it, one after the other until one has.
SEEDS = range(5, 14)

#: What is broken: the file, what stands there, what is put there instead; the kind of trial, and what it finds.
BUGS = {
    "nobody gets a grace after an outage": (
        "aioq/store/lua/lib/lease.lua", "if first[2] and", "if false and",
        "server", "I4",
    ),
    "a run writes with any fence": (
        "aioq/store/lua/lib/holds.lua", "if seen[2] ~= fence then", "if false then",
        "worker-freeze", "I3",
    ),
    "claims of a lost reply are forgotten": (
        "aioq/worker/courier.py",
        "_, back, _ = await store.reclaim(self._worker, held, self._sessions[store])", "back: list[str] = []",
        "call-cut", "jobs have not ended",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_a_trial_finds_a_bug_that_was_planted(bug: str, tmp_path: Path) -> None:
    """A bug shows when a fault hits the right moment, which one trial may miss; the sound code never fails any."""
    name, right, wrong, mix, found = BUGS[bug]

    for package in ("aioq", "tests", "benchmarks"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))

    text = (tmp_path / name).read_text()
    assert right in text
    (tmp_path / name).write_text(text.replace(right, wrong))
    trials = (_violations(tmp_path, f"{seed}:{mix}") for seed in SEEDS)
    assert any(each.startswith(found) for violations in trials for each in violations)


def _violations(folder: Path, plan: str) -> list[str]:
    """What the code in a folder does wrong in one trial."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--repeat", plan, "--raw"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    outcome = Outcome.read(done.stdout.splitlines()[-1])
    shutil.rmtree(outcome.folder, ignore_errors=True)

    return list(outcome.violations)
