"""Dependencies: what functions of jobs ask for with `Depends`. Found once for a function, given in each run.

A function without dependencies is called as if there were none: what it wants is decided when it is found.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import (
    AbstractAsyncContextManager,
    AbstractContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
)
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar

from anyio import CapacityLimiter, to_thread

from aioq.client.task import Task
from aioq.values.depends import Scope, dependencies_of, of_request
from aioq.values.errors import InvalidFunction
from aioq.values.options import PROCESS
from aioq.values.reference import Function
from aioq.worker.run import own_task

log = logging.getLogger("aioq.worker")

T = TypeVar("T")

#: Functions that are called in the place of dependencies: of a test.
Overrides = Mapping[Function, Function]
NO_OVERRIDES: Overrides = MappingProxyType({})

_COLLECTS = inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD


@dataclass(frozen=True, slots=True, eq=False)
class Provider:
    """A function that gives a value, and what it asks for itself.

    Args:
        func: the function.
        needs: its own dependencies, by parameter.
        use_cache: whether all who ask within one run get the same value.
        scope: for how long the value is used.

    """

    func: Function
    needs: tuple[Need, ...]
    use_cache: bool
    scope: Scope


@dataclass(frozen=True, slots=True)
class Need:
    """A parameter, where it stands among the positional ones, and what provides its value."""

    name: str
    position: int
    provider: Provider


def needs_of(func: Function, name: str, overrides: Overrides = NO_OVERRIDES) -> tuple[Need, ...]:
    """What a function asks for.

    Args:
        func: the function.
        name: what errors call it.
        overrides: functions that are called in the place of dependencies.

    Raises:
        InvalidFunction: a dependency cannot be provided. The text has the path of parameters that leads to it.

    """
    return _needs(func, [name], [], overrides)


def check_tasks(names: Mapping[str, object], overrides: Overrides = NO_OVERRIDES) -> None:
    """Check what the tasks of a module ask for.

    Args:
        names: what stands in the module.
        overrides: as for `needs_of`.

    Raises:
        InvalidFunction: a dependency cannot be provided, or a task with dependencies asks for a process.

    """
    for each in list(names.values()):
        if not isinstance(each, Task):
            continue

        name = f"{each.__module__}.{each.__qualname__}"

        if needs_of(each.function, name, overrides) and each.options.executor == PROCESS:
            raise InvalidFunction(
                f"{name}: a function with dependencies cannot run in a process of its own. Leave"
                ' executor="process" away, or open what it needs in the function'
            )


def _needs(
    func: Function, path: list[str], open_: list[Function], overrides: Overrides, least: Scope = "run"
) -> tuple[Need, ...]:
    if func in open_:
        raise InvalidFunction(f"{' > '.join(path)}: the dependencies form a circle")

    try:
        marked = {parameter.name: mark for parameter, mark in dependencies_of(func)}
    except InvalidFunction as error:
        raise InvalidFunction(f"{' > '.join(path)}: {error}") from error

    is_provider, found = bool(open_) or len(path) > 1, []
    parameters = inspect.signature(func).parameters.values() if marked or is_provider else ()

    for position, parameter in enumerate(parameters):
        here = [*path, parameter.name]
        mark = marked.get(parameter.name)

        if mark is None:
            if is_provider:
                _check_plain(func, parameter, here)

            continue

        if parameter.kind is parameter.POSITIONAL_ONLY:
            raise InvalidFunction(f"{' > '.join(here)}: a parameter before a / cannot be given by its name")

        if least == "worker" and mark.scope == "run":
            raise InvalidFunction(
                f'{" > ".join(here)}: a dependency with scope="worker" outlives the run that this one belongs to'
            )

        assert mark.dependency is not None
        provides = overrides.get(mark.dependency, mark.dependency)
        needs = _needs(provides, [*here, _name(provides)], [*open_, func], overrides, mark.scope)
        found.append(Need(parameter.name, position, Provider(provides, needs, mark.use_cache, mark.scope)))

    return tuple(found)


def _name(func: Function) -> str:
    return getattr(func, "__qualname__", None) or repr(func)


def _check_plain(func: Function, parameter: inspect.Parameter, path: list[str]) -> None:
    """A parameter of a provider that has no dependency must have a default, and must not ask for a web request."""
    if request := of_request(func, parameter):
        raise InvalidFunction(f"{' > '.join(path)}: {request} belongs to a web request, and a job has none")

    if parameter.default is parameter.empty and parameter.kind not in _COLLECTS:
        raise InvalidFunction(f"{' > '.join(path)}: it has neither a Depends nor a default")


class Dependencies:
    """Gives the functions of jobs what they ask for.

    Args:
        threads: where plain providers run.

    """

    def __init__(self, threads: CapacityLimiter) -> None:
        self._threads = threads
        self._shared: dict[Function, Shared] = {}

    async def call(
        self,
        needs: tuple[Need, ...],
        args: tuple[Any, ...],
        kwargs: Mapping[str, Any],
        call: Callable[[dict[str, Any]], Awaitable[T]],
    ) -> T:
        """Call a function with what it asks for, unless the job has brought that itself; then clean up.

        Args:
            needs: what it asks for.
            args: what the job has brought.
            kwargs: what it has brought by name.
            call: calls it with keyword arguments.

        Raises:
            BaseException: whatever the function or a dependency raises. One that swallows an error of the function
                changes nothing.

        """
        failed: BaseException | None = None
        stack: AsyncExitStack[bool] = AsyncExitStack()
        cache: dict[Function, Any] = {}

        async with stack:
            given = dict(kwargs)

            for need in needs:
                if need.name not in given and need.position >= len(args):
                    given[need.name] = await self._value(need.provider, stack, cache)

            try:
                return await call(given)
            except BaseException as error:
                failed = error

                raise

        assert failed is not None  # a clean-up has swallowed it

        raise failed

    async def aclose(self) -> None:
        """No run will come any more: close what all runs have shared, the last one opened first."""
        while self._shared:
            func, shared = self._shared.popitem()

            try:
                await shared.close()
            except Exception:
                log.exception("the dependency %s has failed when it was closed", _name(func))

    async def _value(self, provider: Provider, stack: AsyncExitStack, cache: dict[Function, Any]) -> Any:
        if provider.scope == "worker":
            return await self._shared_value(provider)

        func = provider.func

        if provider.use_cache and func in cache:
            return cache[func]

        given = {need.name: await self._value(need.provider, stack, cache) for need in provider.needs}
        value = await _entered(func, given, stack, self._threads)

        if provider.use_cache:
            cache[func] = value

        return value

    async def _shared_value(self, provider: Provider) -> Any:
        shared = self._shared.get(provider.func)

        if shared is None or shared.has_failed:
            given = {need.name: await self._shared_value(need.provider) for need in provider.needs}
            shared = self._shared.get(provider.func)  # another run may have opened it meanwhile

            if shared is None or shared.has_failed:
                shared = self._shared[provider.func] = Shared(provider.func, given, self._threads)

        return await asyncio.shield(shared.value)


class Shared:
    """A value that all runs share. One task enters its provider and leaves it, as cancel scopes want it."""

    def __init__(self, func: Function, given: Mapping[str, Any], threads: CapacityLimiter) -> None:
        self.value: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
        self._is_over = asyncio.Event()
        self._task = own_task(self._live(func, given, threads))

    @property
    def has_failed(self) -> bool:
        """Whether it could not be opened: the next run tries again."""
        return self.value.done() and (self.value.cancelled() or self.value.exception() is not None)

    async def close(self) -> None:
        """Leave the provider. Raises what it raises."""
        self._is_over.set()
        await self._task

    async def _live(self, func: Function, given: Mapping[str, Any], threads: CapacityLimiter) -> None:
        async with AsyncExitStack() as stack:
            try:
                value = await _entered(func, given, stack, threads)
            except BaseException as error:  # noqa: BLE001 - it is the failure of the runs that have asked
                self.value.set_exception(error)
                self.value.exception()

                return

            self.value.set_result(value)
            await self._is_over.wait()


async def _entered(
    func: Function, given: Mapping[str, Any], stack: AsyncExitStack, threads: CapacityLimiter
) -> Any:
    """Call a provider. What follows its yield runs when the stack is left."""
    if inspect.isasyncgenfunction(func):
        return await stack.enter_async_context(asynccontextmanager(func)(**given))

    if inspect.isgeneratorfunction(func):
        return await stack.enter_async_context(_on_threads(contextmanager(func)(**given), threads))

    if inspect.iscoroutinefunction(func):
        return await func(**given)

    value = await to_thread.run_sync(lambda: func(**given), limiter=threads, abandon_on_cancel=True)

    if isinstance(value, AbstractAsyncContextManager):  # of a function with @asynccontextmanager
        return await stack.enter_async_context(value)

    if isinstance(value, AbstractContextManager) and hasattr(func, "__wrapped__"):  # with @contextmanager
        return await stack.enter_async_context(_on_threads(value, threads))

    return await value if inspect.isawaitable(value) else value


@asynccontextmanager
async def _on_threads(manager: AbstractContextManager[T], threads: CapacityLimiter) -> AsyncIterator[T]:
    """A plain context manager, entered and left on a thread."""
    value = await to_thread.run_sync(manager.__enter__, limiter=threads)

    try:
        yield value
    except BaseException as error:
        raised = type(error), error, error.__traceback__

        if not await to_thread.run_sync(manager.__exit__, *raised, limiter=threads):
            raise
    else:
        await to_thread.run_sync(manager.__exit__, None, None, None, limiter=threads)
