"""Imports: the modules of jobs are imported beside the event loop, one at a time, so that other jobs go on.

Two threads that import modules which need each other can meet half-made ones, which one thread never does. So
there is one import at a time. It belongs to no run: one that is ended meanwhile only waits for it no longer.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import time
import traceback
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from importlib import import_module
from types import FrameType, TracebackType
from typing import Any

from anyio import CapacityLimiter, to_thread

from aioq.values.errors import DeserializationError, InvalidInput, WorkerError
from aioq.values.reference import is_imported, module_of
from aioq.worker.run import own_task
from aioq.worker.telling import error_line
from aioq.worker.threads import ThreadCall

log = logging.getLogger("aioq.worker")

Function = Callable[..., Any]

#: An import that takes longer than this is told with what to do about it, in seconds.
SLOW_S = 0.5

#: One that still goes on after this is told with where it stands, in seconds: jobs wait for it.
LONG_S = 10.0

#: How many functions are kept that were found, and how many modules are told that were not.
MOST_FUNCTIONS = 4096
MOST_MISSING = 1000

#: How many errors are looked at that one error was raised from.
MOST_CAUSES = 20

#: How errors begin of code that cannot run on any other thread than that of the event loop.
_ONLY_THERE = (
    "signal only works in main thread",
    "set_wakeup_fd only works in main thread",
    "no running event loop",
    "There is no current event loop",
)


@dataclass(frozen=True, slots=True)
class Found:
    """What came of looking for a function: the function, or what was raised."""

    func: Function | None
    error: BaseException | None = None
    raised_at: TracebackType | None = None


class Imports:
    """The functions of jobs, by their names.

    Args:
        resolve: imports a function.

    """

    def __init__(self, resolve: Callable[[str], Function]) -> None:
        #: The functions that were found. Whoever finds one here pays no more than for this look.
        self.known: dict[str, Function] = {}
        self._resolve = resolve
        self._loading: dict[str, asyncio.Task[Found]] = {}
        self._turn = asyncio.Lock()
        self._missing: set[str] = set()

    async def find(self, name: str) -> Function:
        """A function that is not known yet. Its module is imported on a thread, once for all who ask meanwhile.

        Raises:
            BaseException: whatever `resolve` or the module raises, SystemExit, too.

        """
        try:
            func = self._resolve(name) if is_imported(name) else await self._import(name)
        except DeserializationError as error:
            if error.missing:
                self._tell_of_missing(error.missing, name)

            raise

        if len(self.known) >= MOST_FUNCTIONS:
            del self.known[next(iter(self.known))]

        self.known[name] = func

        return func

    def close(self) -> None:
        """Nobody waits for an import any more. One that has begun goes on, on its thread."""
        for name, task in self._loading.items():
            log.warning("importing the module of %s goes on, and ends with the process at the latest", name)
            task.cancel()

    async def _import(self, name: str) -> Function:
        task = self._loading.get(name)

        if task is None:
            task = self._loading[name] = own_task(self._load(name))
            task.set_name(f"import of {name}")
            task.add_done_callback(lambda _: self._loading.pop(name, None))

        found = await asyncio.shield(task)

        if found.error is not None:
            raise found.error.with_traceback(found.raised_at)

        assert found.func is not None

        return found.func

    async def _load(self, name: str) -> Found:
        """It never raises: a SystemExit that leaves a task ends the event loop."""
        call = ThreadCall(self._resolve, (name,), {})

        try:
            async with self._turn:
                return await self._load_on_thread(name, call)
        except asyncio.CancelledError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a module raises is the failure of its jobs
            if not _needs_event_loop(error):
                return Found(None, error, error.__traceback__)

            log.warning(
                "the module of %s cannot be imported on a thread (%s). It is imported on the event loop now, and"
                " all jobs wait meanwhile; `aioq worker --import %s` does so before the first job",
                name,
                error_line(error),
                name.rpartition(".")[0],
            )

        try:
            return Found(ThreadCall(self._resolve, (name,), {})())
        except BaseException as error:  # noqa: BLE001 - as above
            return Found(None, error, error.__traceback__)

    async def _load_on_thread(self, name: str, call: ThreadCall) -> Found:
        watch = asyncio.get_running_loop().call_later(LONG_S, _tell_of_long, name, call)
        began = time.monotonic()

        try:
            func = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=CapacityLimiter(1))
        finally:
            watch.cancel()

        if (seconds := time.monotonic() - began) > SLOW_S:
            module = module_of(name)[0]
            log.info(
                "importing %s took %.1f s; `aioq worker --import %s` does so before the first job",
                module,
                seconds,
                module,
            )

        return Found(func)

    def _tell_of_missing(self, module: str, name: str) -> None:
        if module in self._missing or len(self._missing) >= MOST_MISSING:
            return

        self._missing.add(module)
        kind = "module or class" if "." in module else "module"
        log.error("there is no %s %s here, so %s cannot be run: %s", kind, module, name, _looked_for(module))


def check_modules(imports: str | Sequence[str]) -> tuple[str, ...]:
    """The names of modules that are to be imported.

    Raises:
        InvalidInput: one cannot be the name of a module.

    """
    names = (imports,) if isinstance(imports, str) else tuple(imports)

    for name in names:
        if not isinstance(name, str) or not all(part.isidentifier() for part in name.split(".")):
            raise InvalidInput(f'imports: {name!r} is not the name of a module such as "shop.tasks"')

    return names


def import_all(modules: Iterable[str]) -> None:
    """Import modules, here and now.

    Raises:
        WorkerError: one cannot be imported.

    """
    for name in modules:
        began = time.monotonic()

        try:
            import_module(name)
        except (Exception, SystemExit) as error:
            log.debug("importing %s failed", name, exc_info=error)

            raise WorkerError(_why_not(name, error)) from error

        log.debug("imported %s in %.1f s", name, time.monotonic() - began)


def users_frames(frames: Iterable[FrameType]) -> list[FrameType]:
    """Those of a stack that are neither of a worker nor of Python's import."""
    return [frame for frame in frames if not _is_ours(frame)]


