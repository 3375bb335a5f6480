"""What `import aioq` and the command load: each package that is loaded without need makes every start slower."""

from __future__ import annotations

import subprocess
import sys

import pytest

#: Packages that take long to import, and that a program needs only for some things that aioq does.
HEAVY = ("redis", "hiredis", "anyio", "typer", "click", "rich", "opentelemetry", "uvloop", "importlib.metadata",
         "msgspec", "pydantic")  # fmt: skip


def loaded(code: str) -> set[str]:
    """The modules that a new interpreter has loaded when it has run this code."""
    show = f"import sys\n{code}\nprint(*sys.modules)"

    return set(
        subprocess.run([sys.executable, "-c", show], capture_output=True, text=True, check=True).stdout.split()
    )


def heavy(modules: set[str], *allowed: str) -> list[str]:
    return sorted(name for name in HEAVY if name in modules and name not in allowed)


def test_the_import_of_aioq_loads_no_package_that_is_needed_later() -> None:
    modules = loaded("import aioq")
    assert heavy(modules, "hiredis") == []
    assert not {name for name in modules if name.startswith(("aioq.worker", "aioq.cli.", "aioq.doctor"))}
    assert "aioq.values.typed" not in modules


def test_the_first_connection_loads_redis() -> None:
    modules = loaded("import aioq\naioq.Connection('redis://127.0.0.1:1')")
    assert "redis" in modules
    # redis-py loads OpenTelemetry where it is installed.
    assert heavy(modules, "hiredis", "redis", "opentelemetry", "importlib.metadata") == []


@pytest.mark.parametrize("module", ["aioq.values.record", "aioq.worker.child"])
def test_modules_that_touch_no_server_load_no_client_of_one(module: str) -> None:
    assert "redis" not in loaded(f"import {module}")


def test_the_help_of_the_command_loads_no_worker_and_no_client_of_a_server() -> None:
    modules = loaded(
        "from aioq.cli.main import app\n"
        "try:\n    app(['--help'], prog_name='aioq')\nexcept SystemExit:\n    print()"
    )
    assert heavy(modules, "hiredis", "typer", "click") == []
    assert not {"aioq.worker.worker", "aioq.worker.service", "urllib.request", "http", "email"} & modules
