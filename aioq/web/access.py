"""Access: who may read the pages, and who may act. Nothing here asks the server of the jobs."""

from __future__ import annotations

import hashlib
import hmac
import inspect
import secrets
import time
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import ip_address
from typing import Any, Literal, NamedTuple, get_args
from urllib.parse import urlsplit

from starlette.requests import Request
from starlette.responses import Response

from aioq.values.audit import MAX_BY
from aioq.values.errors import InvalidInput
from aioq.values.summary import printable

#: What a visitor may do.
Role = Literal["none", "read", "act"]

#: What an application gives to say who may do what.
Allow = Callable[[Request], "Role | Awaitable[Role]"]

#: What an application gives to name whoever acts.
Who = Callable[[Request], str]

#: The names of this machine. The page of another site may lead here by a name server of its own, but then the
#: browser sends that site's name.
LOOPBACK = ("localhost", "127.0.0.1", "::1")

#: Who listens on one of these is asked for under each address of the machine. The name of another site is none.
EVERYWHERE = ("0.0.0.0", "::")  # noqa: S104 - it is compared, and nothing listens here

COOKIE = "aioq_session"

#: How long a login holds, in seconds.
SESSION_S = 12 * 3600

SHORTEST_TOKEN = 16


class Visitor(NamedTuple):
    """Who asks.

    Args:
        role: what they may do.
        session: the cookie of their session. It is new if they brought none.
        is_new: whether they must be given the cookie.

    """

    role: Role
    session: str
    is_new: bool

    @property
    def csrf(self) -> str:
        """What their forms carry. Another site cannot know it, since it cannot read the cookie."""
        return hmac.new(self.session.encode(), b"aioq form", hashlib.sha256).hexdigest()


class Access:
    """Who may do what.

    Args:
        token: whoever has it may log in (None: there is no login).
        allow: an application's own answer to who may do what.
        allow_actions: whether whoever has logged in may act.
        hosts: the names under which the pages may be asked for; None: any name.

    Raises:
        InvalidInput: the token is too short, or actions are allowed without one.

    """

    def __init__(
        self, token: str | None, allow: Allow | None, *, allow_actions: bool, hosts: Sequence[str] | None
    ) -> None:
        if token is not None and len(token) < SHORTEST_TOKEN:
            raise InvalidInput(
                f"token: expected at least {SHORTEST_TOKEN} characters, not {len(token)};"
                ' `python -c "import secrets; print(secrets.token_urlsafe())"` makes one'
            )

        if token is not None and allow is not None:
            raise InvalidInput("token and allow: give one of them")

        if allow_actions and token is None:
            raise InvalidInput("allow_actions: actions need a token; or give allow, which may answer 'act'")

        self._token = None if token is None else token.encode()
        self._allow = allow
        self._allow_actions = allow_actions
        self._hosts = None if hosts is None else {each.lower() for each in hosts}

    @property
    def has_login(self) -> bool:
        """Whether visitors log in with a token."""
        return self._token is not None

    def knows_host(self, request: Request) -> bool:
        """Whether the pages may be asked for under this name."""
        if self._hosts is None:
            return True

        try:
            host = urlsplit(f"//{request.headers.get('host', '')}").hostname
        except ValueError:
            return False

        return host in self._hosts or (not self._hosts.isdisjoint(EVERYWHERE) and _is_address(host))

    async def visitor(self, request: Request) -> Visitor:
        """Who asks.

        Raises:
            InvalidInput: `allow` has answered something else than a role.

        """
        session = request.cookies.get(COOKIE, "")

        if self._allow is not None:
            role: Any = self._allow(request)
            role = await role if inspect.isawaitable(role) else role

            if role not in get_args(Role):
                raise InvalidInput(f"allow: expected 'none', 'read' or 'act' as its answer, not {role!r}")
        elif self._token is None:
            role = "read"
        else:
            role = ("act" if self._allow_actions else "read") if self._is_logged_in(request, session) else "none"

        return Visitor(role, session, False) if session else Visitor(role, secrets.token_urlsafe(24), True)

    def log_in(self, given: str) -> str | None:
        """The session of whoever has the token; None for a wrong one."""
        if self._token is None or not hmac.compare_digest(self._token, given.strip().encode()):
            return None

        head = f"{secrets.token_urlsafe(24)}.{int(time.time()) + SESSION_S}"

        return f"{head}.{self._signature(head)}"

    def is_forged(self, request: Request, visitor: Visitor, csrf: str) -> bool:
        """Whether a form may have been sent by the page of another site."""
        return is_foreign(request) or not hmac.compare_digest(visitor.csrf.encode(), csrf.encode())

    def _is_logged_in(self, request: Request, session: str) -> bool:
        kind, _, given = request.headers.get("authorization", "").partition(" ")

        if self._token is not None and kind.lower() == "bearer":
            return hmac.compare_digest(self._token, given.strip().encode())

        head, _, signature = session.rpartition(".")
        until = head.rpartition(".")[2]

        return (
            hmac.compare_digest(self._signature(head).encode(), signature.encode())
            and until.isdigit()
            and int(until) > time.time()
        )

    def _signature(self, head: str) -> str:
        return hmac.new(self._token or b"", head.encode(), hashlib.sha256).hexdigest()


def is_foreign(request: Request) -> bool:
    """Whether the browser says that the page of another site has sent this."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")

    if site is not None:
        return site != "same-origin"

    if origin is None:
        return False

    try:
        return urlsplit(origin).netloc.lower() != request.headers.get("host", "").lower()
    except ValueError:
        return True


def _is_address(host: str | None) -> bool:
    try:
        ip_address(host or "")
    except ValueError:
        return False

    return True


def keep_session(request: Request, response: Response, session: str) -> None:
    """Give the visitor the cookie of the session. Scripts cannot read it, and no other site can send it."""
    response.set_cookie(
        COOKIE,
        session,
        max_age=SESSION_S,
        path=f"{request.scope.get('root_path', '')}/",
        secure=request.url.scheme == "https",
        httponly=True,
        samesite="strict",
    )


def name_of(request: Request, visitor: Visitor) -> str:
    """A name for whoever acts: that of their session, which tells nobody its cookie, and their address."""
    digest = hashlib.sha256(visitor.session.encode()).hexdigest()[:8]
    address = "" if request.client is None else f" at {request.client.host}"

    return printable(f"session {digest}{address}")[:MAX_BY]
