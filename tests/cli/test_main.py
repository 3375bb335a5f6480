"""What all commands have in common: help, errors, exit codes, and the page that describes them."""

from __future__ import annotations

import re
import socketserver
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.main import get_command

from aioq.cli.main import app
from aioq.values.distribution import NAME_AND_VERSION
from tests.cli.tools import COMMAND, Cli

PAGE = Path(__file__).parent.parent.parent / "docs/cli.md"


def tree() -> Iterator[tuple[str, Any]]:
    """Every command with its full name."""

    def walk(name: str, command: Any) -> Iterator[tuple[str, Any]]:
        for word, each in getattr(command, "commands", {}).items():
            yield from walk(f"{name} {word}", each)

        if not getattr(command, "commands", None) or command.invoke_without_command:
            yield name, command

    yield from walk("aioq", get_command(app))


COMMANDS = dict(tree())


def options(command: Any) -> list[Any]:
    return [each for each in command.params if each.param_type_name == "option" and not each.hidden]


def test_the_commands() -> None:
    jobs = {f"aioq job {verb}" for verb in ("show", "cancel", "requeue", "stop", "delete")} | {
        "aioq group ls",
        "aioq group show",
        "aioq failures mute",
        "aioq failures unmute",
    }
    others = [
        "worker",
        "worker-pool",
        "enqueue",
        "requeue",
        "info",
        "ls",
        "explain",
        "failures",
        "stats",
        "audit",
        "monitor",
        "top",
        "web",
        "doctor",
        "empty",
        "suspend",
        "resume",
        "retry-budget",
        "server",
        "demo",
    ]
    assert COMMANDS.keys() == jobs | {f"aioq {name}" for name in others}


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help_with_an_example(name: str, cli: Cli) -> None:
    command = COMMANDS[name]
    assert command.help
    assert all(each.help for each in command.params), [each.name for each in command.params]
    result = cli.call(*name.split()[1:], "--help")
    assert result.exit_code == 0
    assert re.search(rf"\n\n  Example: {name} [^\n]*\n$|\n\n  Example: {name}\n$", result.stdout)
    assert cli.call(*name.split()[1:], "-h").stdout == result.stdout


SHARED = {"--url", "-u", "--prefix", "--path", "-P"}


def test_every_command_but_two_says_where_it_works() -> None:
    without = {"aioq server", "aioq demo"}

    for name, command in COMMANDS.items():
        taken = SHARED & {word for each in options(command) for word in each.opts}
        assert (taken == SHARED) == (name not in without), name


def documented(text: str) -> set[str]:
    """The options in the tables of a text."""
    return set(re.findall(r"(?<![\w-])(--?[a-zA-Z][\w-]*)", "\n".join(re.findall(r"^\| `-.*", text, re.M))))


