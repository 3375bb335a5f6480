"""Hints for those who use RQ's names where there is no event loop."""

from __future__ import annotations

import re
from collections.abc import Mapping


def plain(names: Mapping[str, str]) -> dict[str, str]:
    """Hints as `rq_names` has them, for calls that nobody awaits."""
    return {name: re.sub(r"await (?=queue|task|job|Job|registry|group)", "", hint) for name, hint in names.items()}
