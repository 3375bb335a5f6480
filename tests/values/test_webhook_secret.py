"""Secrets of webhooks, and signatures."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from aioq.errors import InvalidInput
from aioq.values.webhook_secret import read_secrets, signature

KEY = b"k" * 24
SECRET = f"whsec_{base64.b64encode(KEY).decode()}"


def test_the_signature_is_that_of_the_specification() -> None:
    """What the specification's own library for Python makes of the same."""
    keys = read_secrets({"a": "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"}, {})["a"]
    signed = signature(keys, "msg_p5jXN8AQM9LWM0D4loKWxJek", 1614265330, b'{"test": 2432232314}')
    assert signed == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_each_key_signs() -> None:
    keys = (KEY, b"o" * 24)
    both = signature(keys, "msg_1", 1, b"{}").split(" ")
    assert both == [signature((key,), "msg_1", 1, b"{}") for key in keys]
    assert len(set(both)) == 2


def test_secrets_are_given_or_stand_in_the_environment() -> None:
    other = f"whsec_{base64.b64encode(b'o' * 64).decode()}"
    environment = {"AIOQ_WEBHOOK_SECRET_A": SECRET, "AIOQ_WEBHOOK_SECRET_B_2": f"{SECRET}, {other}", "PATH": "x"}
    assert read_secrets(None, environment) == {"a": (KEY,), "b_2": (KEY, b"o" * 64)}
    assert read_secrets({"a": [other]}, environment)["a"] == (b"o" * 64,)
    assert read_secrets(None, {}) == {}


@pytest.mark.parametrize(
    "secret", ["", "hunter2", "whsec_", "whsec_aGk=", "whsec_?", f"{SECRET},", SECRET[6:], 7, [], [7]]
)
def test_what_is_no_secret_is_refused_and_not_repeated(secret: Any) -> None:
    with pytest.raises(InvalidInput, match=r"webhook_secrets\['a'\]: expected") as refused:
        read_secrets({"a": secret}, {})

    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize("name", ["", "A", "a-b", "1", 7])
def test_what_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(InvalidInput, match="expected a name"):
        read_secrets({name: SECRET}, {})


def test_what_is_no_dict_is_refused() -> None:
    with pytest.raises(InvalidInput, match="expected a dict of secrets by name, not str"):
        read_secrets(SECRET, {})  # type: ignore[arg-type]
