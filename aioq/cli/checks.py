"""Checks of what is given to options."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import typer

from aioq.values.durations import to_ms
from aioq.values.numbers import whole


def read_seconds(text: str | None, option: str, least: float) -> float | None:
    """An option's duration in seconds; None if the option is not given.

    Raises:
        InvalidInput: it is no duration.
        BadParameter: it is shorter than `least` seconds.

    """
    if text is None:
        return None

    seconds = to_ms(text, option) / 1000

    if seconds < least:
        raise typer.BadParameter(
            f"{text!r}: expected a duration of at least {least:g} s", param_hint=f"'{option}'"
        )

    return seconds


def checked(read: Callable[[Any, str], object]) -> Callable[[typer.CallbackParam, Any], Any]:
    """A callback that refuses an option's value and names the option.

    Args:
        read: raises InvalidInput for an invalid value. Its arguments are the value and the option's name.

    """

    def check(parameter: typer.CallbackParam, value: Any) -> Any:
        for each in value if isinstance(value, list) else [value]:
            if each is not None:
                read(each, max(parameter.opts, key=len))

        return value

    return check


def positive(number: Any, option: str) -> int:
    """A whole number of at least 1. Raises InvalidInput."""
    return whole(number, option, 1)


def refuse_names_with_all(names: Sequence[str]) -> None:
    """Refuse `--all` together with names."""
    if names:
        raise typer.BadParameter(f"it cannot be combined with {' '.join(names)}", param_hint="'--all'")
