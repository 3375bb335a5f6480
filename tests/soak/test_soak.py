"""A short soak, which loses nothing; and that the verdicts can go both ways."""

from __future__ import annotations

import io
import json
import random
import subprocess
import sys
from pathlib import Path

import pytest
from rich.console import Console

from tests.soak.__main__ import as_json, show
from tests.soak.judge import Metric, judge
from tests.soak.scene import METRICS, PUT_OFF, ROOT, SHORTEST_JUDGED, Report

MEMORY = Metric("memory", "MiB", slack=2, part=0.1)

WORK = {"sent": 3, "unknown": [], "unanswered": [], "durable": 0, "not_durable": []}


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.soak", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.chaos
def test_a_short_soak_loses_no_job(tmp_path: Path) -> None:
    done = run("--seconds", "5", "--calibration", "1", "--json", str(tmp_path / "soak.json"))
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 lost, 0 unanswered" in " ".join(done.stdout.split())

    found = json.loads((tmp_path / "soak.json").read_text())
    assert found["produced"]["sent"] > 100
    assert [fault for _, fault in found["faults"]] == ["kill", "cut", "flush", "restart"]
    assert found["samples"].keys() == {metric.name for metric in METRICS} | {PUT_OFF}
    assert (found["is_good"], found["lost"], found["lines"]) == (True, [], [])


def test_an_unknown_fault_is_refused() -> None:
    done = run("--faults", "kill,earthquake")
    assert done.returncode == 2
    assert "unknown fault earthquake; expected names among kill, cut, flush, restart" in done.stderr


def series(value) -> list[tuple[float, float]]:
    return [(at, value(at)) for at in range(0, 1000, 5)]


@pytest.mark.parametrize(
    ("value", "is_flat"),
    [
        (lambda at: 50, True),
        (lambda at: 50 + random.Random(at).uniform(-3, 3), True),
        (lambda at: min(at, 200) / 4, True),  # it grows while it warms up
        (lambda at: 500 if 800 < at < 850 else 50, True),  # a spike
        (lambda at: 90 - at / 20, True),  # it shrinks
        (lambda at: 50 + at / 50, False),  # a leak
        (lambda at: 50 if at < 700 else 60, False),  # a step that stays
    ],
)
def test_growth_is_told_from_warmth_noise_and_spikes(value, is_flat: bool) -> None:
    assert judge(MEMORY, series(value), 1000).is_flat is is_flat


def test_the_slope_is_that_of_an_hour() -> None:
    line = judge(MEMORY, series(lambda at: at / 100), 1000)
    assert line.per_hour == pytest.approx(36)
    assert (line.early, line.late, line.allowed) == (pytest.approx(3.725), pytest.approx(8.725), 2.3725)


def test_a_metric_that_was_not_sampled_is_not_taken_for_flat() -> None:
    with pytest.raises(ValueError, match="memory: no samples"):
        judge(MEMORY, [(at, 1) for at in range(500)], 1000)


def report(**changes) -> Report:
    flat = {metric.name: [(at, 1.0) for at in range(SHORTEST_JUDGED)] for metric in METRICS}
    return Report(
        **({"seconds": SHORTEST_JUDGED, "rate": 3, "most": 10, "samples": flat, "produced": WORK} | changes)
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"lost": [2]},
        {"findings": ["a finding"]},
        {"produced": WORK | {"unanswered": [1]}},
        {"samples": report().samples | {"keys": [(at, at * 10.0) for at in range(SHORTEST_JUDGED)]}},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_whatever_is_wrong_makes_it_no_good(changes) -> None:
    console = Console(record=True, width=120, file=io.StringIO())
    show(report(**changes), console)
    assert "not good" in console.export_text()
    assert json.loads(as_json(report(**changes)))["is_good"] is False
    assert report().is_good
