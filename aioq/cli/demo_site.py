"""The documents of `aioq demo`: text files of the packages that are installed here, served over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.metadata import distributions
from pathlib import Path
from threading import Thread
from urllib.parse import quote

MOST = 300
SUFFIXES = {".txt", ".md", ".rst", ".py"}


class Site(ThreadingHTTPServer):
    """A web server on a free port of the loopback interface. It answers 404 for pages that are not in `pages`."""

    daemon_threads = True
    request_queue_size = 128  # a worker asks for as many documents at once as it has threads

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.pages: dict[str, Path] = {}

    def url(self, page: str) -> str:
        """The URL of a page, whether it exists or not."""
        return f"http://127.0.0.1:{self.server_port}{page}"


class _Handler(BaseHTTPRequestHandler):
    server: Site

    def do_GET(self) -> None:
        document = self.server.pages.get(self.path)

        if document is None:
            self.send_error(HTTPStatus.NOT_FOUND)

            return

        content = document.read_bytes()
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/plain")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Nothing: stderr is the command's."""


@contextmanager
def serving() -> Iterator[Site]:
    """A site without pages, until the block is left."""
    with Site() as site:
        thread = Thread(target=site.serve_forever, kwargs={"poll_interval": 0.05}, name="aioq demo site")
        thread.start()

        try:
            yield site
        finally:
            site.shutdown()
            thread.join()


def find_documents() -> dict[str, Path]:
    """Pages and their files: a fair sample of the text files, the same ones every time."""
    found = {}

    for distribution in distributions():
        name = quote(distribution.name)

        for path in distribution.files or ():
            file = Path(str(distribution.locate_file(path)))

            if path.suffix in SUFFIXES and ".." not in path.parts and file.is_file():
                found[f"/{name}/{quote(path.as_posix())}"] = file

    names = sorted(found)
    step = max(1, len(names) / MOST)

    return {names[int(at * step)]: found[names[int(at * step)]] for at in range(min(MOST, len(names)))}
