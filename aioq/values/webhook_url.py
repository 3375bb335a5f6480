"""The URL of a webhook, taken apart once and in one way: what was checked is what a worker connects to."""

from __future__ import annotations

import re
from ipaddress import IPv6Address
from typing import NamedTuple
from urllib.parse import urlsplit

from aioq.values.errors import InvalidInput, InvalidType

_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?")

#: What a URL may consist of (RFC 3986, section 2). Programs read other characters in different ways.
_CHARACTERS = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+")

_LONGEST = 2048


class Target(NamedTuple):
    """Where a request goes.

    Args:
        scheme: "http" or "https".
        host: the name or the address, in lower case; an IPv6 address without brackets.
        port: the port.
        path: what is asked for there, with the query.

    """

    scheme: str
    host: str
    port: int
    path: str

    @property
    def authority(self) -> str:
        """The host as a request names it: with the port, unless that is the usual one."""
        host = f"[{self.host}]" if ":" in self.host else self.host

        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def read_url(url: object, name: str) -> Target:
    """Where a URL leads.

    Args:
        url: as a user gives it.
        name: of the value, for the error.

    Raises:
        InvalidType: it is not a str.
        InvalidInput: it does not name a server of HTTP; or it has a user or a password.

    """
    if not isinstance(url, str):
        raise InvalidType(f"{name}={url!r}: expected a str, not {type(url).__name__}")

    if not _CHARACTERS.fullmatch(url) or len(url) > _LONGEST:
        raise InvalidInput(
            f"{name}={url[:100]!r}: expected at most {_LONGEST} of the characters of a URL; others are written"
            " as %20, say, and a host as xn--…"
        )

    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise InvalidInput(f"{name}={url!r}: {error}") from None

    if parts.scheme not in _PORTS:
        raise InvalidInput(f'{name}={url!r}: expected a URL that begins with "https://" or "http://"')

    if "@" in parts.netloc:  # not repeated here: it may have a password
        raise InvalidInput(f"{name}: a user or a password in a URL is not sent; headers= has an Authorization")

    if not _is_host(host):
        raise InvalidInput(f'{name}={url!r}: expected a host, as in "https://example.com/jobs"')

    if port == 0:
        raise InvalidInput(f"{name}={url!r}: expected a port from 1 to 65535")

    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")

    return Target(parts.scheme, host, port or _PORTS[parts.scheme], path)


def _is_host(host: str) -> bool:
    if ":" not in host:
        return _HOST.fullmatch(host) is not None

    try:
        IPv6Address(host)
    except ValueError:
        return False

    return "%" not in host
