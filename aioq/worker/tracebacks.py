"""Tracebacks: an exception as it is stored and logged, with the user's frames and none of the worker's own."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Iterator
from functools import lru_cache
from types import FrameType, TracebackType

from aioq.values.errors import RemoteError
from aioq.values.summary import printable, summary
from aioq.worker.threads import RunEnded

#: How many characters of a traceback are kept, from its end: the end tells what happened.
MAX_TRACEBACK_CHARS = 32_768

#: How many of the errors are read that an error was raised from.
MOST_CAUSES = 20

#: The packages whose frames tell a user nothing: the worker, the search for functions, and Python's import.
_OURS = ("aioq.worker.", "aioq.values.", "importlib.")


#: The packages that call functions on a thread for the worker.
_CARRIERS = ("anyio.", "asyncio.", "concurrent.", "threading.", "contextvars.")


class RemoteTraceback(Exception):
    """The traceback of an exception that was raised in another process."""

    def __str__(self) -> str:
        return f'\n"""\n{self.args[0]}"""'


def error_text(error: BaseException) -> str:
    """The traceback of an error without the frames of the worker. Of a very long one, the end is kept."""
    if isinstance(error, RunEnded):
        return "RunEnded"

    if isinstance(error, RemoteError):
        return error.text

    try:
        text = "".join(traceback.format_exception(type(error), error, user_traceback(error)))
    except Exception:  # noqa: BLE001 - an exception that cannot be printed is still reported by its type
        text = f"{type(error).__module__}.{type(error).__qualname__}: (it cannot be printed)"

    return text[-MAX_TRACEBACK_CHARS:]


def error_line(error: BaseException) -> str:
    """An exception as one line: its class, and the first line of its message."""
    return printable(": ".join(filter(None, summary(error))))


def exc_info(error: BaseException) -> tuple[type[BaseException], BaseException, TracebackType | None]:
    """An exception as `exc_info`, without the frames of the worker. One from another process is built again."""
    if isinstance(error, RemoteError):
        error = rebuilt(error)

    return type(error), error, user_traceback(error)


def user_traceback(error: BaseException) -> TracebackType | None:
    """The traceback of an error from the user's first frame on, which follows the last frame of the worker.

    Frames of Python's import and of the search for functions are left out, too, also in the errors that this one
    was raised from.
    """
    for cause in causes(error):
        if cause is not error and any(_is_ours(frame) for frame, _ in traceback.walk_tb(cause.__traceback__)):
            cause.__traceback__ = _without_ours(cause.__traceback__)

    steps = list(_steps(error.__traceback__))

    # The user's code may call the worker's, such as a job's property. Those frames come later and do not count.
    users = [
        place for place, step in enumerate(steps) if not _is_ours(step.tb_frame) and not _carries(step.tb_frame)
    ]
    before = steps[: users[-1]] if users else steps
    begin = max((place + 1 for place, step in enumerate(before) if is_of_worker(step.tb_frame)), default=0)

    return _without_ours(steps[begin]) if begin < len(steps) else None


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, and those that it was raised from, the last one first."""
    seen: BaseException | None = error

    for _ in range(MOST_CAUSES):
        if seen is None:
            return

        yield seen

        seen = seen.__cause__ or seen.__context__


def is_of_worker(frame: FrameType) -> bool:
    """Whether a frame is code of the worker."""
    return f"{_module(frame)}.".startswith(_OURS[0])


def user_frames(frames: Iterable[FrameType]) -> list[FrameType]:
    """The frames of a stack that belong neither to the worker nor to Python's import."""
    return [frame for frame in frames if not _is_ours(frame)]


def rebuilt(error: RemoteError) -> BaseException:
    """An exception with the name and the message of the one that was raised in another process.

    Its cause has the traceback. Its class is made for it: the job's own class may be missing here, so nobody looks
    for it.
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
    """The traceback without frames of ours. The user's own frames are made anew only if others are left out."""
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
    """Whether it is code between the worker and a function on a thread."""
    return f"{_module(frame)}.".startswith(_CARRIERS)


def _is_ours(frame: FrameType) -> bool:
    return frame.f_code.co_filename.startswith("<frozen importlib") or f"{_module(frame)}.".startswith(_OURS)


def _module(frame: FrameType) -> str:
    return str(frame.f_globals.get("__name__", ""))
