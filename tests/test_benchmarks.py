"""The benchmarks run, count right and print what they measured. How fast anything is, is not tested here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import measuring
from benchmarks.bench import Outcome, Plan
from benchmarks.figures import FIGURES, Figure, Goal, Samples
from benchmarks.plot import AHEAD, BEHIND, FLOOR, OWN, draw, panels
from benchmarks.report import FOLLOWS, Report
from benchmarks.simulation import Costs, Load, Setup, simulate
from benchmarks.sizing import Wanted, costs_of, least_shards, least_workers, main, size

ROOT = Path(__file__).parent.parent


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=50, check=False)


@pytest.mark.chaos
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


def test_more_load_waits_longer_and_the_same_seed_brings_the_same() -> None:
    setup = Setup(workers=1, slots=10)
    waits = [simulate(Load(rate, duration=0.002, cpu=0.002), setup, count=4_000).p99 for rate in (100, 300, 450)]
    assert waits == sorted(waits)
    assert waits[-1] > 3 * waits[0]
    load = Load(300, 0.01, 0.001, shape="lognormal", burst=50, every=1, producers=2)
    assert simulate(load, setup, count=2_000, seed=7) == simulate(load, setup, count=2_000, seed=7)
    assert simulate(load, setup, count=2_000, seed=7) != simulate(load, setup, count=2_000, seed=8)


def test_a_simulated_core_waits_like_its_formula() -> None:
    # One core, random arrivals, the same 10 ms each: the mean wait is busy / (2 (1 - busy)) of a job (M/D/1). Its
    # median and p99 at 0.7 are 0.6 and 6 jobs; the calls of aioq beside that take a part of the core of their own.
    free = Costs(*[0.0] * 7, worker_job=0, hop=0)
    found = simulate(Load(70, 0.01, 0.01), Setup(workers=1, slots=1000), free, count=20_000)
    assert found.jobs == 20_000
    assert found.worker == pytest.approx(0.7, rel=0.05)
    assert 0.004 < found.p50 < 0.010
    assert 0.04 < found.p99 < 0.09


@pytest.mark.chaos
def test_a_size_has_the_cores_that_the_jobs_take() -> None:
    answer = size(Load(800, duration=0.005, cpu=0.005), Wanted(wait=0.05), Costs())
    assert answer.reached
    assert answer.shards == 1
    assert 5 <= answer.workers <= 8  # 4 cores of work, and a quarter more
    assert answer.shard.p99 <= 0.05
    assert answer.finished_bytes == 800 * 500 * Costs().finished_bytes
    assert size(Load(10), Wanted(wait=0.000_1), Costs()).reached is False


def test_a_load_that_one_server_cannot_hold_gets_more() -> None:
    costs = Costs()
    assert least_shards(Load(1_000), costs) == 1
    assert least_shards(Load(100_000), costs) == 3
    assert least_workers(Load(1_000, duration=0.1), Wanted(1, slots=10), costs, shards=1) == 13


@pytest.mark.parametrize("value", ["many", "0", "-5", "nan"])
def test_a_load_that_is_no_number_is_refused(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--rate", value])

    assert f"argument --rate: {value}: expected a number above 0" in capsys.readouterr().err


def test_costs_are_read_from_two_sizes_of_calls() -> None:
    figures = {"enqueue.one.server": 60.0, "enqueue.gather.server": 6.2, "memory.queued": 230.0}
    found = costs_of(figures, Costs())
    assert found.enqueue_call + found.enqueue_job == pytest.approx(60)
    assert found.enqueue_call / 250 + found.enqueue_job == pytest.approx(6.2)
    assert found.queued_bytes == 230
    assert found.claim_call == Costs().claim_call


@pytest.mark.chaos
def test_users_and_latency_bring_verified_figures_of_both_systems(tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    size = ("--quick", "--only", "users,latency", "--repeat", "1", "--no-spin", "--size", "200")
    done = run(*size, "--json", str(samples))

    assert done.returncode == 0, done.stderr
    found = json.loads(samples.read_text())
    assert found["failed"] == []
    # 100 users make three calls each, and one more before the clock starts.
    assert "users, floor: 400 of 400 jobs ran once" in found["passed"]
    assert "users, floor: 300 of 300 results came and are right" in found["passed"]
    assert "latency, floor: 70 of 70 jobs ran once" in found["passed"]

    for key in ("users.rate", "users.p50", "users.p99", "latency.start.p50", "latency.result.p99"):
        assert found["figures"][key].keys() == {"aioq", "floor"}
        assert all(value > 0 for values in found["figures"][key].values() for value in values)


FOLLOWING = {
    "dependencies": [
        "fan_out: 100 of 100 results are stored and right",
        "fan_in: no job ended before those that it waits for",
        "chain: 50 of 50 jobs ran once",
        "chain: no job ended before those that it waits for",
    ],
    "group": ["group: 1000 of 1000 jobs ran once", "group: 1000 of 1000 results are stored and right"],
}


@pytest.mark.chaos
@pytest.mark.parametrize("name", FOLLOWING)
def test_what_follows_from_jobs_brings_verified_figures(name: str, tmp_path: Path) -> None:
    samples = tmp_path / "samples.json"
    done = run("--only", name, "--repeat", "1", "--no-spin", "--size", "200", "--json", str(samples))

    assert done.returncode == 0, done.stderr
    found = json.loads(samples.read_text())
    assert found["failed"] == []
    assert {f"{name}, aioq: {check}" for check in FOLLOWING[name]} <= set(found["passed"])

    wanted = {figure.key for figure in FIGURES if figure.key.startswith(f"{name}.")}
    assert {key for key, values in found["figures"].items() if values.get("aioq")} == wanted
    # The floor has no dependencies and no groups; it runs the plain jobs beside them.
    assert {"dependencies.lone", "group.plain.drain"} & {
        key for key in wanted if found["figures"][key].get("floor")
    }


def test_a_table_is_put_into_its_place_of_a_page(tmp_path: Path) -> None:
    report = Report(Plan(**PLAN | {"binary": "valkey-server", "peers": ("rq", "arq")}), "the command")
    report.add("group", Outcome("aioq", {"group.enqueue": 3_000, "group.drain": 5_000, "group.told": 12}))
    report.add("group", Outcome("rq", {"group.enqueue": 30, "group.drain": 50}))
    page = tmp_path / "page.md"
    page.write_text(
        "a\n<!-- table: begin -->\nb\n<!-- table: end -->\n<!-- follows: begin -->\nc\n<!-- follows: end -->\n"
    )
    report.write_page(page, FOLLOWS)
    text = page.read_text()

    assert text.startswith(
        "a\n<!-- table: begin -->\nb\n<!-- table: end -->\n<!-- follows: begin -->\n`the command`"
    )
    assert "| T20 | end of the last member to the return of wait() | ms | 12.0 |  |  | <= 10 | MISSED |" in text
    # A peer that has no groups has no row, and a table in which no peer has a figure is left out.
    assert "| rq | 30.0 / 50.0 |  |" in text
    assert "arq" not in text
    assert "### Beside the peers" not in text


def test_the_command_of_a_table_does_not_say_where_it_was_put() -> None:
    assert measuring(["--write", "follows", "--quick", "--json", "x"]) == ["--quick"]
    assert measuring(["--quick", "--write", "--only", "group"]) == ["--quick", "--only", "group"]


def test_every_goal_has_its_number_and_no_number_is_without_a_goal() -> None:
    numbers = [figure.target for figure in FIGURES if figure.goals]
    counted = {"T18"}  # by the tests of the cost, not here
    assert set(numbers) == {f"T{number}" for number in range(1, 21)} - counted
    assert [figure.key for figure in FIGURES if figure.target and not figure.goals] == []
