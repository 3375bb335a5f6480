"""The row of the option `webhooks`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from aioq.values.errors import InvalidInput
from aioq.values.option import Flag, Option, Word
from aioq.values.webhook import EVENTS, Webhook, kinds_word, read_events, read_webhooks

#: What the option takes.
Webhooks: TypeAlias = Webhook | Sequence[Webhook]


def read_flag(texts: Sequence[str], name: str, secret: str | None = None) -> list[Webhook]:
    """Webhooks as the command line has them: the events with commas, and the URL.

    Args:
        texts: such as "finished,failed=https://example.com/jobs".
        name: of the option, for the error.
        secret: the name of the secret that all of them are signed with.

    Raises:
        InvalidInput: one cannot be used.

    """
    webhooks: list[Webhook] = []

    for text in texts:
        events, found, url = text.partition("=")

        if not found or "/" in events:
            raise InvalidInput(f'{name} {text!r}: expected EVENTS=URL, as in "failed=https://example.com/jobs"')

        webhooks.append(Webhook(url, read_events(events.split(","), name), secret=secret))

    return webhooks


def _check_flag(text: str, name: str) -> object:
    return read_flag([text], name)


def _check_secret(value: str, _: str) -> object:
    return Webhook("http://localhost", "failed", secret=value)


#: All webhooks stand in a field of their own; the kinds of callbacks that they are made for are told as those are.
WEBHOOKS_OPTION = Option(
    "webhooks",
    read_webhooks,
    "webhooks",
    Word("callbacks", kinds_word),
    flags=(
        Flag(
            "webhook",
            "EVENTS=URL",
            f"Tell this URL of these events, with commas: {', '.join(EVENTS)}; any number.",
            _check_flag,
            list,
        ),
        Flag("webhook_secret", "NAME", "Sign these requests with the secret of this name.", _check_secret),
    ),
)
