"""Imports: how long a program waits for `import aioq`, and a user for the first line of help (T17)."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator

from benchmarks.bench import Bench, Outcome
from benchmarks.machine import on_core

IMPORT = "import time; start = time.perf_counter(); import aioq; print(time.perf_counter() - start)"
HELP = "from aioq.cli.main import main; main()"

#: Each repetition is the median of so many processes.
TRIES = 5


def measure(bench: Bench) -> Iterator[Outcome]:
    for turn in range(bench.plan.repeat):
        bench.step(f"aioq, {turn + 1} of {bench.plan.repeat}")

        with tempfile.TemporaryDirectory() as folder:
            environment = _compiling(folder)
            _import(bench, environment)
            _help(bench, environment)
            took = statistics.median(_import(bench, environment) for _ in range(TRIES))
            times = [_help(bench, environment) for _ in range(TRIES)]

        outcome = Outcome("aioq", {"imports.aioq": took * 1000})

        if all(each is not None for each in times):
            outcome.figures["imports.help"] = statistics.median(filter(None, times)) * 1000
        else:
            outcome.notes.append("imports: there is no command line yet")

        yield outcome


def _compiling(folder: str) -> dict[str, str]:
    """The environment with a folder for bytecode: what is installed is compiled, a checkout may not be."""
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}

    return kept | {"PYTHONPYCACHEPREFIX": folder}


def _import(bench: Bench, environment: dict[str, str]) -> float:
    with on_core(bench.core):
        return float(subprocess.check_output([sys.executable, "-c", IMPORT], env=environment))


def _help(bench: Bench, environment: dict[str, str]) -> float | None:
    """Seconds from the start of the process to its first line; None if it prints none."""
    start = time.perf_counter()
    command = [sys.executable, "-c", HELP, "--help"]

    with (
        on_core(bench.core),
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environment) as process,
    ):
        assert process.stdout is not None
        line = process.stdout.readline()
        took = time.perf_counter() - start
        process.stdout.read()

    return took if line and process.returncode == 0 else None
