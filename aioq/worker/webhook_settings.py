"""What a worker was told of webhooks: where it may send them, and what it signs them with."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from aioq.values.record import JobRecord
from aioq.values.webhook_secret import Keys, read_secrets


@dataclass(frozen=True, slots=True)
class WebhookSettings:
    """How a worker sends webhooks.

    Args:
        allow_private: it may send them to addresses that are not public.
        keys: what it signs them with, by the names of secrets.

    """

    allow_private: bool = False
    keys: Keys = field(default_factory=dict, repr=False)


class Message(NamedTuple):
    """What the sender of webhooks is called with, beside what the job says of one.

    Args:
        callback: the job that sends it; it carries the job that has ended.
        queue: its name.
        settings: of the worker.

    """

    callback: JobRecord
    queue: str
    settings: WebhookSettings


def read_webhook_settings(
    allow_private: bool, secrets: Mapping[str, str | Sequence[str]] | None
) -> WebhookSettings:
    """What a user has given to a Worker, and what the environment has. Raises InvalidInput."""
    return WebhookSettings(bool(allow_private), read_secrets(secrets, os.environ))