def _is_ours(frame: FrameType) -> bool:
    name = str(frame.f_globals.get("__name__", ""))

    return frame.f_code.co_filename.startswith("<frozen importlib") or name.startswith(
        ("aioq.worker", "aioq.values.reference", "aioq.values.allowlist", "importlib")
    )


def _why_not(module: str, error: BaseException) -> str:
    missing = error.name or "" if isinstance(error, ModuleNotFoundError) else ""

    if module == missing or module.startswith(f"{missing}."):
        return f"there is no module {missing} to import: {_looked_for(missing)}"

    what = f"SyntaxError: {error.msg}" if isinstance(error, SyntaxError) else error_line(error)

    return f"importing {module} failed: {what}{_place(error)}"


def _place(error: BaseException) -> str:
    """The line that an error has come from, behind a space."""
    if isinstance(error, SyntaxError):
        return f" ({error.filename}, line {error.lineno})"

    steps = [(frame, line) for frame, line in traceback.walk_tb(error.__traceback__) if not _is_ours(frame)]

    return f" ({steps[-1][0].f_code.co_filename}, line {steps[-1][1]})" if steps else ""


def _looked_for(module: str) -> str:
    """Where a module was looked for, and what to do."""
    parent = sys.modules.get(module.rpartition(".")[0])
    paths = list(getattr(parent, "__path__", sys.path)) if "." in module else sys.path
    places = ", ".join(str(path) or "." for path in paths)

    return (
        f"it was looked for in {places}. Start the worker in the folder of the application, or name that folder"
        " with `aioq worker --path`"
    )


def _needs_event_loop(error: BaseException) -> bool:
    """Whether code has failed for the thread that it ran on; also behind an error that it was turned into."""
    seen: BaseException | None = error

    for _ in range(MOST_CAUSES):
        if isinstance(seen, ValueError | RuntimeError) and _text(seen).startswith(_ONLY_THERE):
            return True

        seen = seen and (seen.__cause__ or seen.__context__)

    return False


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever its own code does
        return "(it cannot be printed)"


def _tell_of_long(name: str, call: ThreadCall) -> None:
    frame = sys._current_frames().get(call.thread or -1)  # noqa: SLF001 - the only way to it
    frames = users_frames(frame for frame, _ in traceback.walk_stack(frame)) if frame else []
    at = f", at {frames[0].f_code.co_filename}, line {frames[0].f_lineno}" if frames else ""
    log.warning(
        "importing the module of %s has taken %g s so far%s; jobs whose modules are not imported yet wait for it",
        name,
        LONG_S,
        at,
    )
