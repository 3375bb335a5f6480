"""Webhook: a URL that is told by HTTP when something has become of a job.

It is a callback whose function is aioq's own. The job keeps all of its webhooks in one field. When it ends, a
script makes a job of each one that is told of this end, with the id `<id>.<fence>.<kind>.<number>`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from aioq.values.callback import KEPT_MS
from aioq.values.durations import Duration, positive_ms
from aioq.values.errors import InvalidInput, InvalidType, WebhookRefused
from aioq.values.retry import Retry, as_retry
from aioq.values.rq_names import WEBHOOK_ARGUMENTS, tell_rq_arguments
from aioq.values.serializer import JSON
from aioq.values.signature import SIGNED, inner
from aioq.values.webhook_url import read_url

Event = Literal["finished", "failed", "stopped", "canceled", "expired", "retried"]

#: The kind of callback that each event makes.
EVENTS: Mapping[Event, str] = {
    "finished": "on_success",
    "failed": "on_failure",
    "stopped": "on_stopped",
    "canceled": "on_canceled",
    "expired": "on_expired",
    "retried": "on_retry",
}
_EVENT_OF: Mapping[str, Event] = {kind: event for event, kind in EVENTS.items()}
_BY_NAME: Mapping[str, Event] = {event: event for event in EVENTS}

#: The function that sends webhooks, as lua/more/callbacks.lua writes it.
SENDER = b"aioq.worker.webhook.send"

#: The field of a job that has its webhooks.
FIELD = b"webhooks"

#: How many webhooks a job may have: its end makes all of them in one step.
MOST = 10

TIMEOUT_S = 10

#: How a webhook is tried again that does not ask for something else: over two and a half hours.
RETRY = Retry(5, interval=(5, 30, 300, 1800, 7200), jitter=0.2)

#: What is never tried again, by its dotted name.
_REFUSED = f"{WebhookRefused.__module__}.{WebhookRefused.__qualname__}"

_SECRET = re.compile(r"(?!whsec_)[a-z][a-z0-9_]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,100}")
_HEADER_VALUE = re.compile(r"[\x21-\x7e]([\x20-\x7e\t]{0,4000}[\x21-\x7e])?|")

#: Headers that the sender writes, or that say how the connection is used.
_OWN_HEADERS = frozenset(
    [
        "connection",
        "content-length",
        "content-type",
        "expect",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "webhook-id",
        "webhook-signature",
        "webhook-timestamp",
    ]
)


@dataclass(frozen=True, slots=True, init=False)
class Webhook:
    """A URL that gets a POST request when something has become of a job. docs/webhooks.md shows what it gets.

    Args:
        url: of the receiver: "https://…", or "http://…".
        events: what it is told of: one or several of "finished", "failed", "stopped", "canceled", "expired", and
            "retried" for an attempt that has failed and is followed by another one.
        headers: further headers of the request (default none). They stand in the queue as they are.
        timeout: how long a request may take, in seconds or as "5s" (default 10).
        secret: the name of the secret that requests are signed with: lower-case letters, digits and _. Workers
            know the secret itself, and it never stands in the queue (default None: requests are not signed).
        retry: whether and when it is sent again if the receiver does not answer with 2xx: a Retry, or a number
            of further attempts (default: five, after 5 s, 30 s, 5 min, 30 min and 2 h). None: it is not.

    Raises:
        InvalidInput: a value cannot be used; the text names it.

    Example:
        >>> webhook = Webhook("https://example.com/jobs", ["finished", "failed"], secret="billing")
        >>> webhook.events
        ('finished', 'failed')

    """

    url: str
    events: tuple[Event, ...]
    headers: Mapping[str, str] = field(repr=False)
    timeout: float
    secret: str | None
    retry: Retry | None

    @tell_rq_arguments(WEBHOOK_ARGUMENTS)
    def __init__(
        self,
        url: str,
        events: Event | Iterable[Event],
        *,
        headers: Mapping[str, str] | None = None,
        timeout: Duration | None = TIMEOUT_S,
        secret: str | None = None,
        retry: Retry | int | None = RETRY,
    ) -> None:
        read_url(url, "Webhook(url)")

        if secret is not None and not (isinstance(secret, str) and _SECRET.fullmatch(secret)):
            # The value is not repeated: it may be the secret itself.
            raise InvalidInput(
                "Webhook(secret): expected the name of a secret: at most 64 lower-case letters, digits and _;"
                " workers are given the secret itself"
            )

        put = object.__setattr__
        put(self, "url", url)
        put(self, "events", read_events(events))
        put(self, "headers", _read_headers(headers))
        seconds = TIMEOUT_S if timeout is None else timeout
        put(self, "timeout", positive_ms(seconds, "Webhook(timeout)") / 1000)
        put(self, "secret", secret)
        put(self, "retry", None if retry is None else as_retry(retry, "Webhook(retry)"))

    def stored(self) -> StoredWebhook:
        """As a job keeps it."""
        options: dict[str, Any] = {"timeout": round(1000 * self.timeout), "result_ttl": KEPT_MS}

        if self.retry is not None:
            retry = self.retry.to_dict()
            options["retry"] = retry | {"not_on": [*retry.get("not_on", ()), _REFUSED]}

        told: dict[str, Any] = {"url": self.url}
        told |= {"headers": dict(self.headers)} if self.headers else {}
        told |= {"secret": self.secret} if self.secret is not None else {}

        return StoredWebhook(
            tuple(EVENTS[event] for event in self.events),
            _packed(options),
            JSON.tag + _packed([None, [told], {}]),
        )


class StoredWebhook(NamedTuple):
    """A webhook, as its job keeps it. `lua/more/callbacks.lua` takes it apart.

    Args:
        kinds: of the callbacks that it is made for.
        opts: their packed options.
        data: their serialised call; signed, if the queue signs.

    """

    kinds: tuple[str, ...]
    opts: bytes
    data: bytes

    def pack(self) -> bytes:
        """As it is stored."""
        return b"%s %d %d\n%s%s" % (
            ",".join(self.kinds).encode(),
            len(self.opts),
            len(self.data),
            self.opts,
            self.data,
        )

    def webhook(self) -> Webhook | None:
        """What a user has given; None if that cannot be read."""
        try:
            data = inner(self.data) if self.data[:1] == SIGNED else self.data
            _, (told,), _ = json.loads(data[len(JSON.tag) :])
            options = json.loads(self.opts)
            retry = options.get("retry")

            return Webhook(
                told["url"],
                [_EVENT_OF[kind] for kind in self.kinds],
                headers=told.get("headers"),
                timeout=options["timeout"] / 1000,
                secret=told.get("secret"),
                retry=None if retry is None else _bare(Retry.from_dict(retry)),
            )
        except (ValueError, TypeError, LookupError, AttributeError, RecursionError):
            return None


def read_events(events: object, name: str = "Webhook(events)") -> tuple[Event, ...]:
    """Events as a user gives them: one, or several.

    Raises:
        InvalidType: it is something else.
        InvalidInput: one of them is no event, or there is none.

    """
    expected = f"expected one or several of {', '.join(map(repr, EVENTS))}"

    if not isinstance(events, Iterable):
        raise InvalidType(f"{name}={events!r}: {expected}")

    given = [events] if isinstance(events, str) else list(events)

    if not all(isinstance(each, str) for each in given):
        raise InvalidType(f"{name}={events!r}: {expected}")

    if not given:
        raise InvalidInput(f"{name}={events!r}: {expected}")

    for each in given:
        if each not in _BY_NAME:
            raise InvalidInput(f"{name}: {each!r} is no event; {expected}")

    return tuple(dict.fromkeys(_BY_NAME[each] for each in given))


def read_webhooks(value: object, name: str = "webhooks") -> tuple[Webhook, ...]:
    """Webhooks as a user gives them: one, or several.

    Raises:
        InvalidType: it is something else.
        InvalidInput: they are too many.

    """
    found = (value,) if isinstance(value, Webhook) else value

    if not isinstance(found, list | tuple) or not all(isinstance(each, Webhook) for each in found):
        raise InvalidType(f"{name}={value!r}: expected a Webhook, or a list of them")

    if len(found) > MOST:
        raise InvalidInput(f"{name}: there are {len(found)}; expected at most {MOST}")

    return tuple(found)


def pack_webhooks(webhooks: Iterable[StoredWebhook]) -> bytes:
    """The webhooks of a job, as its record keeps them."""
    return b"".join(each.pack() for each in webhooks)


def stored_webhooks(packed: bytes) -> list[StoredWebhook]:
    """What `pack_webhooks` wrote, as far as it can be read."""
    found: list[StoredWebhook] = []

    while (head := re.match(rb"(\S+) (\d{1,9}) (\d{1,9})\n", packed)) is not None:
        opts, data = head.end(), head.end() + int(head[2])
        end = data + int(head[3])
        found.append(
            StoredWebhook(tuple(head[1].decode(errors="replace").split(",")), packed[opts:data], packed[data:end])
        )
        packed = packed[end:]

    return found


def kinds_word(webhooks: Iterable[Webhook]) -> str:
    """The kinds of callbacks that some webhooks are made for, with commas."""
    return ",".join(dict.fromkeys(EVENTS[event] for each in webhooks for event in each.events))


def shown_arguments(args: Sequence[object]) -> list[object]:
    """What is shown of the arguments of the sender: the URL. Headers may have passwords."""
    told = args[0] if args else None

    return [told.get("url")] if isinstance(told, dict) else []


def event_of(kind: str) -> Event:
    """The event that a kind of callback is made for."""
    return _EVENT_OF[kind]


def _packed(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def _bare(retry: Retry) -> Retry:
    """The policy without what `stored` has added."""
    values = retry.to_dict()

    return Retry.from_dict(values | {"not_on": [each for each in values["not_on"] if each != _REFUSED]})


def _read_headers(headers: object) -> dict[str, str]:
    if headers is None:
        return {}

    if not isinstance(headers, Mapping):
        raise InvalidType(f"Webhook(headers): expected a dict of texts, not {type(headers).__name__}")

    for name, value in headers.items():
        if not isinstance(name, str) or not _HEADER.fullmatch(name):
            raise InvalidInput(f"Webhook(headers): {name!r} is not the name of a header")

        if name.lower() in _OWN_HEADERS:
            raise InvalidInput(f"Webhook(headers): aioq writes {name} itself. Leave it out")

        if not isinstance(value, str) or not _HEADER_VALUE.fullmatch(value):
            # The value is not repeated: it may be a password.
            raise InvalidInput(f"Webhook(headers): the value of {name} is no text of printable ASCII characters")

    return dict(headers)
