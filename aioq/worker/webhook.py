"""What sends webhooks: the function of the jobs that are made for them. It is imported when the first one comes.

The address is looked up and checked here, and the request goes to just this address: a name that stands for
another one a moment later changes nothing. No redirect is followed, and no proxy of the environment is used.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from aioq.values.distribution import VERSION
from aioq.values.errors import InvalidFunction, WebhookFailed, WebhookRefused
from aioq.values.record import JobRecord
from aioq.values.states import JobStatus
from aioq.values.webhook import event_of
from aioq.values.webhook_secret import VARIABLE, Keys, signature
from aioq.values.webhook_url import Target, read_url
from aioq.worker.addresses import addresses_of
from aioq.worker.webhook_settings import Message

try:
    import httpx
except ImportError:  # the extra is not there: each webhook says so
    _has_client = False
else:
    _has_client = True
    # The certificates that are trusted. To read them takes about 30 ms, and modules are imported on a thread.
    _trusted = httpx.create_ssl_context()

#: A receiver says so of a webhook that is not to come again.
_GONE = 410


async def send(message: Message, told: Mapping[str, Any]) -> None:
    """Send one webhook.

    Args:
        message: the job that sends it, and how.
        told: the URL, the headers and the name of the secret, as `Webhook` keeps them.

    Raises:
        WebhookFailed: it was not received.
        WebhookRefused: it may not be sent there, or the receiver wants no more of them.
        InvalidFunction: the job is no webhook.

    """
    if not isinstance(message, Message):
        raise InvalidFunction("this function sends webhooks, and this job is none: webhooks=Webhook(…) makes one")

    if not _has_client:
        raise WebhookFailed('webhooks need the package httpx where the worker runs: pip install "httpx>=0.28"')

    target = read_url(told["url"], "url")
    body = body_of(message.callback, message.queue)
    headers = httpx.Headers({"User-Agent": f"aioq/{VERSION}"})
    headers.update(told.get("headers"))
    headers.update(_signed(message, told.get("secret"), body))
    headers.update({"Content-Type": "application/json", "Connection": "close", "Host": target.authority})
    status = await _post(target, headers, body, allow_private=message.settings.allow_private)

    if status == _GONE:
        raise WebhookRefused(f"{target.authority} has answered 410: it wants no more of these webhooks")

    if not 200 <= status <= 299:
        about = ", and redirects are not followed" if 300 <= status <= 399 else ""
        raise WebhookFailed(f"{target.authority} has answered {status}{about}; expected 2xx")


def body_of(callback: JobRecord, queue: str) -> bytes:
    """What the receiver is told, as JSON.

    Args:
        callback: the job that sends it.
        queue: its name.

    """
    job, followed = callback.carried(), callback.followed
    assert followed is not None
    event = event_of(followed.kind)
    failure = None if event == "finished" else job.failure

    return json.dumps(
        {
            "type": f"job.{event}",
            "timestamp": _moment(callback.created_at),
            "data": {
                "id": job.id,
                "queue": queue,
                "function": job.func_name,
                "description": job.description,
                "status": str(job.status),
                "attempt": job.attempt,
                "error_type": None if failure is None else failure.type,
                "error_message": None if failure is None else failure.message,
                "created_at": _moment(job.created_at),
                "enqueued_at": _moment(job.enqueued_at),
                "scheduled_at": _moment(job.due_at) if job.status == JobStatus.SCHEDULED else None,
                "started_at": _moment(job.started_at),
                "ended_at": _moment(job.ended_at),
            },
        }
    ).encode()


def message_id(callback: JobRecord) -> str:
    """What all attempts to send one webhook have in common, and no other webhook has.

    It has no point, which stands between the parts of what is signed. Ids of jobs may come again, so the moment is
    one of its parts.
    """
    made_at = callback.fields.get(b"created_at", b"").decode(errors="replace")

    return f"msg_{callback.id.replace('.', '_')}_{made_at}"


def _signed(message: Message, secret: str | None, body: bytes) -> dict[str, str]:
    """The headers of the Standard Webhooks specification."""
    name, timestamp = message_id(message.callback), int(time.time())
    headers = {"Webhook-Id": name, "Webhook-Timestamp": str(timestamp)}

    if secret is not None:
        headers["Webhook-Signature"] = signature(_keys(message.settings.keys, secret), name, timestamp, body)

    return headers


def _keys(keys: Keys, secret: str) -> tuple[bytes, ...]:
    if secret not in keys:
        raise WebhookFailed(
            f"the worker has no webhook secret {secret!r}, and nothing was sent. Start it with"
            f" {VARIABLE}{secret.upper()}=whsec_…, or Worker(webhook_secrets=…)"
        )

    return keys[secret]


async def _post(target: Target, headers: httpx.Headers, body: bytes, *, allow_private: bool) -> int:
    """Send a request to the first address that takes it. The status of the answer; nothing more of it is read.

    The job has a timeout, so nothing here needs one.
    """
    addresses = await addresses_of(target.host, target.port, allow_private=allow_private)
    failure = "it has no address"

    # A client of its own for each request: an open connection is kept by its address, and would be used for
    # another name with the same address, whose certificate nobody has checked.
    async with httpx.AsyncClient(verify=_trusted, trust_env=False, timeout=None) as client:  # noqa: S113 - see above
        for address in addresses:
            url = httpx.URL(scheme=target.scheme, host=address, port=target.port, raw_path=target.path.encode())
            extensions = {"sni_hostname": target.host} if target.scheme == "https" else {}

            try:
                async with client.stream(
                    "POST", url, headers=headers, content=body, extensions=extensions, follow_redirects=False
                ) as response:
                    return response.status_code
            except httpx.ConnectError as error:
                failure = str(error) or type(error).__name__
            except httpx.HTTPError as error:
                raise WebhookFailed(f"{target.authority}: {str(error) or type(error).__name__}") from error

    raise WebhookFailed(f"{target.authority} cannot be reached: {failure}")


def _moment(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()
