"""URLs of servers: which one is meant, whether it can be used, and how it is shown without its passwords."""

from __future__ import annotations

import os
import re
from urllib.parse import quote

from aioq.values.errors import InvalidInput

DEFAULT_URL = "redis://localhost:6379/0"
#: The more particular one goes first, as in RQ: REDIS_URL often names a server for another purpose.
URL_VARIABLES = ("AIOQ_REDIS_URL", "RQ_REDIS_URL", "REDIS_URL")
PART_VARIABLES = ("REDIS_HOST", "REDIS_PORT", "REDIS_DB", "REDIS_USERNAME", "REDIS_PASSWORD", "REDIS_SSL")
_OF_KUBERNETES = ("tcp://", "udp://", "sctp://")
_YES = ("1", "on", "t", "true", "y", "yes")
SCHEMES = (
    "redis",
    "rediss",
    "unix",
    "redis+sentinel",
    "rediss+sentinel",
    "redis+cluster",
    "rediss+cluster",
)

#: Schemes that another package of aioq serves: it is imported when such a URL is used, and may be missing.
PROVIDERS = {"embedded": "aioq.embedded"}

#: What stands in the place of what is not shown.
HIDDEN = "***"

#: How the characters that end a part of a URL are written inside of a password.
PERCENT = "A character of a password such as # / ? @ [ ] must be percent-encoded: # is written as %23, / as %2F"

#: Options whose values are shown. Any other value is hidden: a misspelt name may be that of a password.
_SHOWN = re.compile(
    r"db|protocol|(sentinel_)?username|client_name|max_connections|health_check_interval|encoding|retry_on_timeout"
    r"|socket_\w+|timeout|ssl_(?!password)\w+"
)

_HOST = r"(?:[\w.-]+|\[[\w:.%]+\])"
_HOSTS = re.compile(rf"(?:{_HOST}(?::\d+)?(?:,{_HOST}(?::\d+)?)*)?")
_HOST_AND_PORT = re.compile(rf"(?:{_HOST}:\d+|localhost)(?:/\d*)?")

#: A short word, as in `-u foo`, that is shown to whoever has written it. A password is rarely that plain.
_PLAIN = re.compile(r"[a-z]{1,16}")
_WORD = re.compile(r"[\w.+-]*")


def default_url() -> str:
    """The URL from the environment, whole or in parts, else that of a server on this machine."""
    return environment_url() or DEFAULT_URL


def environment_url() -> str | None:
    """The URL from the environment, whole or in parts; None if it names no server. Raises InvalidInput."""
    return next((os.environ[name] for name in URL_VARIABLES if os.environ.get(name)), None) or _url_of_parts()


def _url_of_parts() -> str | None:
    """The URL of REDIS_HOST and its like, which RQ reads, too.

    Kubernetes sets REDIS_PORT to a URL for a service called redis. That is not meant.

    Raises:
        InvalidInput: the port is none.

    """
    host, port, database, user, password, is_tls = (os.environ.get(name, "") for name in PART_VARIABLES)
    port = "" if port.startswith(_OF_KUBERNETES) else port

    if port and not re.fullmatch(r"[0-9]{1,5}", port):
        raise InvalidInput(f"the variable REDIS_PORT={port!r}: expected the number of a port, such as 6379")

    if not any((host, port, database, password)):
        return None

    scheme = "rediss" if is_tls.lower() in _YES else "redis"
    login = f"{quote(user, safe='')}:{quote(password, safe='')}@" if user or password else ""
    host = f"[{host}]" if ":" in host else host or "localhost"

    return f"{scheme}://{login}{host}:{port or 6379}/{database or 0}"


def check_url(url: str) -> str:
    """Refuse what is not a URL with a known scheme, and what could not be read as it was meant.

    Raises:
        InvalidInput: it says what was expected, and shows no part of a password.

    """
    scheme, separator, rest = url.partition("://")

    if not separator or scheme not in (*SCHEMES, *PROVIDERS):
        known = ", ".join(f"{name}://" for name in (*SCHEMES, *PROVIDERS))
        meant = (
            f"did you mean redis://{url}?" if _HOST_AND_PORT.fullmatch(url) else f"expected {known} and an address"
        )
        shown = url if _PLAIN.fullmatch(url) else redacted(url)

        raise InvalidInput(f"{shown!r} is not a server's URL; {meant}")

    if scheme in SCHEMES and (_is_cut_short(rest) or not _HOSTS.fullmatch(_authority(rest).rpartition("@")[2])):
        raise unusable(url, f"expected hosts with port numbers after the user and password, if any. {PERCENT}")

    return url


def unusable(url: str, why: str) -> InvalidInput:
    """The error of a URL that cannot be used."""
    return InvalidInput(f"{redacted(url)} is not a URL that can be used: {why}")


def redacted(url: str) -> str:
    """The URL without its passwords, or what may be a part of one.

    Example:
        >>> redacted("redis://worker:hunter2@queue:6379/0?ssl_password=secret")
        'redis://worker:***@queue:6379/0?ssl_password=***'

    """
    scheme, separator, rest = url.partition("://")

    if not separator:
        return url if _HOST_AND_PORT.fullmatch(url) else HIDDEN

    authority = _authority(rest)
    userinfo, at, hosts = authority.rpartition("@")

    if scheme in PROVIDERS and "@" not in url:  # a folder, and nobody's name
        return url

    # Where the parts are not what they seem to be, any of them may be a password's.
    if not _WORD.fullmatch(scheme) or _is_cut_short(rest) or not _HOSTS.fullmatch(hosts):
        return f"{scheme if _WORD.fullmatch(scheme) else HIDDEN}://{HIDDEN}"

    path, mark, query = rest[len(authority) :].partition("?")

    if at:
        user, colon, _ = userinfo.partition(":")
        # Without a colon it is taken for a user's name, and often was meant to be a password.
        userinfo = f"{user}:{HIDDEN}" if colon and _WORD.fullmatch(user) else HIDDEN

    return f"{scheme}://{userinfo}{at}{hosts}{path}{mark}{'&'.join(map(_redacted_option, query.split('&')))}"


def _authority(rest: str) -> str:
    """User, password and hosts: all until the path, the query or the fragment begins."""
    return re.split("[/?#]", rest, maxsplit=1)[0]


def _is_cut_short(rest: str) -> bool:
    """Whether a password has a character that ends it: then an @ follows later, or a # has begun a fragment.

    A bracket belongs to an address of IPv6. The value of an option may have an @.
    """
    authority = _authority(rest)
    tail = rest[len(authority) :]
    path, _, query = tail.partition("?")
    names = [option.partition("=")[0] for option in query.split("&")]

    has_bracket = any(each in authority.rpartition("@")[0] for each in "[]")

    return has_bracket or "#" in tail or "@" in path or any("@" in name for name in names)


def _redacted_option(option: str) -> str:
    name, equals, _ = option.partition("=")

    if not option or (_SHOWN.fullmatch(name) and equals):
        return option

    return f"{name}={HIDDEN}" if equals and _WORD.fullmatch(name) else HIDDEN
