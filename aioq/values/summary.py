"""Summary: an exception at a glance, as the name of its class and the first line of its message."""

from __future__ import annotations

from aioq.values.errors import RemoteError

#: The most characters of each.
MAX_TYPE = 200
MAX_MESSAGE = 500

#: What stands for the message of an exception that cannot be printed, as in Python's tracebacks.
UNPRINTABLE = "<exception str() failed>"


def summary(error: BaseException) -> tuple[str, str]:
    r"""The name of an exception's class, and the first line of its message. Both are short, and single lines.

    Whatever the exception does when it is printed, this raises nothing.

    Example:
        >>> summary(ValueError("no such document\nsee the manual"))
        ('ValueError', 'no such document')

    """
    if isinstance(error, RemoteError):
        return first_line(error.error_type, MAX_TYPE), first_line(error.error_message)

    return type_name(type(error)), first_line(_message(error))


def type_name(kind: type) -> str:
    """The dotted name of a class: a builtin one without its module.

    Example:
        >>> type_name(RemoteError)
        'aioq.errors.RemoteError'

    """
    try:
        module, name = str.__str__(kind.__module__), str.__str__(kind.__qualname__)
    except Exception:  # noqa: BLE001 - a metaclass can do anything here
        return "(a class without a name)"

    return first_line(name if module == "builtins" else f"{module}.{name}", MAX_TYPE)


def first_line(text: str, longest: int = MAX_MESSAGE) -> str:
    """The first line of a text that is not blank, cut short, and without what is no valid Unicode."""
    # Much more is not looked at: a message may have megabytes.
    line = next(iter(text.lstrip()[: longest + 1].splitlines()), "").rstrip()
    line = line.encode(errors="backslashreplace").decode()

    return line if len(line) <= longest else f"{line[: longest - 1]}…"


def printable(text: str) -> str:
    """The text without characters that would begin a line, or that a terminal would obey."""
    if text.isprintable():
        return text

    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in text)


def _message(error: BaseException) -> str:
    try:
        return str.__str__(str(error))  # it may be a subclass of str, with methods of its own
    except BaseException:  # noqa: BLE001 - SystemExit too: whatever a job's exception does stays with the job
        return UNPRINTABLE
