"""The benchmarks run, count right and print what they measured. How fast anything is, is not tested here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Goal, Samples

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


def test_enqueue_and_drain_bring_verified_figures_of_both_systems(tmp_path: Path) -> None:
    samples, table = tmp_path / "samples.json", tmp_path / "table.md"
    size = ("--quick", "--only", "enqueue,drain", "--repeat", "1", "--no-spin", "--size", "200")
    done = run(*size, "--json", str(samples), "--markdown", str(table))

    assert done.returncode == 0, done.stderr
    assert "drain, no-op coroutines" in done.stdout
    assert "FAILED" not in done.stdout
    assert "| T1 | drain, no-op coroutines | jobs/s |" in table.read_text()

    found = json.loads(samples.read_text())
    assert found["failed"] == []
    assert "drain, aioq: 200 of 200 jobs ran once" in found["passed"]
    assert "drain, floor: 200 of 200 results are stored and right" in found["passed"]
    assert "enqueue, aioq: gather: 220 of 220 jobs are queued with their arguments" in found["passed"]

    for key in ("enqueue.one", "enqueue.gather", "enqueue.many", "drain.rate", "drain.server"):
        assert found["figures"][key].keys() == {"aioq", "floor"}
        assert all(value > 0 for values in found["figures"][key].values() for value in values)


def test_every_benchmark_is_listed() -> None:
    assert run("--list").stdout.startswith("enqueue ")


def test_an_unknown_benchmark_is_refused() -> None:
    done = run("--only", "nothing")
    assert done.returncode == 2
    assert "expected names among enqueue" in done.stderr


@pytest.mark.parametrize(
    ("goal", "verdict"),
    [
        (Goal(least=90), (100, True)),
        (Goal(most=90), (100, False)),
        (Goal(least=0.5, of=("floor",)), (0.5, True)),
        (Goal(least=0.6, of=("floor",)), (0.5, False)),
        (Goal(least=1, of=("slow", "fast", "absent")), (0.2, False)),
        (Goal(least=1, of=("absent",)), None),
    ],
)
def test_a_goal_is_judged_by_medians_and_by_ratios_of_the_same_repetition(
    goal: Goal, verdict: tuple[float, bool] | None
) -> None:
    samples = Samples(Figure("key", "name", "unit"))
    samples.values = {
        "aioq": [100, 50, 200],
        "floor": [200, 100, 400],
        "slow": [10, 5, 20],
        "fast": [500, 250, 1000],
    }
    assert samples.judge(goal) == verdict
