"""Which addresses are public."""

from __future__ import annotations

import pytest

from aioq.errors import WebhookFailed, WebhookRefused
from aioq.worker.addresses import addresses_of, is_public


@pytest.mark.parametrize(
    "address", ["93.184.215.14", "1.1.1.1", "2606:4700:4700::1111", "::ffff:1.1.1.1", "64:ff9b::101:101"]
)
def test_those_of_the_internet_are(address: str) -> None:
    assert is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "127.8.9.1", "10.1.2.3", "172.16.0.1", "192.168.0.1", "169.254.169.254", "100.64.0.1",
        "0.0.0.0", "224.0.0.1", "239.1.1.1", "240.0.0.1", "255.255.255.255", "192.0.2.1", "198.18.0.1", "::",
        "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "::127.0.0.1",
        "::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2002:7f00:1::",
        "2001:0:4136:e378:8000:63bf:80ff:fffe",
    ],
)  # fmt: skip
def test_others_are_not(address: str) -> None:
    assert not is_public(address)


async def test_an_address_is_its_own() -> None:
    assert await addresses_of("127.0.0.1", 80, allow_private=True) == ["127.0.0.1"]
    assert await addresses_of("1.1.1.1", 80, allow_private=False) == ["1.1.1.1"]

    with pytest.raises(WebhookRefused, match=r"127\.0\.0\.1 has the address 127\.0\.0\.1, which is not public"):
        await addresses_of("127.0.0.1", 80, allow_private=False)


async def test_an_unknown_host_is_told() -> None:
    with pytest.raises(WebhookFailed, match=r"the address of no-such-host\.invalid cannot be found"):
        await addresses_of("no-such-host.invalid", 80, allow_private=False)
