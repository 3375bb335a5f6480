from __future__ import annotations

# The fixtures of the room next door, which end with a look by the doctor.
from tests.system.conftest import own_server, server, spawn

__all__ = ["own_server", "server", "spawn"]
