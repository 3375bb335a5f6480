"""The pytest plugin in projects as users have them: kinds of tests, xdist, errors, and runs that do not use it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from aioq.testing import TestKit
from tests.conftest import Server
from tests.testing import measure
from tests.tools import eventually_sync

PROJECTS = Path(__file__).parent / "projects"

#: Options of pytest for tests that pytest-asyncio runs, and for those that it does not.
STRICT = ["-o", "asyncio_default_fixture_loop_scope=function", "-o", "asyncio_mode=strict"]
AUTO = [*STRICT[:-1], "asyncio_mode=auto"]
WITHOUT = ["-p", "no:asyncio"]

#: Projects with one kind of test each, with the options of pytest that they need. Each has three tests.
KINDS = {"strict": STRICT, "auto": AUTO, "by_anyio": WITHOUT, "plain": WITHOUT, "by_unittest": WITHOUT}

#: Those that are tried in the everyday suite.
EVERY_DAY = ("by_unittest",)  # test_a_failing_job_shows_its_file_and_line has the fixtures of "strict"

Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, server: Server, environment: dict[str, str]) -> Run:
    """Runs a project of one test module with pytest, and returns what that says."""

    def run(project: str, *given: str, code: int = 0, ini: str = "", **variables: str) -> str:
        options = given if STRICT[0] in given else (*WITHOUT, *given)
        folder = tmp_path / "project"
        folder.mkdir()
        shutil.copy(PROJECTS / "shop.py", folder)
        shutil.copy(PROJECTS / f"{project}.py", folder / "test_shop.py")
        (folder / "pytest.ini").write_text(f"[pytest]\nfilterwarnings = error\n{ini}")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *options]
        own = environment | {"AIOQ_TEST_URL": server.url} | variables
        done = subprocess.run(command, cwd=folder, env=own, capture_output=True, text=True, check=False)
        assert done.returncode == code, done.stdout + done.stderr
        assert done.stderr == ""
        return done.stdout

    return run


@pytest.fixture
def run_alone(run: Run) -> Run:
    """As `run`, without the plugins of others that are installed here: pytest starts in a third of the time."""

    def run_it(project: str, *given: str, **more: Any) -> str:
        return run(project, "-p", "anyio", "-p", "aioq", *given, PYTEST_DISABLE_PLUGIN_AUTOLOAD="1", **more)

    return run_it


@pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=[] if kind in EVERY_DAY else pytest.mark.chaos) for kind in KINDS]
)
def test_the_fixtures_work_in_every_kind_of_test(run: Run, kind: str) -> None:
    assert "3 passed" in run(kind, *KINDS[kind])


@pytest.mark.chaos  # it takes long
@pytest.mark.parametrize("kind", ["strict", "by_unittest"])
def test_under_xdist_each_process_has_an_embedded_server_that_leaves_nothing(run: Run, kind: str) -> None:
    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:  # a short path: it holds sockets
        assert "3 passed" in run(kind, *KINDS[kind], "-n", "2", AIOQ_TEST_URL="", TMPDIR=folder)
        # The keeper of a server is a process of its own, and may end a moment later.
        eventually_sync(lambda: not [path for path in Path(folder).iterdir() if path.name.startswith("aioq-")])


@pytest.mark.chaos  # it takes long
def test_one_event_loop_for_all_tests_keeps_few_connections(run: Run) -> None:
    assert "60 passed" in run("one_loop", *STRICT)


def test_a_failing_job_shows_its_file_and_line(run_alone: Run) -> None:
    said = run_alone("failing", "-p", "no:randomly", code=1)
    assert re.findall(r"^E +ValueError: (.*)$", said, re.MULTILINE) == ["of the queue", "inline"]
    lines = (PROJECTS / "shop.py").read_text().splitlines()
    (number,) = [number for number, line in enumerate(lines, 1) if "the line of the error" in line]
    assert len(re.findall(rf"^shop.py:{number}: ValueError$", said, re.MULTILINE)) == 2
    assert not re.search(r"^\S*aioq/(worker|testing)/\S+:\d+:", said, re.MULTILINE)
    assert "raised by shop.fail (job " in said


def test_a_failing_assertion_shows_what_waits_and_no_frame_of_the_kit(run_alone: Run) -> None:
    said = run_alone("missing", code=1)
    assert "AssertionError: not enqueued: shop.fail(…). 1 waiting:" in said
    assert "shop.add(1, right=2) (queue default)" in said
    assert not re.search(r"^\S*aioq/testing/\S+:\d+:", said, re.MULTILINE)


def test_the_environment_leads_to_the_tests_namespace(run_alone: Run) -> None:
    assert "1 passed" in run_alone("environment")


def test_a_server_can_be_named_in_the_configuration(run_alone: Run, server: Server) -> None:
    ini = f"aioq_test_url = {server.tcp_url}\n"
    assert "4 passed" in run_alone("where", ini=ini, AIOQ_TEST_URL="", EXPECTED=server.tcp_url)


def test_the_server_of_the_environment_goes_first(run_alone: Run, server: Server) -> None:
    assert "4 passed" in run_alone("where", ini="aioq_test_url = redis://127.0.0.1:1\n", EXPECTED=server.url)


def test_a_run_that_asks_for_no_fixture_imports_nothing_of_aioq(run: Run) -> None:
    assert "1 passed" in run("unused")


def test_the_kit_needs_no_pytest() -> None:
    code = "import sys, aioq.testing\nprint([name for name in sys.modules if 'pytest' in name])"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert said == "[]\n"


# What it costs. Bounds are wide: other tests run at the same time.


def test_a_fixture_costs_little(server: Server) -> None:
    assert sorted(measure.fixture_ms(server.url, 50))[25] < 15


@pytest.mark.chaos  # it takes long
def test_many_tests_run_in_a_short_time(tmp_path: Path, environment: dict[str, str]) -> None:
    assert measure.project_s(tmp_path, 40, environment, "-n", "2") < 30


async def test_a_month_of_retries_passes_in_a_moment(kit: TestKit) -> None:
    assert await measure.ladder_s(kit) < 10
