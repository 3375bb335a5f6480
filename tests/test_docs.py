"""The documentation is held to the code: its Python is run, its commands, tables and links are compared.

A page is run like this. A Python block that begins with a comment such as `# jobs.py` is a file of that name in
the page's own folder: a module that other blocks and the page's workers import; if it calls `asyncio.run`, or
prints at its top level, a program that is run at its place; or a `test_….py`, which pytest runs at its place,
together with those that follow it at once. All other blocks share one namespace and one event loop, in their
order, with `await` at the top level. A block after `<!-- skip: reason -->` is left out.
"""

from __future__ import annotations

import ast
import asyncio
import builtins
import importlib
import inspect
import re
import shutil
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

import aioq
from aioq import Connection, Queue, errors
from aioq.cli.main import app
from aioq.store.keys import Keys, SharedKeys
from aioq.store.scripts import server_scripts
from aioq.values import options, serializer, states
from aioq.values.option_names import RESERVED
from aioq.values.resolving import resolve
from tests.interface import MODULES
from tests.pages import EXAMPLES, PAGES, ROOT, Block, blocks, commands, table
from tests.tools import eventually_sync, logging_restored

DESIGN, JOBS = ROOT / "docs/design.md", ROOT / "docs/jobs.md"

#: The pages whose Python is run here. Two are run whole, with their commands, by test_first_steps.
RUN = [
    page for page in PAGES if page.name not in {"benchmarks.md", "CONTRIBUTING.md", "README.md", "quickstart.md"}
]

#: The workers that a page's reader has started: the server of each ("": the environment's), and its queues.
WORKERS = {
    "jobs.md": [("", ["default"])],
    "retries.md": [("", ["default"])],
    "repeat.md": [("", ["default"])],
    "rq.md": [("", ["default"])],
    "types.md": [("", ["default"])],
    "sync.md": [("", ["default"])],
}

# Python


