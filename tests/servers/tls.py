"""Certificates of the tests' own, and a server that can use them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.tools import server_binary


@dataclass(frozen=True, slots=True)
class Certificates:
    """One certificate for 127.0.0.1, signed by itself: it is its own authority."""

    certificate: Path
    key: Path

    @classmethod
    def make(cls, folder: Path) -> Certificates:
        made = cls(folder / "server.crt", folder / "server.key")
        subprocess.run(
            [
                *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
                *("-nodes", "-days", "1", "-subj", "/CN=aioq tests"),
                *("-addext", "subjectAltName=IP:127.0.0.1,DNS:localhost"),
                *("-keyout", str(made.key), "-out", str(made.certificate)),
            ],
            check=True, capture_output=True,
        )  # fmt: skip

        return made

    def settings(self) -> Iterator[tuple[str, str]]:
        """What a server needs to speak TLS alone, also to its like."""
        yield from {
            "tls-cert-file": str(self.certificate),
            "tls-key-file": str(self.key),
            "tls-ca-cert-file": str(self.certificate),
            "tls-auth-clients": "no",
            "tls-replication": "yes",
        }.items()


@cache
def tls_binary() -> str | None:
    """A server that was built with TLS, of those that this machine has; None if there is none.

    Asked for TLS without a certificate, all servers end at once, and only those that know it say why.
    """
    for path in (server_binary(), shutil.which("valkey-server"), shutil.which("redis-server")):
        if path is not None:
            asked = [path, "--port", "0", "--tls-port", "1"]
            said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=False).stdout

            if "tls-cert-file" in said:
                return path

    return None


def lacking() -> str:
    """Why this machine cannot run the tests with TLS; "" if it can."""
    if shutil.which("openssl") is None:
        return "this machine has no openssl"

    if tls_binary() is None:
        return "this machine has no server with TLS; apt-get install redis-server, or valkey-server"

    return ""
