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
from pathlib import Path
from types import TracebackType

from anyio import CapacityLimiter, to_thread

from aioq.values.errors import DeserializationError, InvalidFunction, InvalidInput, WorkerError
from aioq.values.reference import INJECTED, Function, Kind, kind_of
from aioq.values.resolving import is_imported, module_of
from aioq.worker.dependencies import NO_OVERRIDES, Need, Overrides, check_tasks, needs_of
from aioq.worker.run import own_task
from aioq.worker.threads import ThreadCall
from aioq.worker.tracebacks import causes, error_line, user_frames, user_traceback

log = logging.getLogger("aioq.worker")

#: An import that takes longer than this is told with what to do about it, in seconds.
SLOW_S = 0.5

#: One that still goes on after this is told with where it stands, in seconds: jobs wait for it.
LONG_S = 10.0

#: How many functions are kept that were found, and how many modules are told that were not.
MOST_FUNCTIONS = 4096
MOST_MISSING = 1000

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
        overrides: functions that are called in the place of dependencies.

    """

    def __init__(self, resolve: Callable[[str], Function], overrides: Overrides = NO_OVERRIDES) -> None:
        #: The functions that were found, and how each is called. A function that stands here costs one lookup.
        self.known: dict[str, tuple[Function, Kind]] = {}
        #: Of the functions with dependencies: how each is called once it has them, and what it asks for.
        self.injected: dict[str, tuple[Kind, tuple[Need, ...]]] = {}
        self._resolve = resolve
        self._overrides = overrides
        self._loading: dict[str, asyncio.Task[Found]] = {}
        self._turn = asyncio.Lock()
        self._missing: set[str] = set()
        # When modules were imported here, by the clock of files; those that are not listed were before this.
        self._imported_at: dict[str, float] = {}
        self._began = time.time()

    async def find(self, name: str) -> tuple[Function, Kind]:
        """A function that is not known yet, and how it is called.

        Its module is imported on a thread, once for all who ask meanwhile.

        Raises:
            BaseException: whatever `resolve` or the module raises, SystemExit, too.

        """
        try:
            func = self._resolve(name) if is_imported(name) else await self._import(name)
        except DeserializationError as error:
            raise self._explained(error) from error.__cause__

        if len(self.known) >= MOST_FUNCTIONS:
            first = next(iter(self.known))
            del self.known[first]
            self.injected.pop(first, None)

        kind = kind_of(func)

        if needs := needs_of(func, name, self._overrides):
            self.injected[name] = kind, needs
            kind = INJECTED

        known = self.known[name] = func, kind

        return known

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
        before, began = set(sys.modules), time.time()

        try:
            func = await to_thread.run_sync(call, abandon_on_cancel=True, limiter=CapacityLimiter(1))
        finally:
            watch.cancel()
            self._imported_at |= dict.fromkeys(set(sys.modules) - before, began)

        # As the thread has measured it: the event loop may be blocked, and learn of the end much later.
        if (seconds := call.seconds or 0.0) > SLOW_S:
            module = module_of(name)[0]
            log.info(
                "importing %s took %.1f s; `aioq worker --import %s` does so before the first job",
                module,
                seconds,
                module,
            )

        return Found(func)

    def _explained(self, error: DeserializationError) -> DeserializationError:
        """The error, or one that says more: where a module was looked for, or that its file has changed."""
        if error.missing and error.missing not in self._missing and len(self._missing) < MOST_MISSING:
            self._missing.add(error.missing)
            told = DeserializationError(str(error))  # this one is that of all who have waited for the import
            told.missing = error.missing
            told.add_note(
                "\n".join(
                    (f"{error.missing} was looked for in:", *(f"  {path}" for path in _paths(error.missing)))
                )
            )

            return told

        if error.lacking and (file := self._changed_file(error.lacking)):
            return DeserializationError(
                f"{str(error).partition(':')[0]}, and {file} has changed since this worker imported it: restart"
                " the worker, or use `aioq worker --reload`"
            )

        return error

    def _changed_file(self, module: str) -> str:
        """The name of a module's file, if it has changed since it was imported; else ""."""
        path = getattr(sys.modules.get(module), "__file__", None)

        try:
            is_changed = path and Path(path).stat().st_mtime > self._imported_at.get(module, self._began)
        except OSError:
            return ""

        return Path(path).name if path and is_changed else ""


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


def import_all(modules: Iterable[str], overrides: Overrides = NO_OVERRIDES) -> None:
    """Import modules, here and now, and check what their tasks ask for.

    Args:
        modules: their names.
        overrides: functions that are called in the place of dependencies.

    Raises:
        WorkerError: one cannot be imported, or has a task whose dependencies cannot be provided.

    """
    for name in modules:
        began = time.monotonic()

        try:
            import_module(name)
        except (Exception, SystemExit) as error:
            log.debug("importing %s failed", name, exc_info=error)

            raise WorkerError(_why_not(name, error)) from error

        log.debug("imported %s in %.1f s", name, time.monotonic() - began)

        try:
            check_tasks(vars(sys.modules[name]), overrides)
        except InvalidFunction as error:
            raise WorkerError(str(error)) from error


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

    steps = traceback.extract_tb(user_traceback(error))

    return f" ({steps[-1].filename}, line {steps[-1].lineno})" if steps else ""


def _looked_for(module: str) -> str:
    """Where a module was looked for, and what to do."""
    return (
        f"it was looked for in {', '.join(_paths(module))}. Start the worker in the folder of the application, or"
        " name that folder with `aioq worker --path`"
    )


def _paths(module: str) -> list[str]:
    """Where a module is looked for."""
    parent = sys.modules.get(module.rpartition(".")[0])
    paths = list(getattr(parent, "__path__", sys.path)) if "." in module else sys.path

    return [str(path) or "." for path in paths]


def _needs_event_loop(error: BaseException) -> bool:
    """Whether code has failed for the thread that it ran on; also behind an error that it was turned into."""
    return any(
        isinstance(each, ValueError | RuntimeError) and _text(each).startswith(_ONLY_THERE)
        for each in causes(error)
    )


def _text(error: BaseException) -> str:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - whatever its own code does
        return "(it cannot be printed)"


def _tell_of_long(name: str, call: ThreadCall) -> None:
    frame = sys._current_frames().get(call.thread or -1)  # noqa: SLF001 - the only way to it
    frames = user_frames(frame for frame, _ in traceback.walk_stack(frame)) if frame else []
    at = f", at {frames[0].f_code.co_filename}, line {frames[0].f_lineno}" if frames else ""
    log.warning(
        "importing the module of %s has taken %g s so far%s; jobs whose modules are not imported yet wait for it",
        name,
        LONG_S,
        at,
    )
