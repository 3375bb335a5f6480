"""Webhooks: what is sent, where it is not sent, and what becomes of one that is not received."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import socket
import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis

from aioq import Job, Queue, Retry, Webhook, Worker
from aioq.errors import InvalidInput
from aioq.values.webhook_secret import VARIABLE
from aioq.worker import webhook
from tests import jobs
from tests.receiver import Receiver, receiving
from tests.tools import eventually
from tests.worker.notes import hold, notes

KEY = b"k" * 32
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"
OTHER = f"whsec_{base64.b64encode(b'o' * 24).decode()}"
ALL = ("finished", "failed", "stopped", "canceled", "expired", "retried")


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    async with receiving() as found:
        yield found


@pytest.fixture
def send(burst: Callable[..., Any]) -> Callable[..., Any]:
    """Run what waits, on a worker that may send to this machine."""

    async def run(**options: Any) -> None:
        await burst(**({"webhook_allow_private": True} | options))

    return run


async def failed(queue: Queue, job: Job[Any], event: str) -> Job[Any]:
    """The job that has sent a webhook, and has failed."""
    await job.refresh()
    (made,) = job.webhook_ids[event]
    found = await queue.fetch_job(made)
    assert found is not None
    assert found.is_failed
    assert await queue.failed_job_registry.contains(found)

    return found


async def test_an_end_is_told(queue: Queue, receiver: Receiver, send) -> None:
    await queue.enqueue(
        jobs.add, 2, 3, job_id="sum", description="a sum", webhooks=Webhook(receiver.url("/a?b=1"), "finished")
    )
    await send()
    (request,) = receiver.requests
    assert request.line == "POST /a?b=1 HTTP/1.1"
    assert request.headers["host"] == f"127.0.0.1:{receiver.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["user-agent"].startswith("aioq/")
    assert "webhook-signature" not in request.headers
    told = request.told
    data = told["data"]
    job = await queue.fetch_job("sum")
    assert job is not None
    moments = {name: getattr(job, name).isoformat() for name in ("created_at", "enqueued_at", "started_at")}
    assert (told["type"], told["timestamp"]) == ("job.finished", job.ended_at.isoformat())
    assert data == moments | {
        "id": "sum",
        "queue": "default",
        "function": "tests.jobs.add",
        "description": "a sum",
        "status": "finished",
        "attempt": 1,
        "error_type": None,
        "error_message": None,
        "scheduled_at": None,
        "ended_at": job.ended_at.isoformat(),
    }


async def test_a_failure_and_its_retries_are_told(queue: Queue, receiver: Receiver, send) -> None:
    hook = Webhook(receiver.url(), ["retried", "failed"])
    await queue.enqueue(jobs.div_by_zero, 1, retry=1, webhooks=[hook])
    await send(concurrency=1)
    assert receiver.types == ["job.retried", "job.failed"]
    assert [each.told["data"]["attempt"] for each in receiver.requests] == [1, 2]
    assert {each.told["data"]["error_type"] for each in receiver.requests} == {"ZeroDivisionError"}
    assert {each.told["data"]["error_message"] for each in receiver.requests} == {"division by zero"}


async def test_a_cancel_a_stop_and_the_end_of_a_ttl_are_told(
    queue: Queue, receiver: Receiver, start_worker, key: str
) -> None:
    hooked = queue.using(webhooks=Webhook(receiver.url(), ALL))
    canceled = await hooked.enqueue(jobs.noop)
    late = await hooked.using(ttl=0.001).enqueue(jobs.noop)
    await canceled.cancel()
    await asyncio.sleep(0.01)
    await start_worker(webhook_allow_private=True)
    running = await hooked.enqueue(hold, key)
    await eventually(lambda: notes[key] == ["begun"])
    await running.stop()
    await eventually(lambda: len(receiver.requests) == 3)
    assert {each.told["data"]["id"]: each.told["type"] for each in receiver.requests} == {
        canceled.id: "job.canceled",
        late.id: "job.expired",
        running.id: "job.stopped",
    }


async def test_several_are_told_each_of_its_events(queue: Queue, receiver: Receiver, send) -> None:
    hooks = [
        Webhook(receiver.url("/1"), "failed"),
        Webhook(receiver.url("/2"), ALL),
        Webhook(receiver.url("/3"), ALL),
    ]
    job = await queue.enqueue(jobs.noop, webhooks=hooks)
    assert job.webhooks == hooks
    await send()
    assert sorted(each.line.split()[1] for each in receiver.requests) == ["/2", "/3"]
    ids = [each.headers["webhook-id"] for each in receiver.requests]
    assert len(set(ids)) == 2


async def test_a_result_that_nobody_here_can_read_is_not_read(queue: Queue, receiver: Receiver, send) -> None:
    """Nothing of arguments, meta and result is unpickled or told."""
    hook = Webhook(receiver.url(), "finished")
    await queue.enqueue(jobs.add, "secret-a", "secret-b", meta={"m": "secret-m"}, webhooks=hook)
    await send()
    (request,) = receiver.requests
    assert b"secret" not in request.body


def verified(request: Any, key: bytes) -> bool:
    """As docs/webhooks.md has it, and the specification."""
    content = f"{request.headers['webhook-id']}.{request.headers['webhook-timestamp']}.".encode() + request.body
    expected = base64.b64encode(hmac.new(key, content, hashlib.sha256).digest()).decode()

    return f"v1,{expected}" in request.headers["webhook-signature"].split(" ")


async def test_it_is_signed(queue: Queue, receiver: Receiver, send, raw: redis.Redis) -> None:
    await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", secret="billing"))
    await send(webhook_secrets={"billing": [SECRET, OTHER], "other": OTHER})
    (request,) = receiver.requests
    assert verified(request, KEY)
    assert verified(request, b"o" * 24)
    assert not verified(request, b"x" * 32)
    everything = b"".join(raw.dump(key) or b"" for key in raw.scan_iter())
    assert SECRET.encode() not in everything
    assert base64.b64encode(KEY) not in everything


async def test_the_environment_has_secrets(
    queue: Queue, receiver: Receiver, send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(f"{VARIABLE}BILLING", SECRET)
    await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", secret="billing"))
    await send()
    assert verified(receiver.requests[0], KEY)


async def test_a_secret_that_the_worker_lacks(queue: Queue, receiver: Receiver, send) -> None:
    job = await queue.enqueue(
        jobs.noop, webhooks=Webhook(receiver.url(), "finished", secret="billing", retry=None)
    )
    await send()
    assert receiver.requests == []
    found = await failed(queue, job, "finished")
    assert "AIOQ_WEBHOOK_SECRET_BILLING" in found.error_message
    await queue.requeue(found.id)
    await send(webhook_secrets={"billing": SECRET})
    assert verified(receiver.requests[0], KEY)


async def test_it_is_sent_again_under_the_same_id(queue: Queue, receiver: Receiver, send) -> None:
    receiver.answers = ["500 Oh", "302 Found", "404 Not Found"]
    hook = Webhook(receiver.url(), "finished", secret="billing", retry=Retry(3, interval=0))
    job = await queue.enqueue(jobs.noop, webhooks=hook)
    await send(webhook_secrets={"billing": SECRET})
    assert len(receiver.requests) == 4
    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 1
    assert len({each.body for each in receiver.requests}) == 1
    assert all(verified(each, KEY) for each in receiver.requests)
    assert await job.result() is None


async def test_an_id_that_comes_again_has_other_webhooks(queue: Queue, receiver: Receiver, send) -> None:
    for _ in range(2):
        await queue.enqueue(jobs.noop, job_id="daily", webhooks=Webhook(receiver.url(), "finished"))
        await send()

    assert len({each.headers["webhook-id"] for each in receiver.requests}) == 2


async def test_one_that_is_not_received_changes_no_outcome(queue: Queue, receiver: Receiver, send) -> None:
    receiver.answers = ["503 Later", "307 Temporary Redirect"]
    job = await queue.enqueue(jobs.add, 2, 3, webhooks=Webhook(receiver.url(), "finished", retry=Retry(1)))
    await send()
    assert await job.result() == 5
    found = await failed(queue, job, "finished")
    assert (found.error_type, found.func_name) == ("aioq.errors.WebhookFailed", "aioq.worker.webhook.send")
    assert found.error_message == (
        f"127.0.0.1:{receiver.port} has answered 307, and redirects are not followed; expected 2xx"
    )
    assert found.followed_id == job.id


async def test_the_usual_retries_have_pauses(queue: Queue, receiver: Receiver, send) -> None:
    receiver.answers = ["500 Oh"]
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished"))
    await send()
    await job.refresh()
    waiting = await queue.fetch_job(job.webhook_ids["finished"][0])
    assert waiting is not None
    assert waiting.is_scheduled
    assert 3.9 <= (waiting.scheduled_at - waiting.created_at).total_seconds() <= 8
    assert (await queue.scheduled_job_registry.job_ids()) == [waiting.id]


async def test_410_ends_it(queue: Queue, receiver: Receiver, send) -> None:
    receiver.answers = ["410 Gone"]
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", retry=Retry(3)))
    await send()
    assert len(receiver.requests) == 1
    assert (await failed(queue, job, "finished")).error_type == "aioq.errors.WebhookRefused"


async def test_the_timeout_ends_a_request_and_the_loop_goes_on(queue: Queue, receiver: Receiver, send) -> None:
    receiver.answering.clear()
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", timeout=2, retry=None))
    await send()
    assert len(receiver.requests) == 1  # the receiver is on the loop of the worker
    assert (await failed(queue, job, "finished")).error_type == "aioq.errors.JobTimeout"
    receiver.answering.set()


async def test_a_connection_that_nobody_takes(queue: Queue, send) -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        url = f"http://127.0.0.1:{closed.getsockname()[1]}/"

    job = await queue.enqueue(jobs.noop, webhooks=Webhook(url, "finished", retry=None))
    await send()
    assert "cannot be reached" in (await failed(queue, job, "finished")).error_message


async def test_an_answer_that_is_no_http(queue: Queue, receiver: Receiver, send) -> None:
    receiver.answers = ["? what"]
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", retry=None))
    await send()
    assert (await failed(queue, job, "finished")).error_type == "aioq.errors.WebhookFailed"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "2130706433", "[::1]", "0.0.0.0", "169.254.169.254"])
async def test_private_addresses_are_refused(queue: Queue, receiver: Receiver, burst, host: str) -> None:
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(host=host), "finished", retry=Retry(3)))
    await burst()
    assert receiver.requests == []
    found = await failed(queue, job, "finished")
    assert found.error_type == "aioq.errors.WebhookRefused"
    assert "--webhook-allow-private" in found.error_message


async def test_the_address_that_was_checked_is_used(
    queue: Queue, receiver: Receiver, burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name whose address changes between the check and the request."""
    asked = []

    async def look_up(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        asked.append(host)
        address = "127.0.0.1" if len(asked) == 1 else "10.255.255.1"

        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)
    await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(host="hooks.example"), "finished"))
    await burst(webhook_allow_private=True)
    assert asked.count("hooks.example") == 1
    assert receiver.requests[0].headers["host"] == f"hooks.example:{receiver.port}"