class Site(BaseHTTPRequestHandler):
    """Stands for every site of the Internet: the pages' HTTP clients are sent here as to a proxy."""

    def do_GET(self) -> None:
        body = b"one two three four five"
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Site) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.fixture
def folder(
    server, site: str, environment: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[Path, dict[str, str]]]:
    """A folder that is the working directory, and the environment of processes there."""
    # A short path of its own: it may hold the socket of an embedded server.
    place = Path(tempfile.mkdtemp(prefix="aioq-")).resolve()
    own = {"AIOQ_REDIS_URL": server.url, "HTTP_PROXY": site, "http_proxy": site}
    monkeypatch.chdir(place)
    monkeypatch.syspath_prepend(str(place))

    for name in ("NO_PROXY", "no_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        environment.pop(name, None)

    for name, value in own.items():
        monkeypatch.setenv(name, value)

    yield place, environment | own

    for name in [path.stem for path in place.glob("*.py")]:
        sys.modules.pop(name, None)

    resolve.cache_clear()
    # An embedded server ends a moment after its last user, and may still write.
    eventually_sync(lambda: shutil.rmtree(place, ignore_errors=True) or not place.exists())


@pytest.mark.parametrize("page", RUN, ids=lambda page: page.name)
async def test_the_python_of_a_page_runs(
    page: Path, folder: tuple[Path, dict[str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    place, environment = folder
    monkeypatch.setattr(serializer, "_own", {})  # those of other pages are gone with their modules
    python = [block for block in blocks(page) if block.language == "python" and not block.skipped]

    for block in python:
        if block.file:
            with (place / block.file).open("a") as file:
                file.write(block.code)

    namespace: dict[str, Any] = {"__name__": "page"}

    async with AsyncExitStack() as stack:
        stack.enter_context(logging_restored())

        for url, queues in WORKERS.get(page.name, []):
            await stack.enter_async_context(worker(url, queues, place, environment))

        try:
            for is_test, together in groupby(python, lambda each: each.is_test):
                if is_test:
                    await run_tests(list(together), place, environment)
                    continue

                for block in together:
                    await run_block_or_file(block, namespace, place, environment)
        finally:
            for value in {id(value): value for value in namespace.values()}.values():
                if isinstance(value, Queue | Connection):
                    await value.aclose()


async def run_tests(tests: list[Block], place: Path, environment: dict[str, str]) -> None:
    """Run what stands together with pytest, and with no other plugin than those that the pages name."""
    plugins = ["-p", "anyio", "-p", "aioq"]
    files = [block.file for block in tests]
    alone = environment | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    await run_program(["-m", "pytest", "-q", *plugins, *files], tests[0], place, alone)


async def run_block_or_file(
    block: Block, namespace: dict[str, Any], place: Path, environment: dict[str, str]
) -> None:
    if block.is_program:
        await run_program([block.file], block, place, environment)
    elif block.file:
        importlib.import_module(block.file.removesuffix(".py"))
    else:
        await run_block(block, namespace)


async def run_block(block: Block, namespace: dict[str, Any]) -> None:
    # The empty lines in front make tracebacks show the page and its line.
    source = "\n" * (block.line - 1) + block.code
    code = compile(source, str(block.page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
    result = eval(code, namespace)

    if inspect.iscoroutine(result):
        async with asyncio.timeout(20):
            await result


async def run_program(words: list[str], block: Block, place: Path, environment: dict[str, str]) -> None:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *words),
        cwd=place,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    output, complaints = await process.communicate()
    where = f"{block.page.name}:{block.line}\n{output.decode()}"
    assert (process.returncode, complaints.decode()) == (0, ""), where


@asynccontextmanager
async def worker(url: str, queues: list[str], place: Path, environment: dict[str, str]) -> AsyncIterator[None]:
    """`aioq worker`, as a reader starts it."""
    command = [*aioq_command(), "worker", "--shutdown-timeout", "1", "--no-log-tracebacks", *queues]
    environment = environment | ({"AIOQ_REDIS_URL": url} if url else {})
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=place,
        env=environment,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )

    try:
        yield
    finally:
        process.terminate()
        _, errors = await process.communicate()

    assert "Traceback" not in errors.decode(), errors.decode()


# Commands


def aioq_command() -> list[str]:
    return [str(Path(sys.executable).parent / "aioq")]


AIOQ_LINES = [
    pytest.param(words[1:], id=f"{page.name}:{line}")
    for page in [*PAGES, EXAMPLES]
    for line, words in commands(page)
    if words[0] == "aioq"
]


@pytest.mark.parametrize("words", AIOQ_LINES)
def test_an_aioq_command_exists_with_its_options(words: list[str]) -> None:
    path: list[str] = []

    while "COMMAND [ARGS]" in help_text(*path) and words and not words[0].startswith("-"):
        path.append(words.pop(0))

    known = help_text(*path)
    given = [word.partition("=")[0] for word in words if re.match(r"--?[A-Za-z]", word)]
    assert [option for option in given if not re.search(rf"(?<![\w-]){option}(?![\w-])", known)] == []


@cache
def help_text(*path: str) -> str:
    environment = {"COLUMNS": "300", "NO_COLOR": "1", "TERM": "dumb"}
    done = CliRunner().invoke(app, [*path, "--help"], env=environment, prog_name="aioq")
    assert done.exit_code == 0, f"aioq {' '.join(path)}: {done.output}"
    return done.stdout


def test_make_commands_exist() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    used = {words[1] for page in PAGES for _, words in commands(page) if words[0] == "make"}
    assert used
    assert used <= targets


# What stands in tables


def test_the_state_diagram_is_the_table_of_states() -> None:
    (drawn,) = [block.code for block in blocks(DESIGN) if block.language == "mermaid"]
    assert drawn.strip() == states.diagram()


def test_the_key_table_names_every_key() -> None:
    rows = table(DESIGN, "key")
    listed = {re.sub(r"<[\w ]+>$", "", name) for row in rows for name in re.findall(r"`([^`]+)`", row["key"])}
    keys, shared = Keys.of("q"), SharedKeys()
    own = {key.decode().replace("aioq:{q}:", "p:") for key in keys.by_name().values()}
    until = {f"p:{state}:{end}" for state in states.FINAL for end in ("until", "usual")}
    own.add("p:deferred:until")
    common = {shared.queues, shared.workers, shared.suspended, shared.clock, shared.worker("")}
    assert listed == own | until | common


def test_the_channels_are_named() -> None:
    text, shared = DESIGN.read_text(), SharedKeys()
    assert f"`{shared.control}<worker>`" in text
    assert f"`{shared.waiter('')}<word>`" in text


def test_the_script_table_has_every_script_and_its_verdicts() -> None:
    rows = {row["script"].strip("`"): row["verdicts"].replace("`", "").split() for row in table(DESIGN, "script")}
    assert {name: set(verdicts) for name, verdicts in rows.items()} == {
        name: set(script.says) for name, script in server_scripts().by_name.items()
    }


def test_the_option_table_has_every_option_and_its_default() -> None:
    rows = {row["option"].strip("`"): row["default"] for row in table(JOBS, "option")}
    assert rows.keys() == options.OPTION_NAMES
    assert rows["job_timeout"] == f"{options.TIMEOUT_MS // 1000} s"
    assert rows["result_ttl"] == f"{options.RESULT_TTL_MS // 1000} s"
    assert rows["failure_ttl"] == f"{options.FAILURE_TTL_MS // 86_400_000} days"


def test_the_options_that_are_refused_are_named() -> None:
    text = JOBS.read_text()
    (told,) = re.findall(r"^- the names of RQ's options that aioq does not have, (.*?)They are", text, re.S | re.M)
    assert set(re.findall(r"`(\w+)`", re.sub(r"\(it is [^)]*\)", "", told))) == RESERVED


def test_the_state_table_has_every_state() -> None:
    rows = {row["state"].strip("`"): row["kept for"] for row in table(JOBS, "state")}
    assert rows.keys() == {state.value for state in states.JobStatus}
    assert {state for state, kept in rows.items() if kept != "-"} == {state.value for state in states.FINAL}
    assert rows["canceled"] == f"{options.CANCELED_TTL_MS // 86_400_000} day"
    assert rows["expired"] == f"{options.EXPIRED_TTL_MS // 3_600_000} hour"


def test_the_error_table_has_every_error() -> None:
    listed = {name for row in table(JOBS, "error") for name in re.findall(r"`(\w+)`", row["error"])}
    assert listed - vars(builtins).keys() == set(errors.__all__) - {"AioqError"}


def test_the_names_that_stand_for_those_of_rq_exist() -> None:
    rows = table(ROOT / "docs/rq.md", "in RQ")
    named = {name for row in rows for name in re.findall(r"`aioq\.(\w+)`", row["in aioq"])}
    assert {"Job", "Retry", "JobTimeoutException", "errors"} <= named
    assert [name for name in named if not hasattr(aioq, name)] == []


def test_every_public_name_is_documented() -> None:
    text = "\n".join(page.read_text() for page in PAGES)
    names = [name for module in MODULES for name in importlib.import_module(module).__all__]
    assert [name for name in names if not re.search(rf"\b{name}\b", text)] == []


def test_the_floors_name_files_that_exist() -> None:
    (listing,) = [
        block.code for block in blocks(DESIGN) if block.language == "text" and "aioq/values/" in block.code
    ]
    folder, missing, seen = "", [], set()

    for line in listing.splitlines():
        name = line.split()[0] if line.strip() else ""

        if name.startswith("aioq/"):
            folder = name
            seen.add(name.split("/")[1])
            name = ""

        if name and not (ROOT / folder / name).exists():
            missing.append(folder + name)

    assert missing == []
    packages = {path.parent.name for path in (ROOT / "aioq").glob("*/__init__.py")}
    assert packages <= seen


def test_the_walk_of_contributing_names_files_and_functions_that_exist() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    stops = re.findall(r"^\|[^|]*\| `([\w/.]+)` \|(?: `([\w.]+)` )?", text, re.MULTILINE)
    assert len(stops) > 10
    assert [file for file, name in stops if not (ROOT / file).is_file()] == []
    assert [f"{file}: {name}" for file, name in stops if name and name not in definitions(ROOT / file)] == []
    # What stands in running text is a file or a folder.
    assert [
        file for file in re.findall(r"`(?:aioq|tests)/[\w/.]+`", text) if not (ROOT / file[1:-1]).exists()
    ] == []


def definitions(path: Path) -> set[str]:
    """The classes and functions of a module, and the methods of its classes."""
    kinds = (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
    top = [node for node in ast.parse(path.read_text()).body if isinstance(node, kinds)]
    methods = {
        f"{node.name}.{each.name}"
        for node in top
        if isinstance(node, ast.ClassDef)
        for each in node.body
        if isinstance(each, kinds)
    }

    return {node.name for node in top} | methods


# Links


def slugs(page: Path) -> set[str]:
    headings = re.findall(r"^#+ (.+)$", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [*PAGES, EXAMPLES], ids=lambda page: page.name)
def test_links_of_a_page_lead_somewhere(page: Path) -> None:
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    broken = []

    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"[a-z]+:", target):
            continue

        name, _, anchor = target.partition("#")
        other = (page.parent / name).resolve() if name else page

        if not other.exists() or (anchor and anchor not in slugs(other)):
            broken.append(target)

    assert broken == []
