"""Summary: an exception at a glance, as the name of its class and the first line of its message."""

from __future__ import annotations

from aioq.values.errors import RemoteError

#: The most characters of a message.
MAX_MESSAGE = 500

_TRACEBACK = "Traceback (most recent call last):"


def summary(error: BaseException) -> tuple[str, str]:
    r"""The name of an exception's class, and the first line of its message.

    Whatever the exception does when it is printed, this raises nothing.

    Example:
        >>> summary(ValueError("no such document\nsee the manual"))
        ('ValueError', 'no such document')

    """
    if isinstance(error, RemoteError):
        name = error.kinds[0].removeprefix("builtins.") if error.kinds else type(error).__name__
        # In a traceback, frames are indented; the line after them tells of the exception.
        lines = error.text.rpartition(_TRACEBACK)[2].splitlines()
        line = next((each for each in lines if each and not each.startswith((" ", "\t"))), "")

        return name, _first_line(line.removeprefix(name).removeprefix(": "))

    kind = type(error)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"

    try:
        return name, _first_line(str(error))
    except BaseException:  # noqa: BLE001 - SystemExit too: whatever a job's exception does stays with the job
        return name, "<exception str() failed>"


def _first_line(text: str) -> str:
    line = next(iter(text.lstrip()[: MAX_MESSAGE + 1].splitlines()), "").rstrip()
    line = line.encode(errors="backslashreplace").decode()

    return line if len(line) <= MAX_MESSAGE else f"{line[: MAX_MESSAGE - 1]}…"