async def test_the_next_address_is_tried(
    queue: Queue, receiver: Receiver, burst, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def look_up(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        return [
            (socket.AF_INET6, socket.SOCK_STREAM, 6, "", ("::1", port, 0, 0)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)
    await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(host="hooks.example"), "finished"))
    await burst(webhook_allow_private=True)
    assert len(receiver.requests) == 1


async def test_no_proxy_of_the_environment_is_used(
    queue: Queue, receiver: Receiver, send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished"))
    await send()
    assert len(receiver.requests) == 1


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    """A certificate for hooks.example and its key, in one file."""
    made = tmp_path / "both.pem"
    command = ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]
    command += ["-days", "2", "-subj", "/CN=hooks.example", "-addext", "subjectAltName=DNS:hooks.example"]
    subprocess.run([*command, "-keyout", made, "-out", tmp_path / "cert.pem"], check=True, capture_output=True)
    made.write_text(made.read_text() + (tmp_path / "cert.pem").read_text())

    return made


@pytest.mark.parametrize(("host", "arrives"), [("hooks.example", True), ("other.example", False)])
async def test_the_certificate_must_be_that_of_the_name(
    queue: Queue, burst, monkeypatch: pytest.MonkeyPatch, certificate: Path, host: str, arrives: bool
) -> None:
    async def look_up(self: Any, host: str, port: int, **_: Any) -> list[Any]:
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    monkeypatch.setattr(webhook, "_trusted", ssl.create_default_context(cafile=certificate))

    async with receiving(ssl=context) as receiver:
        monkeypatch.setattr(asyncio.BaseEventLoop, "getaddrinfo", look_up)
        hook = Webhook(receiver.url(host=host, scheme="https"), "finished", retry=None)
        job = await queue.enqueue(jobs.noop, webhooks=hook)
        await burst(webhook_allow_private=True)
        assert len(receiver.requests) == arrives

    if not arrives:
        assert "CERTIFICATE_VERIFY_FAILED" in (await failed(queue, job, "finished")).error_message


async def test_further_headers(queue: Queue, receiver: Receiver, send) -> None:
    headers = {"Authorization": "Bearer x", "user-agent": "shop"}
    await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", headers=headers))
    await send()
    found = receiver.requests[0].headers
    assert (found["authorization"], found["user-agent"]) == ("Bearer x", "shop")


@pytest.mark.parametrize("serializer", ["pickle", "json", "typed"])
async def test_a_queue_that_signs(server, receiver: Receiver, serializer: str) -> None:
    """A webhook cannot be given to another job, and another function cannot be called in its place."""
    secret = "a queue's own secret"

    async with Queue("default", server.url, secret=secret, serializer=serializer) as queue:
        hooks = [Webhook(receiver.url("/1"), "finished"), Webhook(receiver.url("/2"), "finished", retry=None)]
        job = await queue.enqueue(jobs.noop, webhooks=hooks)
        assert job.webhooks == hooks
        other = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url("/3"), "finished", retry=None))

        with redis.Redis.from_url(server.url) as client:
            stolen = client.hget(f"aioq:{{default}}:job:{job.id}", "webhooks")
            client.hset(f"aioq:{{default}}:job:{other.id}", "webhooks", stolen)

        await Worker(queue, webhook_allow_private=True).run(burst=True)
        assert sorted(each.line.split()[1] for each in receiver.requests) == ["/1", "/2"]
        await other.refresh()
        refused = await queue.fetch_job(other.webhook_ids["finished"][1])
        assert refused is not None
        assert refused.error_type == "aioq.errors.BadSignature"


