"""The one error of this package."""

from __future__ import annotations


class EmbeddedError(RuntimeError):
    """The embedded server cannot be used. The text says why and names the fix, if there is one."""
