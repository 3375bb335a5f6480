"""Headers: what each answer says to the browser, so that a page can load and send nothing but its own."""

from __future__ import annotations

from starlette.types import ASGIApp, Message, Receive, Scope, Send

#: Nothing is loaded from elsewhere, and no script or style stands inside of a page.
POLICY = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)

HEADERS = (
    (b"content-security-policy", POLICY.encode()),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"same-origin"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cross-origin-resource-policy", b"same-origin"),
)


def with_headers(app: ASGIApp) -> ASGIApp:
    """The application, with these headers on each answer. Pages are not kept by caches."""

    async def wrapped(scope: Scope, receive: Receive, send: Send) -> None:
        async def send_more(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = list(message.get("headers", ()))
                has_cache = any(name.lower() == b"cache-control" for name, _ in headers)
                more = () if has_cache else ((b"cache-control", b"no-store"),)
                message = {**message, "headers": [*headers, *HEADERS, *more]}

            await send(message)

        await app(scope, receive, send_more)

    return wrapped
