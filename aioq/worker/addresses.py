"""The addresses that a name stands for, and which of them are public."""

from __future__ import annotations

import asyncio
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

from aioq.values.errors import WebhookFailed, WebhookRefused

#: An address of IPv4 behind this prefix is reached through a translator (RFC 6052).
_TRANSLATED = IPv6Network("64:ff9b::/96")


async def addresses_of(host: str, port: int, *, allow_private: bool) -> list[str]:
    """The addresses of a host, in the order in which they are to be tried. The event loop is not blocked.

    Args:
        host: a name or an address.
        port: the port.
        allow_private: also those that are not public.

    Raises:
        WebhookFailed: there is no such host.
        WebhookRefused: one of its addresses is not public: then none of them is used.

    """
    loop = asyncio.get_running_loop()

    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise WebhookFailed(f"the address of {host} cannot be found: {error}") from error

    addresses = list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))

    for address in addresses:
        if not allow_private and not is_public(address):
            raise WebhookRefused(
                f"{host} has the address {address}, which is not public, and nothing was sent. A worker with"
                " --webhook-allow-private sends webhooks to such addresses, too"
            )

    return addresses


def is_public(address: str) -> bool:
    """Whether an address is one of the internet: not private, not of this machine or link, not reserved.

    Of an IPv6 address that stands for one of IPv4, that one decides.

    Example:
        >>> is_public("93.184.215.14"), is_public("10.0.0.1"), is_public("::ffff:127.0.0.1")
        (True, False, False)

    """
    found = ip_address(address)

    if isinstance(found, IPv6Address) and (inner := _inner(found)) is not None:
        found = inner

    return found.is_global and not (found.is_multicast or found.is_reserved or found.is_unspecified)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The address of IPv4 that one of IPv6 leads to, if it does."""
    if address in _TRANSLATED:
        return IPv4Address(int(address) & 0xFFFFFFFF)

    teredo = address.teredo

    return address.ipv4_mapped or address.sixtofour or (None if teredo is None else teredo[1])