def test_every_command_and_option_is_documented() -> None:
    text = PAGE.read_text()
    sections = dict(re.findall(r"^## (aioq [\w -]+)\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL))
    assert sections.keys() == COMMANDS.keys()

    for name, section in sections.items():
        listed = documented(section) - SHARED
        known = {word for each in options(COMMANDS[name]) for word in (*each.opts, *each.secondary_opts)}
        known -= SHARED
        assert {word for word in listed if word.startswith("--")} == {w for w in known if w.startswith("--")}, name
        assert {word for word in known if not word.startswith("--")} <= listed, name
        assert re.search(rf"^{name}", section, re.MULTILINE), f"{name} has no example"

    general = text.partition("## aioq worker")[0]
    assert documented(general) >= SHARED
    assert all(
        f"`aioq {option}`" in general for option in ("--version", "--install-completion", "--show-completion")
    )
    assert all(f"[`{name}`](#{name.replace(' ', '-')})" in general for name in COMMANDS)


def test_version_and_help_as_a_process(cli: Cli) -> None:
    done = cli.process("--version")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{NAME_AND_VERSION}\n", "")
    program = "import sys; from aioq.cli.main import main; sys.argv = ['aioq', '-h']; main()"
    done = cli.process("-X", "importtime", "-c", program, program=(sys.executable,))
    assert done.returncode == 0
    assert done.stdout.startswith("Usage: aioq [OPTIONS] COMMAND [ARGS]...\n")
    assert max(map(len, done.stdout.splitlines())) <= 80
    # It would take longer to import than everything else that help needs.
    assert not re.search(r"\|\s+rich", done.stderr)


def test_usage_errors(cli: Cli) -> None:
    for words in (["nope"], ["--nope"], ["job", "nope"], ["ls", "--limit", "0"], ["job", "show"]):
        result = cli.call(*words)
        assert (result.exit_code, result.stdout) == (2, "")
        assert "Traceback" not in result.stderr


def test_help_and_version_by_other_words(cli: Cli) -> None:
    for words, same in [
        (["help"], ["--help"]),
        (["help", "worker"], ["worker", "--help"]),
        (["help", "job"], ["job", "--help"]),
        (["version"], ["--version"]),
        (["-V"], ["--version"]),
    ]:
        done = cli.call(*words)
        assert (done.exit_code, done.stdout) == (0, cli.call(*same).stdout)


def test_the_help_is_whole(cli: Cli) -> None:
    texts = [cli.call("--help").stdout, *(cli.call(name, "--help").stdout for name in get_command(app).commands)]
    assert "..." not in texts[0].partition("Commands:")[2]

    for text in texts:
        assert max(map(len, text.splitlines())) <= 80
        assert "[x>=" not in text
        assert not {"[default: 25]", "[default: 5]", "[default: 500]"} & set(re.findall(r"\[default: \d+\]", text))


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ("ls --status done", "Invalid value for '--status': 'done' is not one of 'queued', "),
        ("worker -l foo", "'foo' is not one of 'debug', "),
        ("info -u foo", "'foo' is not a server's URL; expected redis://, "),
        ("info -u db:6379", "'db:6379' is not a server's URL; did you mean redis://db:6379?"),
        ("info -u db:6379/2", "'db:6379/2' is not a server's URL; did you mean redis://db:6379/2?"),
        ("enqueue a.b --timeout 5x", "--timeout='5x': expected seconds"),
        ("enqueue a.b --result-ttl=-3", "--result-ttl='-3': expected 0 "),
        ("enqueue a.b --retry-max 1 --retry-interval 5x", "--retry-interval='5x': expected seconds"),
        ("enqueue a.b --schedule-in=-1", "--schedule-in='-1': expected a duration of 0 or more"),
        ("enqueue a.b --executor x", "--executor='x': expected one of 'thread', 'process'"),
        ("worker --results-ttl 5x", "--results-ttl='5x': expected seconds"),
        ("worker --max-jobs 0", "--max-jobs=0: expected a whole number of at least 1"),
        ("ls --limit 0", "--limit=0: expected a whole number of at least 1"),
    ],
)
def test_a_wrong_value_is_told_as_it_was_typed(cli: Cli, words: str, told: str) -> None:
    done = cli.call(*words.split())
    assert done.exit_code == 2
    assert told in done.stderr
    assert "Value error" not in done.stderr


@pytest.mark.parametrize(
    "words",
    [
        ("enqueue", "a.b", "--ttl", "5x"),
        ("enqueue", "a.b", "--job-id", "a b"),
        ("enqueue", "a b"),
        ("enqueue", "a.b", "-q", "a{b"),
        ("ls", "--queue", "a{b"),
        ("doctor", "a{b"),
        ("requeue", "--queue", "a{b", "--all"),
        ("info", "a{b"),
        ("suspend", "--queue", "a{b"),
        ("worker", "a{b"),
        ("worker", "--shutdown-timeout", "soon"),
    ],
)
def test_a_value_that_can_never_be_used_is_a_usage_error(cli: Cli, words: tuple[str, ...]) -> None:
    result = cli.call(*words)
    assert (result.exit_code, result.stdout, result.stderr.count("\n")) == (2, "", 1)
    assert result.stderr.startswith("Error: ")


def test_what_the_server_refuses_is_none(cli: Cli) -> None:
    cli.enqueue("a")
    assert cli.call("enqueue", "a.b", "--job-id", "a").exit_code == 1


