"""The application: from a request to a page, an action or a stream, for whoever may have it."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, RedirectResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from aioq.client.queue import Queue
from aioq.store import Connection, Server, connect
from aioq.store.acting import acting_as
from aioq.values.errors import InvalidInput, ServerError
from aioq.values.signature import Secret
from aioq.web.access import LOOPBACK, Access, Allow, Visitor, Who, is_foreign, keep_session, name_of
from aioq.web.actions import carry_out, told
from aioq.web.board import Board, Redact
from aioq.web.headers import with_headers
from aioq.web.live import Live
from aioq.web.page import Ask, Elsewhere, NotFound, Page
from aioq.web.pages import PAGES
from aioq.web.rendering import FORM_TOKEN, environment, rendered
from aioq.web.requests import TOLD_BY, base_of, below, form_of

#: After a wrong token, the next one is looked at after so many seconds.
WRONG_TOKEN_S = 0.5

#: The files that pages load, and their kinds.
FILES = {"style.css": "text/css", "live.js": "text/javascript", "icon.svg": "image/svg+xml"}

_FOLDER = Path(__file__).parent / "static"


class LiveKey(NamedTuple):
    """What browsers must have in common to share a live page."""

    page: Page
    path: tuple[tuple[str, str], ...]
    query: tuple[tuple[str, str], ...]
    base: str
    shown: str
    may_act: bool


class Dashboard:
    """The dashboard as an ASGI application. `dashboard` makes one.

    Args:
        connection: the server; it is closed with the application only if the dashboard has opened it.
        access: who may do what.
        redact: changes texts before they leave the process.
        who: the name of whoever has sent a request, for the audit; None: of their session.
        owns: whether the dashboard has opened the connection.

    """

    def __init__(
        self, connection: Connection, access: Access, redact: Redact | None, who: Who | None, *, owns: bool
    ) -> None:
        self._connection = connection
        self._board = Board(connection, redact)
        self._who: Callable[[Request, Visitor], str] = name_of if who is None else lambda request, _: who(request)
        self._access = access
        self._owns = owns
        self._templates = environment()
        self._files = {name: (_FOLDER / name).read_bytes() for name in FILES}
        self._version = hashlib.sha256(b"".join(self._files.values())).hexdigest()[:12]
        self._live: Live[LiveKey] = Live(self._part)
        self._login_turn = asyncio.Lock()
        self._app: ASGIApp = with_headers(Starlette(routes=list(self._routes()), lifespan=self._lifespan))

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    async def aclose(self) -> None:
        """Close the connection, if the dashboard has opened it. A mounted one closes with its process."""
        await self._board.aclose()

        if self._owns:
            await self._connection.aclose()

    def end_live(self) -> None:
        """Let all browsers go that show a live page. For whoever ends the server, which waits for them else."""
        self._live.end()

    @asynccontextmanager
    async def _lifespan(self, _: Starlette) -> AsyncIterator[None]:
        self._board.begin()

        try:
            yield
        finally:
            await self.aclose()

    def _routes(self) -> Sequence[Route]:
        files = [Route(f"/static/{name}", partial(self._file, name)) for name in FILES]
        pages = [Route(page.path, self._guarded(partial(self._page, page))) for page in PAGES]
        streams = [Route(f"/live{page.path}", self._guarded(partial(self._stream, page))) for page in PAGES]
        others = [
            Route("/login", self._login, methods=["GET", "POST"]),
            Route("/logout", self._logout, methods=["POST"]),
            Route("/act", self._act, methods=["POST"]),
        ]
        last = Route("/{path:path}", self._guarded(self._nothing))

        return [*files, *others, *streams, *pages, last]

    # Reading

    def _guarded(self, answer: Callable[[Request, Visitor], Awaitable[Response]]) -> Any:
        """Only for visitors who may read; and what goes wrong becomes a page."""

        async def endpoint(request: Request) -> Response:
            if (refused := self._refused_host(request)) is not None:
                return refused

            visitor = await self._access.visitor(request)

            if visitor.role == "none":
                return self._closed_door(request)

            try:
                response = await answer(request, visitor)
            except Elsewhere as other:
                return RedirectResponse(base_of(request) + str(other), 303)
            except NotFound as error:
                response = self._trouble(request, visitor, 404, "Not here", str(error))
            except InvalidInput as error:
                response = self._trouble(request, visitor, 400, "That cannot be done", str(error))
            except ServerError as error:
                response = self._trouble(request, visitor, 503, "The server cannot be asked", str(error))

            if visitor.is_new:
                keep_session(request, response, visitor.session)

            return response

        return endpoint

    async def _page(self, page: Page, request: Request, visitor: Visitor) -> Response:
        ask = Ask(self._board, request.path_params, request.query_params, visitor.role == "act")
        facts = await page.read(ask)

        return self._html(request, visitor, page.name, facts | {"live": f"/live{below(request)}"}, 200)

    async def _part(self, key: LiveKey) -> str:
        """The main part of a page, for all browsers that show it."""
        name = key.page.name

        try:
            facts = await key.page.read(Ask(self._board, dict(key.path), dict(key.query), key.may_act))
        except NotFound as error:  # it was there when the browser began to listen
            name, facts = "trouble", {"head": "Not here any more", "text": str(error), "recovers": False}

        query = {name: value for name, value in key.query if name not in TOLD_BY}

        return rendered(
            self._templates,
            name,
            facts | {"base": key.base, "may_act": key.may_act, "query": query, "path": key.shown},
            whole=False,
        )

    async def _stream(self, page: Page, request: Request, visitor: Visitor) -> Response:
        if self._live.is_full:
            return PlainTextResponse("Too many live pages are open. This one shows what it has.", 503)

        key = LiveKey(
            page,
            tuple(request.path_params.items()),
            tuple(request.query_params.items()),
            base_of(request),
            below(request).removeprefix("/live"),
            visitor.role == "act",
        )

        async def events() -> AsyncIterator[str]:
            yield "retry: 3000\n\n"

            async for news in self._live.listen(key):
                text = news.text.replace(FORM_TOKEN, visitor.csrf)
                lines = "".join(f"data: {line}\n" for line in text.split("\n"))
                yield f"event: {news.kind}\n{lines}\n"

        return StreamingResponse(events(), media_type="text/event-stream", headers={"X-Accel-Buffering": "no"})

    async def _nothing(self, request: Request, _: Visitor) -> Response:
        raise NotFound(f"There is no page {below(request)}. The pages are named above.")

    # Acting

    async def _act(self, request: Request) -> Response:
        form = await form_of(request)

        async def answer(request: Request, visitor: Visitor) -> Response:
            if visitor.role != "act":
                text = "These pages only show. Start `aioq web` with --allow-actions, or let `allow` answer 'act'."
                return self._trouble(request, visitor, 403, "No actions here", text)

            if self._access.is_forged(request, visitor, form.get("form_token", "")):
                text = "The form did not come from a page of this dashboard. Load the page, and repeat it there."
                return self._trouble(request, visitor, 403, "Not from here", text)

            with acting_as(self._who(request, visitor), source="web"):
                path = await carry_out(self._board, form)

            return RedirectResponse(base_of(request) + path, 303)

        response: Response = await self._guarded(answer)(request)

        return response

    async def _login(self, request: Request) -> Response:
        if (refused := self._refused_host(request)) is not None:
            return refused

        if not self._access.has_login:
            return RedirectResponse(f"{base_of(request)}/", 303)

        if request.method == "GET":
            return self._login_page(request, 200, "")

        form = await form_of(request)

        if is_foreign(request):
            return self._login_page(request, 403, "The form did not come from this page.")

        async with self._login_turn:
            session = self._access.log_in(form.get("token", ""))

            if session is None:
                await asyncio.sleep(WRONG_TOKEN_S)
                return self._login_page(request, 403, "That is not the token.")

        response = RedirectResponse(f"{base_of(request)}/", 303)
        keep_session(request, response, session)

        return response

    async def _logout(self, request: Request) -> Response:
        response = RedirectResponse(f"{base_of(request)}/login", 303)

        if not is_foreign(request):
            keep_session(request, response, "")

        return response

    # Answers

    def _html(self, request: Request, visitor: Visitor, name: str, facts: dict[str, Any], code: int) -> Response:
        query = dict(request.query_params)
        head = {
            "base": base_of(request),
            "may_act": visitor.role == "act",
            "has_login": self._access.has_login,
            "query": query,
            "path": below(request),
            "pages": [page for page in PAGES if page.title],
            "told": told(query),
            "version": self._version,
        }
        text = rendered(self._templates, name, {"live": ""} | facts | head, whole=True)

        return HTMLResponse(text.replace(FORM_TOKEN, visitor.csrf), code)

    def _trouble(self, request: Request, visitor: Visitor, code: int, head: str, text: str) -> Response:
        facts = {"head": head, "text": text, "recovers": code == 503, "title": head}

        return self._html(request, visitor, "trouble", facts, code)

    def _closed_door(self, request: Request) -> Response:
        if not self._access.has_login:
            return PlainTextResponse("You may not see this.\n", 403)

        return RedirectResponse(f"{base_of(request)}/login", 303)

    def _login_page(self, request: Request, code: int, problem: str) -> Response:
        return self._html(
            request, Visitor("none", "", False), "login", {"problem": problem, "title": "Log in"}, code
        )

    def _refused_host(self, request: Request) -> Response | None:
        if self._access.knows_host(request):
            return None

        text = (
            "These pages are not shown under this name. `aioq web --allowed-host NAME` adds one;"
            " an application gives dashboard(hosts=[…]), or allow=….\n"
        )

        return PlainTextResponse(text, 421)

    async def _file(self, name: str, request: Request) -> Response:
        fresh = request.query_params.get("v") == self._version
        cache = "public, max-age=31536000, immutable" if fresh else "no-cache"

        return Response(self._files[name], media_type=FILES[name], headers={"Cache-Control": cache})


def dashboard(
    connection: Server | Connection | Queue = None,
    *,
    allow: Allow | None = None,
    token: str | None = None,
    allow_actions: bool = False,
    hosts: Sequence[str] | None = None,
    redact: Redact | None = None,
    who: Who | None = None,
    prefix: str | None = None,
    secret: Secret = None,
) -> Dashboard:
    """The dashboard as an ASGI application, to be mounted under any path, or served alone.

    Without `allow` and `token`, it only shows, and only under a name of this machine: localhost, 127.0.0.1 or ::1.

    Args:
        connection: as for Queue; or a Queue, whose connection is used.
        allow: called with the request; answers "none", "read" or "act". It may be a coroutine function.
        token: who has it may log in; at least 16 characters. It goes without `allow`.
        allow_actions: whether whoever has logged in may act, too (default False).
        hosts: the names under which the pages may be asked for (default: with `allow` or `token` any; else those
            of this machine).
        redact: called with the name of a function, the name of an argument (or its place, "result", "meta.<key>"
            or "error") and its text; what it returns is shown in its place.
        who: called with the request of an action; the name of whoever acts, which the audit keeps (default None:
            a name of their session, and their address).
        prefix: the first word of every key, as for Queue.
        secret: as for Queue.

    Raises:
        InvalidInput: a value cannot be used.

    Example:
        >>> app.mount("/queues", dashboard("redis://localhost:6379/0", allow=role_of))  # doctest: +SKIP

    """
    if hosts is None and allow is None and token is None:
        hosts = LOOPBACK

    access = Access(token, allow, allow_actions=allow_actions, hosts=hosts)

    if isinstance(connection, Queue):
        return Dashboard(connection.connection, access, redact, who, owns=False)

    opened = connect(connection, prefix=prefix, secret=secret)

    return Dashboard(opened, access, redact, who, owns=not isinstance(connection, Connection))
