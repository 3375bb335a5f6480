"""`aioq web`: the dashboard in the foreground, for a browser."""

from __future__ import annotations

import os
from pathlib import Path
from socket import gethostname, socket
from typing import Annotated

import typer

from aioq.cli import output
from aioq.cli.checks import checked
from aioq.cli.common import CommandError, Target, refuse_empty_folder
from aioq.values.errors import InvalidInput
from aioq.values.numbers import whole

#: Where the token may stand, beside a file.
TOKEN_VARIABLE = "AIOQ_WEB_TOKEN"  # noqa: S105 - the name of a variable

#: Hosts that only programs of this machine reach.
LOOPBACK = ("127.0.0.1", "localhost", "::1")

Host = Annotated[
    str,
    typer.Option(
        "--host", metavar="HOST", help="The address to listen on. Another one than this machine's needs a token."
    ),
]
Port = Annotated[
    int, typer.Option("--port", callback=checked(whole), metavar="PORT", help="The port; 0: any that is free.")
]
TokenFile = Annotated[
    Path | None,
    typer.Option(
        "--token-file",
        metavar="FILE",
        show_default=False,
        help=f"Whoever has the token in this file may log in; nothing is shown without. Else: {TOKEN_VARIABLE}.",
    ),
]
Allow = Annotated[
    bool,
    typer.Option(
        "--allow-actions", help="Whoever has logged in may also pause, requeue, stop, delete. It needs a token."
    ),
]
Hosts = Annotated[
    list[str] | None,
    typer.Option(
        "--allowed-host", metavar="NAME", show_default=False, help="Also answer under this name; any number."
    ),
]
RootPath = Annotated[
    str,
    typer.Option(
        "--root-path",
        metavar="PATH",
        show_default=False,
        help="The path under which a proxy shows it, such as /aioq.",
    ),
]


def web(
    *,
    host: Host = "127.0.0.1",
    port: Port = 8642,
    token_file: TokenFile = None,
    allow_actions: Allow = False,
    allowed_hosts: Hosts = None,
    root_path: RootPath = "",
    target: Target,
) -> None:
    """Show queues, jobs and workers in a browser. It only shows, unless actions are allowed."""
    token = _token(token_file)

    if host not in LOOPBACK and token is None:
        raise CommandError(f"--host {host}: others can reach it, so it needs a token. {_how_to_make()}")

    if allow_actions and token is None:
        raise CommandError(f"--allow-actions: actions need a token. {_how_to_make()}")

    if root_path and (not root_path.startswith("/") or root_path.endswith("/")):
        raise InvalidInput(f"--root-path {root_path}: expected a path such as /aioq")

    refuse_empty_folder(target.server)
    _serve(
        target,
        host,
        port,
        token,
        root_path,
        [*LOOPBACK, host, gethostname(), *(allowed_hosts or [])],
        allow_actions=allow_actions,
    )


def _token(path: Path | None) -> str | None:
    """The token, or None if there is none. It is never an option, because others can see command lines."""
    if path is None:
        return os.environ.get(TOKEN_VARIABLE) or None

    try:
        return path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"--token-file {path}: it cannot be read: {error}. {_how_to_make()}") from None


def _how_to_make() -> str:
    return (
        "Make one, and give its file: python -c 'import secrets; print(secrets.token_urlsafe())' > token;"
        " aioq web --token-file token"
    )


def _serve(
    target: Target,
    host: str,
    port: int,
    token: str | None,
    root_path: str,
    hosts: list[str],
    *,
    allow_actions: bool,
) -> None:
    try:
        import uvicorn  # noqa: PLC0415 - the extra brings it

        from aioq.web import dashboard  # noqa: PLC0415 - it needs the extra
    except ModuleNotFoundError as error:
        raise CommandError(
            f"`aioq web` needs the package {error.name}. Install the extra: pip install 'aioq-streams[web]'"
        ) from None

    app = dashboard(target.url, prefix=target.prefix, token=token, allow_actions=allow_actions, hosts=hosts)
    config = uvicorn.Config(
        app,
        host=host,
        port=port,
        root_path=root_path,
        log_level="warning",
        access_log=False,
        timeout_graceful_shutdown=5,
        server_header=False,
    )

    class Announced(uvicorn.Server):
        """Says where it listens, once it does; and lets live pages go before it ends."""

        async def startup(self, sockets: list[socket] | None = None) -> None:
            await super().startup(sockets)

            if self.started:
                bound = self.servers[0].sockets[0].getsockname()[1]
                name = f"[{host}]" if ":" in host else host
                output.say(f"The dashboard is at http://{name}:{bound}{root_path}/")

        async def shutdown(self, sockets: list[socket] | None = None) -> None:
            app.end_live()
            await super().shutdown(sockets)

    Announced(config).run()