@pytest.mark.parametrize(
    ("url", "code", "error"),
    [
        ("redis://127.0.0.1:1", 1, "no server at redis://127.0.0.1:1"),
        ("redis://:secret@127.0.0.1:1", 1, "no server at redis://:***@127.0.0.1:1"),
        ("unix:///no/such/socket", 1, "no server at unix:///no/such/socket"),
        ("localhost:6379", 2, "'localhost:6379' is not a server's URL"),
        ("http://localhost", 2, "'http://localhost' is not a server's URL"),
        (
            "redis://localhost:port",
            2,
            "redis://*** is not a URL that can be used: expected hosts",
        ),
        ("embedded://?x", 2, "'embedded://?x': expected embedded://"),
    ],
)
def test_a_server_that_cannot_be_used_is_one_line(cli: Cli, url: str, code: int, error: str) -> None:
    result = cli.call("info", "-u", url)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"Error: {error}")
    assert result.stderr.count("\n") == 1


def test_commands_report_an_unreachable_server_in_one_line(cli: Cli) -> None:
    for words in (["ls"], ["enqueue", "a.b", "--json"], ["suspend"]):
        result = cli.call(*words, "-u", "redis://127.0.0.1:1")
        assert (result.exit_code, result.stdout) == (1, ""), words
        assert re.fullmatch(r"Error: no server at redis://127\.0\.0\.1:1: .*\n", result.stderr), words


def test_a_password_that_is_needed(cli: Cli, own_server) -> None:
    server = own_server()

    with server.client() as client:
        client.config_set("requirepass", "secret")

    result = cli.call("info", "-u", server.url)
    assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
    assert "Authentication required" in result.stderr
    assert cli.call("info", "-u", server.tcp_url.replace("redis://", "redis://:secret@")).exit_code == 0


def test_a_key_of_another_type(cli: Cli, server) -> None:
    with server.client() as client:
        client.set("aioq:queues", "x")
        result = cli.call("info")
        assert (result.exit_code, result.stderr.count("\n")) == (1, 1)
        assert "holds a key of aioq with a value of another type" in result.stderr
        client.delete("aioq:queues")


class OldServer(socketserver.StreamRequestHandler):
    """Says that it is Redis 5, whatever it is asked."""

    def handle(self) -> None:
        info = b"redis_version:5.0.14\r\n"

        while line := self.rfile.readline():
            words = [self.rfile.read(int(self.rfile.readline()[1:]) + 2).strip() for _ in range(int(line[1:]))]
            self.wfile.write(b"$%d\r\n%s\r\n" % (len(info), info) if words[0] == b"INFO" else b"+OK\r\n")


def test_a_server_that_is_too_old(cli: Cli) -> None:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), OldServer) as old:
        thread = threading.Thread(target=old.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        url = f"redis://127.0.0.1:{old.server_address[1]}/0"
        result = cli.call("info", "-u", url)
        old.shutdown()
        thread.join()

    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"Error: redis 5.0.14 at {url} is too old; aioq needs redis 6.2 or later\n"


def test_an_error_that_nobody_foresaw_is_not_hidden(monkeypatch: pytest.MonkeyPatch, cli: Cli) -> None:
    monkeypatch.setattr("aioq.cli.info._snapshot", lambda *_: 1 / 0)

    with pytest.raises(AssertionError, match="division by zero"):
        cli.call("info")


def test_a_closed_pipe_is_no_error(cli: Cli) -> None:
    cli.enqueue(*(f"job-{number}" for number in range(700)))
    command = f"{' '.join(COMMAND)} ls --limit 700 --json | head -1"
    done = cli.process("-c", command, program=("sh",))
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_an_encoding_that_lacks_a_character(cli: Cli) -> None:
    cli.do(lambda queue: queue.using(job_id="x", description="…").enqueue("tests.jobs.noop"))
    done = cli.process("ls", environment={"PYTHONIOENCODING": "latin-1"})
    assert done.returncode == 0
    assert done.stdout.endswith("\\u2026\n")


def test_completion(cli: Cli) -> None:
    environment = {"_AIOQ_COMPLETE": "complete_bash", "COMP_WORDS": "aioq re", "COMP_CWORD": "1"}
    done = cli.process(environment=environment)
    assert done.stdout.split() == ["requeue", "resume", "retry-budget"]
