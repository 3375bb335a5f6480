"""`aioq worker --webhook-allow-private`, and secrets of webhooks in the environment."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from tests.cli.tools import Cli

SECRET = {"AIOQ_WEBHOOK_SECRET_BILLING": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}


@pytest.fixture
def received() -> Iterator[tuple[str, list[dict[str, str]]]]:
    """A URL, and the headers of the requests that have come there."""
    found: list[dict[str, str]] = []

    class Receiver(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["content-length"]))
            found.append({name.lower(): value for name, value in self.headers.items()})
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        threading.Thread(target=server.serve_forever).start()
        yield f"http://127.0.0.1:{server.server_port}/", found
        server.shutdown()


@pytest.mark.parametrize("processes", [[], ["--processes", "1"]], ids=["worker", "pool"])
def test_a_worker_may_send_to_addresses_that_are_not_public(cli: Cli, received, processes: list[str]) -> None:
    url, requests = received
    cli.call("enqueue", "tests.jobs.noop", "--webhook", f"finished={url}", "--webhook-secret", "billing")
    done = cli.process("worker", "-b", "--webhook-allow-private", *processes, environment=SECRET)
    assert done.returncode == 0, done.stderr
    (headers,) = requests
    assert headers["webhook-signature"].startswith("v1,")


def test_without_the_option_it_does_not(cli: Cli, received, caplog: pytest.LogCaptureFixture) -> None:
    url, requests = received
    cli.call("enqueue", "tests.jobs.noop", "--webhook", f"finished={url}")
    assert cli.call("worker", "-b").exit_code == 0
    assert "127.0.0.1, which is not public, and nothing was sent" in caplog.text
    assert requests == []
    listed = cli.call("ls", "--status", "failed").stdout
    assert "aioq.worker.webhook.send" in listed
    assert "WebhookRefused" in listed


@pytest.mark.parametrize("words", [[], ["--processes", "1"]], ids=["worker", "pool"])
def test_a_secret_that_is_none_is_a_usage_error(cli: Cli, words: list[str]) -> None:
    wrong = {"AIOQ_REDIS_URL": cli.url, "AIOQ_WEBHOOK_SECRET_BILLING": "hunter2"}
    done = cli.call("worker", "-b", *words, environment=wrong)
    assert done.exit_code == 2, done.stderr
    assert "AIOQ_WEBHOOK_SECRET_BILLING: expected" in done.stderr
    assert "hunter2" not in done.stderr
