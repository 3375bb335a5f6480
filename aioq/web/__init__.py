"""The dashboard: queues, jobs and workers in a browser, as an ASGI application. It needs the extra `web`.

>>> from aioq.web import dashboard
>>> app.mount("/queues", dashboard("redis://localhost:6379/0", allow=role_of))  # doctest: +SKIP
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from aioq.web.app import Dashboard, dashboard

__all__ = ["Dashboard", "dashboard"]


def __getattr__(name: str) -> Any:
    """The application and what makes it. They are imported when they are asked for, since they need the extra."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    try:
        from aioq.web import app  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"the dashboard needs the package {error.name}. Install the extra: pip install 'aioq-streams[web]'",
            name=error.name,
        ) from error

    return getattr(app, name)
