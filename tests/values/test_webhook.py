"""Webhooks, as users give them and as they are stored."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aioq import JobStatus, Retry, Webhook
from aioq.errors import InvalidInput, InvalidType
from aioq.values.webhook import (
    EVENTS,
    MOST,
    StoredWebhook,
    kinds_word,
    pack_webhooks,
    read_webhooks,
    stored_webhooks,
)
from aioq.values.webhook_row import read_flag

URL = "https://example.com/jobs"


def test_events_are_names() -> None:
    assert Webhook(URL, "failed").events == ("failed",)
    assert Webhook(URL, ["failed", "finished", "failed"]).events == ("failed", "finished")
    assert Webhook(URL, JobStatus.FAILED).events == ("failed",)
    assert Webhook(URL, iter(EVENTS)).events == tuple(EVENTS)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ({"url": "example.com"}, "Webhook(url)='example.com'"),
        ({"events": "done"}, "Webhook(events): 'done' is no event; expected one or several of 'finished'"),
        ({"events": ["failed", "queued"]}, "'queued' is no event"),
        ({"events": ()}, "Webhook(events)=()"),
        ({"events": ""}, "'' is no event"),
        ({"events": None}, "Webhook(events)=None"),
        ({"events": [1]}, "Webhook(events)=[1]"),
        ({"timeout": 0}, "Webhook(timeout)"),
        ({"timeout": -1}, "Webhook(timeout)"),
        ({"timeout": "soon"}, "Webhook(timeout)"),
        ({"timeout": True}, "Webhook(timeout)"),
        ({"secret": ""}, "Webhook(secret): expected the name"),
        ({"secret": "whsec_aGk="}, "Webhook(secret): expected the name"),
        ({"secret": 1}, "Webhook(secret)"),
        ({"headers": [("a", "b")]}, "Webhook(headers)"),
        ({"headers": {"a b": "c"}}, "'a b' is not the name of a header"),
        ({"headers": {"a": "b\r\nc: d"}}, "the value of a is no text"),
        ({"headers": {"a": b"b"}}, "the value of a is no text"),
        ({"headers": {"Host": "b"}}, "aioq writes Host itself"),
        ({"headers": {"webhook-signature": "b"}}, "aioq writes webhook-signature itself"),
        ({"retry": 0}, "Retry(max=0)"),
        ({"retry": Retry(interval=3)}, "it has no end"),
        ({"job_status": "failed"}, "events=…"),
        ({"method": "GET"}, "always a POST"),
    ],
)
def test_what_cannot_be_used_is_refused_by_name(arguments: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Webhook(**({"url": URL, "events": "failed"} | arguments))

    assert told in str(refused.value)


def test_what_may_be_secret_is_not_repeated() -> None:
    with pytest.raises(InvalidInput) as refused:
        Webhook(URL, "failed", secret="whsec_hunter2")

    assert "hunter2" not in str(refused.value)
    assert "hunter2" not in repr(Webhook(URL, "failed", headers={"Authorization": "hunter2"}))

    with pytest.raises(InvalidInput) as refused:
        Webhook(URL, "failed", headers={"Authorization": "hunter2\n"})

    assert "hunter2" not in str(refused.value)


RETRIES = st.one_of(
    st.none(),
    st.integers(1, 9),
    st.builds(
        Retry, st.integers(1, 9), st.integers(0, 99), on=st.sampled_from([None, OSError]), not_on=st.just(KeyError)
    ),
)
WEBHOOKS = st.builds(
    Webhook,
    st.sampled_from([URL, "http://[::1]:80/?a=%0a"]),
    st.lists(st.sampled_from(list(EVENTS)), min_size=1),
    headers=st.dictionaries(st.sampled_from("abc"), st.sampled_from(["", "x y", "1"])),
    timeout=st.integers(1, 99),
    secret=st.sampled_from([None, "billing"]),
    retry=RETRIES,
)


@given(st.lists(WEBHOOKS, max_size=MOST))
def test_what_is_stored_is_read_back(webhooks: list[Webhook]) -> None:
    packed = pack_webhooks(each.stored() for each in webhooks)
    assert [each.webhook() for each in stored_webhooks(packed)] == webhooks


@given(st.binary())
def test_any_bytes_can_be_read(packed: bytes) -> None:
    for each in stored_webhooks(packed) + stored_webhooks(b"on_success 1 2\n" + packed):
        assert each.webhook() is None


@pytest.mark.parametrize(
    "data",
    [b"", b"j", b"jnull", b"j[null,[1],{}]", b"j[null,[{}],{}]", b'j[null,[{"url":"x"}],{}]', b"p\x80", b"s"],
)
def test_damage_is_no_webhook(data: bytes) -> None:
    assert StoredWebhook(("on_success",), b'{"timeout":1000}', data).webhook() is None


def test_what_is_refused_is_never_tried_again() -> None:
    stored = json.loads(Webhook(URL, "failed", retry=Retry(3, not_on=KeyError)).stored().opts)
    assert stored["retry"]["not_on"] == ["builtins.KeyError", "aioq.errors.WebhookRefused"]
    assert "retry" not in json.loads(Webhook(URL, "failed", retry=None).stored().opts)


def test_one_or_several_are_given() -> None:
    hook = Webhook(URL, "failed")
    assert read_webhooks(hook) == read_webhooks([hook]) == (hook,)
    assert read_webhooks([]) == ()
    assert kinds_word([hook, Webhook(URL, ["finished", "failed"])]) == "on_failure,on_success"

    for wrong in (URL, [URL], {hook.url: hook}, 7):
        with pytest.raises(InvalidType, match="expected a Webhook, or a list of them"):
            read_webhooks(wrong)

    with pytest.raises(InvalidInput, match="there are 11; expected at most 10"):
        read_webhooks([hook] * 11)


def test_the_command_line_has_events_and_a_url() -> None:
    assert read_flag([f"failed,retried={URL}?a=b"], "--webhook", "billing") == [
        Webhook(f"{URL}?a=b", ["failed", "retried"], secret="billing")
    ]

    for wrong in (URL, f"{URL}?a=b", "failed"):
        with pytest.raises(InvalidInput, match="expected EVENTS=URL"):
            read_flag([wrong], "--webhook")
