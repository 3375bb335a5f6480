"""A bug is planted in a copy of aioq, and a trial must find it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from .nemesis import home_of, load_of
from .topology import ROOT
from .trial import Outcome, Plan

#: The trials that may find it, one after the other until one has.
SEEDS = range(5, 14)


@dataclass(frozen=True)
class Bug:
    """What is broken in a copy of aioq, and the trial that must find it.

    Args:
        file: of aioq.
        wrong: what is put there instead of `right`; without that, at the end of the file.
        mix, load, loops, seconds: of the trial.
        found: how the violation begins, or what it may begin with.
        right: what stands there.
        also: a second place that would keep the bug from doing harm: its file, what stands there, and what comes
            there.

    """

    file: str
    wrong: str
    mix: str
    found: str | tuple[str, ...]
    right: str = ""
    load: str = ""
    loops: float = 0.0
    seconds: float = 60.0
    also: tuple[str, str, str] | None = None

    def plan(self, seed: int) -> Plan:
        load = self.load or load_of(self.mix)
        rate = 2.0 if load == "large" else 20.0

        return Plan(
            str(seed), self.mix, self.seconds, rate=rate, workers=4, topology=home_of(self.mix), load=load,
            loops=self.loops,
        )  # fmt: skip

    def plant(self, folder: Path) -> None:
        for file, right, wrong in filter(None, ((self.file, self.right, self.wrong), self.also)):
            text = (folder / file).read_text()
            assert right in text
            bug = textwrap.dedent(wrong)
            (folder / file).write_text(text.replace(right, bug) if right else f"{text}\n\n{bug}")


BUGS = {
    "nobody gets a grace after an outage": Bug(
        "aioq/store/lua/lib/lease.lua", "if false and", "server", "I4", right="if first[2] and",
    ),
    "a run writes with any fence": Bug(
        "aioq/store/lua/lib/holds.lua", "if false then", "worker-freeze", "I3",
        right="if last_fence ~= fence then",
    ),
    "claims of a lost reply are forgotten": Bug(
        "aioq/worker/route.py", "back: list[str] = []", "call-cut", "jobs have not ended",
        right="_, back, _ = await self.store.duty.reclaim(self._worker, known, self.session)",
    ),
    "a result that is not kept is None": Bug(
        "aioq/client/job.py",
        """
        _result = Job.result

        async def result(self, timeout=None):
            value = await _result(self, timeout)
            return None if self.record.result_ttl_ms == 0 else value

        Job.result = result
        """,
        "script-flush", "I13", load="brief", seconds=15,
    ),
    "an enqueue happens again when its job is forgotten": Bug(
        "aioq/client/producer.py",
        """
        import contextlib

        _enqueue = Producer.enqueue

        async def enqueue_again(self, call):
            made = await _enqueue(self, call)

            if call.options.failure_ttl_ms == 0 and call.job_id:
                await asyncio.sleep(1)

                with contextlib.suppress(DuplicateJobError):
                    await _enqueue(self, call)

            return made

        Producer.enqueue = enqueue_again
        """,
        "enqueues-cut", "I4", load="brief", seconds=15,
    ),
    "a large result lacks its end": Bug(
        "aioq/client/job.py",
        """
        _result = Job.result

        async def result(self, timeout=None):
            value = await _result(self, timeout)
            return value[:2_000_000] if isinstance(value, bytes) else value

        Job.result = result
        """,
        "narrow", "I13", seconds=20,
    ),
    "bytes that move do not count": Bug(
        "aioq/store/net/wire.py",
        """
        Wire.moved_at = property(lambda self: 0.0, lambda self, moment: None)
        """,
        "narrow", ("I21", "jobs have not ended"),
    ),
    "a second event loop waits for ever": Bug(
        "aioq/client/queue.py",
        """
        _enqueue_job, _loops = Queue.enqueue_job, {}

        async def enqueue_job(self, job, *, at_front=False):
            loop = asyncio.get_running_loop()

            if _loops.setdefault(self, loop) is not loop:
                await loop.create_future()

            return await _enqueue_job(self, job, at_front=at_front)

        Queue.enqueue_job = enqueue_job
        """,
        "script-flush", "I15", load="plain", loops=0.2, seconds=10,
    ),
    "a worker that has ended does not leave": Bug(
        "aioq/worker/worker.py",
        """
        import time

        _run = Worker.run

        async def run(self, **options):
            claimed = await _run(self, **options)
            time.sleep(14)
            return claimed

        Worker.run = run
        """,
        "worker-term", "I16", load="stick", seconds=15,
    ),
    "the thread that keeps the leases is not started again": Bug(
        "aioq/worker/heartbeat.py",
        """
        import threading

        _is_alive = threading.Thread.is_alive
        threading.Thread.is_alive = lambda self: self.name.startswith("aioq-heartbeat") or _is_alive(self)
        """,
        "heartbeat-end", "worker-", load="plain", seconds=15,
    ),
    "a job that ends its workers fails with the first one": Bug(
        "aioq/store/lua/reclaim.lua", "if lost then", "script-flush", "I18",
        right="if lost and is_alone and count_deaths(deaths) >= ALONE_AT then", load="kill", seconds=20,
    ),
    "whoever was there when three workers ended is to blame": Bug(
        "aioq/store/lua/reclaim.lua", "if lost and count_deaths(deaths) >= ALONE_AT then", "script-flush", "I17",
        right="if lost and is_alone and count_deaths(deaths) >= ALONE_AT then", load="kill", seconds=20,
    ),
    "a step of the clock ends all leases": Bug(
        "aioq/store/lua/lib/lease.lua", "if false and", "clock", "I4", right="if first[2] and", seconds=40,
        also=("aioq/worker/heartbeat.py", "elif ahead - min(self._ahead) > CLOCK_SLACK_S:", "elif False:"),
    ),
    "a worker starts when all shards are there": Bug(
        "aioq/worker/worker.py",
        """
        from aioq.client.queue import Queue

        _run = Worker.run

        async def run(self, **options):
            for queue in await Queue.all(self._server):
                await queue.count()

            return await _run(self, **options)

        Worker.run = run
        """,
        "shard-away", "I20", load="plain", seconds=75,
    ),
    "no shard is served while one is away": Bug(
        "aioq/client/queue.py",
        """
        _enqueue_job = Queue.enqueue_job

        async def enqueue_job(self, job, *, at_front=False):
            for queue in await Queue.all(self.connection):
                await queue.count()

            return await _enqueue_job(self, job, at_front=at_front)

        Queue.enqueue_job = enqueue_job
        """,
        "shard-away", "I19", load="plain", seconds=75,
    ),
    "an act takes over the rows of those before it": Bug(
        "aioq/store/lua/lib/audit.lua", "if true then", "script-flush", "I32",
        right="if string.sub(each, 1, #beginning) == beginning then", load="plain", seconds=10,
    ),
    "a job is listed under the last of its tags alone": Bug(
        "aioq/store/lua/more/tags.lua", "'[^,]+$') do", "script-flush", "I33", right="'[^,]+') do", load="plain",
        seconds=10,
    ),
}  # fmt: skip


def copy(folder: Path, *packages: str) -> None:
    for package in packages:
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))


def test_all_bugs_can_be_planted(tmp_path: Path) -> None:
    """What each changes is still there. All bugs of Python are in one copy, whose modules can be imported."""
    copy(tmp_path, "aioq")
    scripts = [bug for bug in BUGS.values() if not bug.file.endswith(".py")]
    assert scripts

    for bug in scripts:
        text = (tmp_path / bug.file).read_text()
        bug.plant(tmp_path)
        (tmp_path / bug.file).write_text(text)

    modules = {Path(bug.file) for bug in BUGS.values() if bug not in scripts}

    for bug in BUGS.values():
        if bug not in scripts:
            bug.plant(tmp_path)

    names = sorted(".".join(module.with_suffix("").parts) for module in modules)
    # What a copy does is no coverage of the package.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE")}
    program = [sys.executable, "-c", f"import {', '.join(names)}"]
    subprocess.run(program, cwd=tmp_path, env=environment, check=True, timeout=30)


@pytest.mark.chaos
@pytest.mark.timeout(900)
@pytest.mark.parametrize("bug", BUGS)
def test_a_trial_finds_a_bug_that_was_planted(bug: str, tmp_path: Path) -> None:
    """A bug shows when a fault hits the right moment, which one trial may miss; the sound code never fails any."""
    planted = BUGS[bug]
    copy(tmp_path, "aioq", "tests", "benchmarks")
    planted.plant(tmp_path)
    trials = (_violations(tmp_path, planted.plan(seed)) for seed in SEEDS)
    assert any(each.startswith(planted.found) for violations in trials for each in violations)


def _violations(folder: Path, plan: Plan) -> list[str]:
    """What the code in a folder does wrong in one trial."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos", "--repeat", json.dumps(asdict(plan)), "--raw"],
        cwd=folder, env=os.environ | {"PYTHONPATH": str(folder)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    outcome = Outcome.read(done.stdout.splitlines()[-1])
    shutil.rmtree(outcome.folder, ignore_errors=True)

    return list(outcome.violations)
