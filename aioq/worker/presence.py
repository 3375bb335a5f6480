"""Presence: a worker beats on each queue that it serves, and claims nothing where its heartbeats are not heard."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any

import anyio
from anyio import to_thread

from aioq.store import Connection, Directory
from aioq.store.net.command import Command
from aioq.store.net.tasks import all_settled
from aioq.values.beat import Beat
from aioq.values.departed import STOPPED
from aioq.values.errors import ServerError
from aioq.worker.demand import Demand
from aioq.worker.heartbeat import LEASE_MS, Heartbeat
from aioq.worker.lasting import LastingThread
from aioq.worker.leases import Leases
from aioq.worker.reclaimer import Reclaimer
from aioq.worker.route import Route

log = logging.getLogger("aioq.worker")


class Presence:
    """The heartbeats of a worker, and what follows if they are not answered.

    Args:
        connection: names the server.
        directory: the list of workers, where the worker describes itself.
        groups: the queues, those of one server together.
        worker: the worker's name.
        demand: learns that queues may be claimed from again.
        reclaimer: learns of dead workers.
        on_lapse: called when a lease had ended: the runs may have lost their claims.

    """

    def __init__(
        self,
        connection: Connection,
        directory: Directory,
        groups: Sequence[Sequence[Route]],
        worker: str,
        demand: Demand,
        reclaimer: Reclaimer,
        on_lapse: Callable[[], None],
    ) -> None:
        self._connection = connection
        self._directory = directory
        self._worker = worker
        self._demand = demand
        self._reclaimer = reclaimer
        self._on_lapse = on_lapse
        # One heartbeat for each group. The first one brings the worker's description, in a Cluster nothing else.
        self._groups: list[Sequence[Route]] = [*([()] if connection.is_cluster else []), *groups]
        self._heartbeats: list[tuple[Heartbeat, Sequence[Route]]] = []

    @property
    def may_claim(self) -> bool:
        """Whether the worker keeps its leases on all queues."""
        return all(heartbeat.health.may_claim for heartbeat, _ in self._heartbeats)

    @property
    def threads(self) -> list[LastingThread]:
        """The threads of the heartbeats."""
        return [heartbeat.thread for heartbeat, _ in self._heartbeats]

    def prepare(
        self,
        facts: Callable[[], dict[str, str | int]],
        awake: Callable[[], float],
        give_up: Callable[[str], None],
    ) -> None:
        """Make the heartbeats.

        Args:
            facts: what the worker says of itself; asked for on the threads of the heartbeats.
            awake: the seconds for which this process has run; see Health.
            give_up: called when a thread cannot be kept alive.

        """
        queues = [route.store.queue for group in self._groups for route in group]

        def describe() -> list[Command]:
            return self._directory.worker_commands(self._worker, facts(), queues)

        self._heartbeats = [
            (
                Heartbeat(
                    self._leases(group),
                    describe if group is self._groups[0] else list,
                    partial(self._on_beat, group),
                    awake,
                    give_up,
                ),
                group,
            )
            for group in self._groups
        ]

    def _leases(self, group: Sequence[Route]) -> Leases:
        stores, figures = [route.store for route in group], [route.figures for route in group]

        return Leases(self._connection, stores, self._worker, LEASE_MS, figures)

    def start(self) -> None:
        """Begin to beat."""
        for heartbeat, _ in self._heartbeats:
            heartbeat.start()

    def note_lapse(self, route: Route) -> None:
        """A claim has shown that the worker has no lease on this queue."""
        for heartbeat, group in self._heartbeats:
            if route in group:
                heartbeat.health.lapsed()

        self.judge()

    def judge(self) -> None:
        """Claim nothing where the worker does not keep its leases. Called several times a second."""
        for heartbeat, group in self._heartbeats:
            health = heartbeat.health

            if not group or group[0].is_barred != health.may_claim:  # a group is barred as a whole
                continue

            for route in group:
                route.is_barred = not health.may_claim

            names, worker = ", ".join(route.store.queue for route in group), self._worker

            if health.may_claim:
                self._demand.expect_jobs()
                log.info("worker %s keeps its leases again, and claims jobs of %s", worker, names)
            elif health.is_distrusted:
                log.error(
                    "worker %s has lost its lease twice within ten minutes, while it ran and others reached the"
                    " server. It claims nothing of %s until three heartbeats in a row have come in time",
                    worker,
                    names,
                )
            else:
                log.warning(
                    "no heartbeat of worker %s was answered for %.1f s; it claims nothing of %s until one is",
                    worker,
                    LEASE_MS / 1000,
                    names,
                )

    async def sign_off(self, seconds: float, reason: str = STOPPED) -> None:
        """Give up the leases, on all servers at the same time: one that is silent holds up none of the others.

        Args:
            seconds: how long that may take.
            reason: why the worker leaves, one of values/departed.py.

        """
        with anyio.move_on_after(seconds) as scope:
            async with anyio.create_task_group() as tasks:
                for heartbeat, group in self._heartbeats:
                    tasks.start_soon(self._end_beating, heartbeat, group, reason)

        if scope.cancelled_caught:
            log.warning("worker %s could not sign off: no answer; its lease ends by itself", self._worker)

    async def leave(self, seconds: float) -> None:
        """Give up leases that were perhaps taken, before the worker beats.

        Args:
            seconds: how long that may take.

        """
        with anyio.move_on_after(seconds):
            async with anyio.create_task_group() as tasks:
                for group in self._groups:
                    tasks.start_soon(self._leave, group, "")

    def _on_beat(self, group: Sequence[Route], beats: list[Beat]) -> None:
        self._reclaimer.note([route.store for route in group], beats)
        self.judge()

        if any(beat.lapsed for beat in beats):
            log.warning("a lease of worker %s had ended; its runs are checked", self._worker)
            self._on_lapse()

    async def _end_beating(self, heartbeat: Heartbeat, group: Sequence[Route], reason: str) -> None:
        await to_thread.run_sync(heartbeat.stop)  # no beat may renew a lease that was given up
        await self._leave(group, reason)

    async def _leave(self, group: Sequence[Route], reason: str) -> None:
        """Give up the leases on queues of one server; with the first ones, the worker's description."""
        goodbyes: list[Coroutine[Any, Any, object]] = [self._leave_queue(route, reason) for route in group]

        if group is self._groups[0]:
            goodbyes.append(self._directory.remove_worker(self._worker))

        found = await all_settled(goodbyes)
        errors = {str(error): error for error in found if isinstance(error, BaseException)}

        for text, error in errors.items():
            if not isinstance(error, ServerError):
                raise error

            log.warning("worker %s could not sign off: %s; its lease ends by itself", self._worker, text)

    async def _leave_queue(self, route: Route, reason: str) -> None:
        """Tell what was counted since the last beat, and leave."""
        if (command := route.figures.command(at_once=True)) is not None:
            (reply,) = await self._connection.each([command])
            route.figures.confirm(reply)

        await route.store.duty.leave(self._worker, reason)
