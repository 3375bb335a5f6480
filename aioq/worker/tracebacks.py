"""Tracebacks: an exception as it is stored and logged, with the user's frames and none of the worker's own."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import FrameType, TracebackType

from aioq.values.errors import RemoteError
from aioq.values.summary import printable, summary
from aioq.worker.threads import RunEnded

#: Characters of a traceback that are kept: its end tells what happened.
MAX_ERROR = 32_768

#: How many errors are looked at that one error was raised from.
MOST_CAUSES = 20

#: The packages whose frames tell a user nothing: the worker, the look for functions, and Python's import.
_OURS = ("aioq.worker.", "aioq.values.", "importlib.")


#: The packages that call functions on a thread for the worker.
_CARRIERS = ("anyio.", "asyncio.", "concurrent.", "threading.", "contextvars.")


class RemoteTraceback(Exception):
    """The traceback of an exception that was raised in another process."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def error_text(error: BaseException) -> str:
    """The traceback of an error, without the frames of the worker; its end if it is very long."""
    if isinstance(error, RunEnded):
        return "RunEnded"

    if isinstance(error, RemoteError):
        return error.text

    try:
        text = "".join(traceback.format_exception(type(error), error, user_frames(error)))
    except Exception:  # noqa: BLE001 - an exception that cannot be printed is still reported by its type
        text = f"{type(error).__module__}.{type(error).__qualname__}: (it cannot be printed)"

    return text[-MAX_ERROR:]


def error_line(error: BaseException) -> str:
    """An exception as one line: its class, and the first line of its message."""
    return printable(": ".join(filter(None, summary(error))))


def exception(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An exception as `exc_info`, without the frames of the worker; one of another process is built again."""
    if isinstance(error, RemoteError):
        error = rebuilt(error)

    return type(error), error, user_frames(error)


def user_frames(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the user's first frame on: they begin after the last one of the worker.

    Frames of Python's import and of the look for functions are left out, too, also of the errors that this one was
    raised from.
    """
    for cause in causes(error):
        if cause is not error and any(_is_ours(frame) for frame, _ in traceback.walk_tb(cause.__traceback__)):
            cause.__traceback__ = _without_ours(cause.__traceback__)

    steps = list(_steps(error.__traceback__))

    # What the user's code has called of the worker, such as a job's property, stands behind it and is no begin.
    users = [
        place for place, step in enumerate(steps) if not _is_ours(step.tb_frame) and not _carries(step.tb_frame)
    ]
    before = steps[: users[-1]] if users else steps
    begin = max((place + 1 for place, step in enumerate(before) if is_workers(step.tb_frame)), default=0)

    return _without_ours(steps[begin]) if begin < len(steps) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was raised from, the last one first."""
    seen: BaseException | None = error

    for _ in range(MOST_CAUSES):
        if seen is None:
            return

        yield seen

        seen = seen.__cause__ or seen.__context__


def is_workers(frame: FrameType) -> bool:
    """Whether it is code of the worker."""
    return f"{_module(frame)}.".startswith(_OURS[0])


def users_frames(frames: Iterable[FrameType]) -> list[FrameType]:
    """Those of a stack that are neither of a worker nor of Python's import."""
    return [frame for frame in frames if not _is_ours(frame)]


def rebuilt(error: RemoteError) -> BaseException:
    """An exception with the name and the message of the one that was raised in another process.

    Its cause has the traceback. Its class is made for it: the job's own may not be there, and is not looked for.
    """
    name, message = summary(error)

    try:
        again = _class_named(name)(message)
    except (ValueError, TypeError):  # no name for a class
        again = Exception(f"{printable(name)}: {message}")

    again.__cause__ = RemoteTraceback(error.text)

    return again


@lru_cache(maxsize=256)
def _class_named(name: str) -> type[Exception]:
    module, _, bare = name.rpartition(".")

    return type(bare, (Exception,), {"__module__": module or "builtins"})


def _without_ours(frames: TracebackType | None) -> TracebackType | None:
    """The traceback without frames of ours. The user's own are made anew only if some are left out."""
    steps = list(_steps(frames))

    if not any(_is_ours(step.tb_frame) for step in steps):
        return steps[0] if steps else None

    following: TracebackType | None = None

    for step in reversed(steps):
        if not _is_ours(step.tb_frame):
            following = TracebackType(following, step.tb_frame, step.tb_lasti, step.tb_lineno)

    return following


def _steps(frames: TracebackType | None) -> Iterator[TracebackType]:
    while frames is not None:
        yield frames

        frames = frames.tb_next


def _carries(frame: FrameType) -> bool:
    """Whether it is code that stands between the worker and a function on a thread."""
    return f"{_module(frame)}.".startswith(_CARRIERS)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<frozen importlib") or f"{_module(frame)}.".startswith(_OURS)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
