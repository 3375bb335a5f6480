"""The benchmarks run, count right and print what they measured. How fast anything is, is not tested here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.figures import Figure, Goal, Samples
from benchmarks.plot import AHEAD, BEHIND, FLOOR, OWN, draw, panels

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


PLAN = {"quick": True, "repeat": 2, "size": 5_000, "uvloop": True, "spin": True, "aof": False, "unix": False}
RUN = {
    "plan": PLAN | {"binary": "valkey-server", "peers": ["ardiq", "arq"]},
    "figures": {
        "drain.rate": {"arq": [10.0], "floor": [90.0], "aioq": [50.0, 70.0]},
        "enqueue.many": {"aioq": [70.0], "ardiq": [80.0]},
        "latency.start.p50": {"aioq": [0.4], "arq": [4.0], "ardiq": [0.3]},
        "latency.start.p99": {"aioq": [0.6], "arq": [9.0], "ardiq": [1.0]},
        "depth.base": {"aioq": [40.0, 50.0]},
        "depth.queued.1M": {"aioq": [1.1, 1.3]},
    },
}


def test_a_plot_shows_medians_and_says_who_is_ahead() -> None:
    (many, drain), (latency, depth) = panels(RUN)
    assert [(mark.name, mark.values, mark.rank) for mark in drain.marks] == [
        ("aioq", (60.0,), OWN),
        ("floor", (90.0,), FLOOR),
        ("ardiq", (), BEHIND),
        ("arq", (10.0,), BEHIND),
    ]
    assert [(mark.name, mark.rank) for mark in many.marks if mark.values] == [("aioq", OWN), ("ardiq", AHEAD)]
    assert [(mark.text, mark.rank) for mark in latency.marks] == [
        ("0.40 / 0.60", OWN),
        ("0.30 / 1.00", AHEAD),
        ("4.00 / 9.00", BEHIND),
    ]
    # With --quick fewer jobs stand for a million, and the plot says how many.
    assert [mark.name for mark in depth.marks] == ["1,250 jobs", "100 k more queued"]


def test_a_plot_draws_what_is_there(tmp_path: Path) -> None:
    assert panels(RUN | {"figures": {"idle.cpu": {"aioq": [1.0]}}}) == []
    (row,) = panels(RUN | {"figures": {"drain.rate": {"arq": [10.0]}}})
    assert [mark.name for mark in row[0].marks] == ["arq"]

    if importlib.util.find_spec("matplotlib"):
        draw(RUN, tmp_path / "plot.svg")
        text = (tmp_path / "plot.svg").read_text()
        assert "1.20" in text
        assert "100 k more queued" in text
