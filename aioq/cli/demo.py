"""`aioq demo`: real documents, one queue, one worker; failed jobs are requeued.

It uses the commands that a user types: the worker and `aioq requeue` are processes of their own.
However the demo ends, its last steps stop everything that it started.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time
from asyncio.subprocess import Process
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any, NamedTuple, TypeVar

import typer

from aioq.cli import output
from aioq.cli.common import CommandError, Target, connected
from aioq.cli.demo_jobs import count_words_at_url
from aioq.cli.describe import error_line
from aioq.client.job import Job
from aioq.client.queue import Queue
from aioq.store.net.tasks import all_settled
from aioq.values.errors import JobFailed, ServerError
from aioq.values.ids import new_id

R = TypeVar("R")

#: How long the worker may take for all documents, and how long to stop, in seconds.
RESULT_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 10.0

#: How many pages are missing at first.
MISSING = 3

#: How many documents the table shows.
LONGEST = 8

Urls = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="URLS", help="Documents to count the words of. Without any: files of installed packages."
    ),
]
ServerUrl = Annotated[
    str | None,
    typer.Option("--url", "-u", metavar="URL", help="A server to use. Without it, an embedded one is started."),
]
Web = Annotated[
    bool, typer.Option("--web", help="Show the jobs in the dashboard when all have ended, until Ctrl-C.")
]


class Plan(NamedTuple):
    """What a demo works on.

    server: the URL of the server. queue: its queue there. urls: the documents. base: the common beginning of their
    names. repair: called before failed jobs are requeued. environment: the worker's environment.
    """

    server: str
    queue: str
    urls: Sequence[str]
    base: str
    repair: Callable[[], None]
    environment: Mapping[str, str]


def demo(urls: Urls = None, *, url: ServerUrl = None, web: Web = False) -> None:
    """Show aioq at work: count the words of documents.

    Each document is a job. A worker runs the jobs, and `aioq requeue` brings back those that failed.
    """
    # Every signal acts like Ctrl-C, which stops everything; also in the background of a script.
    signal.signal(signal.SIGINT, signal.default_int_handler)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, lambda *_: signal.raise_signal(signal.SIGINT))

    with ExitStack() as stack:
        server = url or stack.enter_context(_embedded_server())
        queue = "demo" if url is None else f"demo-{new_id()}"  # a queue of its own on a shared server
        plan = (
            Plan(server, queue, list(dict.fromkeys(urls)), "", _nothing, os.environ)
            if urls
            else stack.enter_context(_installed_documents(server, queue))
        )
        asyncio.run(_play(plan, shows=web))


async def _play(plan: Plan, *, shows: bool) -> None:
    async with connected(Target(plan.server), starts=True) as connection:
        queue = Queue(plan.queue, connection)

        try:
            async with _command("worker", queue.name, "--logging-level", "critical", plan=plan) as worker:
                await _story(plan, queue, worker)

                if shows:
                    await _show(plan)
        finally:
            with suppress(ServerError):
                await queue.delete()

    output.say("The worker has stopped.")


async def _story(plan: Plan, queue: Queue, worker: Process) -> None:
    jobs = await queue.enqueue_many([Queue.prepare_data(count_words_at_url, (url,)) for url in plan.urls])
    output.say(f"Enqueued {output.count(len(jobs), 'job')}. They are run by: aioq worker {queue.name}")
    words = await _while_alive(worker, _collect(jobs, "Counting words"))
    _show_longest(words, plan.base)
    failed = await queue.failed_job_registry.jobs(limit=len(jobs))

    if failed:
        output.say(f"\n{output.count(len(failed), 'job')} failed:")
        output.say_table(
            output.Table(["id", "error"], [[job.id, error_line(job) or ""] for job in failed], ["error"])
        )
        plan.repair()
        await _requeue(plan)
        words |= await _while_alive(worker, _collect(failed, "Counting again"))

    left = await queue.failed_job_registry.count()
    output.say(f"\n{output.count(left, 'job')} in the failed registry.")
    output.say(f"{sum(words.values()):,} words in {output.count(len(words), 'document')}.")

    if left:
        raise CommandError(f"{output.count(left, 'document')} could not be read")


async def _collect(jobs: Sequence[Job[Any]], label: str) -> dict[str, int]:
    """The number of words by URL, once all jobs have ended; without the jobs that failed."""
    words: dict[str, int] = {}

    async def wait(job: Job[Any]) -> None:
        with suppress(JobFailed):
            words[job.args[0]] = await job.result()

    waiting = [asyncio.create_task(wait(job)) for job in jobs]

    try:
        with output.progress(len(jobs), label) as advance:
            for ended in asyncio.as_completed(waiting):
                await ended
                advance(1)
    finally:
        await _cancel(*waiting)

    return words


async def _while_alive(worker: Process, work: Coroutine[Any, Any, R]) -> R:
    """What `work` returns. It fails if the worker ends first or the time is up."""
    task, ended = asyncio.create_task(work), asyncio.create_task(worker.wait())

    try:
        await asyncio.wait({task, ended}, timeout=RESULT_TIMEOUT_S, return_when=asyncio.FIRST_COMPLETED)

        if not task.done():
            raise CommandError(
                f"the worker ended with status {ended.result()}"
                if ended.done()
                else f"the worker was not done after {RESULT_TIMEOUT_S:g} seconds"
            )
    finally:
        await _cancel(task, ended)

    return task.result()


async def _cancel(*tasks: asyncio.Task[Any]) -> None:
    for task in tasks:
        task.cancel()

    await all_settled(tasks)


async def _requeue(plan: Plan) -> None:
    output.say(f"\n$ aioq requeue --queue {plan.queue} --all")

    async with _command("requeue", "--queue", plan.queue, "--all", plan=plan) as process:
        if await process.wait():
            raise CommandError(f"aioq requeue ended with status {process.returncode}")


async def _show(plan: Plan) -> None:
    """The dashboard, until a signal ends the demo."""
    output.say("\n$ aioq web    (Ctrl-C ends it)")

    async with _command("web", "--port", "0", plan=plan) as process:
        if await process.wait():
            raise CommandError(f"aioq web ended with status {process.returncode}")


def _show_longest(words: Mapping[str, int], base: str) -> None:
    longest = sorted(words.items(), key=lambda item: (-item[1], item[0]))[:LONGEST]

    if longest:
        output.say("\nThe longest documents:")
        output.say_table(
            output.Table(
                ["words", "document"], [[number, url.removeprefix(base)] for url, number in longest], ["document"]
            )
        )


@asynccontextmanager
async def _command(*words: str, plan: Plan) -> AsyncIterator[Process]:
    """Run another command of aioq as a process. If it still runs at the end of the block, it is stopped."""
    # Ctrl-C must reach only this process, so the other one is in a group of its own.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "aioq", *words, "--url", plan.server, env=plan.environment, process_group=0
    )

    try:
        yield process
    finally:
        if process.returncode is None:
            _ignore_signals()
            await _stop(process)


async def _stop(process: Process) -> None:
    with suppress(ProcessLookupError):  # it has ended by itself
        process.terminate()

    try:
        await asyncio.wait_for(process.wait(), STOP_TIMEOUT_S)
    except TimeoutError:
        process.kill()
        await process.wait()


@contextmanager
def _installed_documents(server: str, queue: str) -> Iterator[Plan]:
    """A web site with text files of installed packages; some of its pages are missing at first."""
    from aioq.cli.demo_site import find_documents, serving  # noqa: PLC0415 - only this command needs a web server

    pages = find_documents()

    if len(pages) <= MISSING:
        raise CommandError("there are no installed packages with text files here; name URLs instead")

    missing = list(pages)[:: len(pages) // MISSING][:MISSING]

    with serving() as site:
        site.pages = {page: file for page, file in pages.items() if page not in missing}
        base = site.url("/")
        output.say(f"{len(site.pages)} text files are at {base} and {MISSING} pages are missing there.")

        def repair() -> None:
            site.pages = pages
            output.say("\nThe missing pages are there now.")

        # A proxy could not reach this site.
        yield Plan(server, queue, [site.url(page) for page in pages], base, repair, os.environ | {"no_proxy": "*"})


@contextmanager
def _embedded_server() -> Iterator[str]:
    """A server for this demo; it leaves nothing behind."""
    from aioq.embedded import EmbeddedServer  # noqa: PLC0415 - an edge of its own
    from aioq.embedded.locks import KEEPER_LOCK, take  # noqa: PLC0415 - as above

    with TemporaryDirectory(prefix="aioq-demo-") as folder, ExitStack() as stack:
        try:
            server = EmbeddedServer.open(folder)
            stack.callback(server.close)
            yield server.url
        finally:
            _ignore_signals()
            stack.close()

            # The server's keeper holds this lock until both have ended.
            if (lock := take(Path(folder) / KEEPER_LOCK, until=time.monotonic() + STOP_TIMEOUT_S)) is not None:
                os.close(lock)


def _ignore_signals() -> None:
    """Let no signal interrupt the last steps; each has a time limit."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def _nothing() -> None:
    pass