async def test_a_worker_with_an_allowlist_needs_the_sender_in_it(queue: Queue, receiver: Receiver, send) -> None:
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished"))
    await send(allow="tests.*")
    found = await failed(queue, job, "finished")
    assert found.error_type == "aioq.errors.FunctionNotAllowed"
    await queue.requeue(found.id)
    await send(allow=["tests.*", "aioq.worker.webhook.send"])
    assert len(receiver.requests) == 1


@pytest.mark.parametrize("args", [(), ({"url": "http://127.0.0.1"},), (None, {"url": "http://127.0.0.1"})])
async def test_the_sender_is_no_function_for_jobs(queue: Queue, send, args: tuple[Any, ...]) -> None:
    job = await queue.enqueue("aioq.worker.webhook.send", *args)
    await send()
    await job.refresh()
    assert job.is_failed


async def test_it_is_sent_although_its_job_is_gone(queue: Queue, receiver: Receiver, send) -> None:
    await queue.enqueue(jobs.noop, result_ttl=0, webhooks=Webhook(receiver.url(), "finished"))
    await send()
    assert receiver.types == ["job.finished"]


async def test_middleware_hears_of_it(queue: Queue, receiver: Receiver, send) -> None:
    seen = []

    async def note(job: Any, call_next: Any) -> Any:
        seen.append((job.id, job.callback))

        return await call_next()

    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished"))
    await send(middleware=[note])
    assert seen == [(job.id, None), (job.id, "on_success")]


async def test_without_httpx_it_says_what_to_install(
    queue: Queue, receiver: Receiver, send, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(webhook, "_has_client", False)
    job = await queue.enqueue(jobs.noop, webhooks=Webhook(receiver.url(), "finished", retry=None))
    await send()
    assert 'pip install "httpx>=0.28"' in (await failed(queue, job, "finished")).error_message


def test_the_module_can_be_imported_without_httpx() -> None:
    code = (
        "import sys; sys.modules['httpx'] = None; from aioq.worker import webhook; assert not webhook._has_client"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_worker_refuses_what_is_no_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InvalidInput, match=r"webhook_secrets\['a'\]: expected .whsec_") as refused:
        Worker(webhook_secrets={"a": "a secret in the clear"})

    assert "in the clear" not in str(refused.value)
    monkeypatch.setenv(f"{VARIABLE}A", "")

    with pytest.raises(InvalidInput, match=f"{VARIABLE}A"):
        Worker()
