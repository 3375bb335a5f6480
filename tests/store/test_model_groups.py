"""Groups against a model: whatever happens to members, and in whatever order it is told, both count the same."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aioq import Queue
from aioq.store import Connection, Store
from aioq.values.claim import Claim
from aioq.values.group import HOWS, Place
from aioq.values.outcome import Failed, Finished
from aioq.values.states import FINAL, JobStatus, allows
from tests.conftest import Server
from tests.store.test_model import LONG, try_out
from tests.store.tools import audit, end, job, patient_scripts, take
from tests.tools import assert_sound

T = TypeVar("T")

HOME, OTHER = "default", "other"
KEPT = 600_000
PICKS = st.integers(0, 40)


@dataclass
class Node:
    """What the model knows of a job."""

    store: Store
    id: str
    status: str = "queued"
    place: Place | None = None


@dataclass
class Model:
    """What the model knows of a group: how each member has ended (""), and whether it has."""

    name: str
    members: list[str] = field(default_factory=list)
    is_filled: bool = False
    has_ended: bool = False
    is_at_home: bool = True  # all members are of the queue that keeps it

    @property
    def is_over(self) -> bool:
        return self.is_filled and all(self.members)


class GroupsMachine(RuleBasedStateMachine):
    """Drives the stores of two queues on a real server. What one tells the other may come late and twice.

    Args:
        url: the server.

    """

    def __init__(self, url: str) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = redis.Redis.from_url(url)
        self.client.flushall()
        self.connection = Connection(url)
        self.connection.scripts = patient_scripts("aioq")
        self.home, self.other = Store(self.connection, HOME), Store(self.connection, OTHER)
        self.groups: list[Model] = []
        self.nodes: list[Node] = []
        self.claims: dict[str, Claim] = {}
        self.told: list[str] = []
        self.counter = 0

    def teardown(self) -> None:
        self.tell(0)

        for name in (HOME, OTHER):
            self.run(assert_sound(Queue(name, self.connection)))

        self.run(self.connection.aclose())
        self.client.flushall()
        self.client.close()
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def picked(self, number: int, verb: str = "") -> Node | None:
        found = [each for each in self.nodes if not verb or allows(JobStatus(each.status), verb)]

        return found[number % len(found)] if found else None

    # The model

    def group_of(self, node: Node) -> Model | None:
        return None if node.place is None else next(each for each in self.groups if each.name == node.place.group)

    def ended(self, node: Node, how: str) -> None:
        group = self.group_of(node)

        if group is not None and node.place is not None and not group.members[node.place.number]:
            group.members[node.place.number] = how
            self.judge(group)

    def judge(self, group: Model) -> None:
        if group.is_over and not group.has_ended:
            group.has_ended = True

            if group.is_at_home:
                self.make_sequel(group, "complete" if set(group.members) <= {"finished"} else "failure")

    def make_sequel(self, group: Model, kind: str) -> None:
        made = next((each for each in self.nodes if each.id == f"{group.name}-{kind}"), None)

        if made is None:
            self.nodes.append(Node(self.home, f"{group.name}-{kind}"))
        elif made.status in FINAL:
            made.status = "queued"

    # What happens

    @initialize()
    def begin(self) -> None:
        self.open(2, is_at_home=True)

    @rule(count=st.integers(0, 4), is_at_home=st.booleans())
    def open(self, count: int, is_at_home: bool) -> None:
        group = Model(f"g{len(self.groups)}", is_at_home=is_at_home)
        sequels: dict[Any, dict[bytes, Any]] = {
            kind: {b"func": b"m.f", b"id": f"{group.name}-{kind}"} for kind in ("complete", "failure")
        }
        assert self.run(self.home.groups.open(group.name, "token", KEPT, sequels if is_at_home else {}))
        self.groups.append(group)
        self.add(len(self.groups) - 1, count, is_at_home)

    @rule(number=PICKS, count=st.integers(0, 4), is_at_home=st.booleans())
    def add(self, number: int, count: int, is_at_home: bool) -> None:
        group = self.groups[number % len(self.groups)]
        store = self.home if is_at_home or group.is_at_home else self.other
        first, end = len(group.members), "" if store is self.home else f"@{OTHER}"
        self.counter += count
        ids = [f"j{self.counter - at}" for at in range(count)]
        assert self.run(self.home.groups.add(group.name, "token", [each + end for each in ids])) == first
        places = [Place(group.name, at, "" if store is self.home else HOME) for at in range(first, first + count)]

        if ids:
            pairs = zip(ids, places, strict=True)
            self.run(store.producing.enqueue_many([job(each, group=str(place)) for each, place in pairs]))

        self.nodes += [Node(store, each, place=place) for each, place in zip(ids, places, strict=True)]
        group.members += [""] * count
        group.is_filled = group.has_ended = False

    @rule(number=PICKS)
    def close(self, number: int) -> None:
        group = self.groups[number % len(self.groups)]
        self.run(self.home.groups.close(group.name, "token"))
        group.is_filled = True
        self.judge(group)

    @rule(is_home=st.booleans(), limit=st.integers(1, 4))
    def claim(self, is_home: bool, limit: int) -> None:
        store = self.home if is_home else self.other
        waiting = {each.id: each for each in self.nodes if each.store is store and each.status == "queued"}
        claimed = self.run(take(store, limit=limit))
        assert len(claimed) == min(limit, len(waiting))

        for each in claimed:
            waiting[each.record.id].status = "started"
            self.claims[each.record.id] = each

    @rule(number=PICKS, finishes=st.booleans(), is_kept=st.booleans())
    def end(self, number: int, finishes: bool, is_kept: bool) -> None:
        if (node := self.picked(number, "stop")) is None:
            return

        outcome = Finished(b"p", KEPT if is_kept else 0) if finishes else Failed("boom")
        assert self.run(end(node.store, (self.claims[node.id], outcome))) == ["ok"]
        assert self.run(end(node.store, (self.claims[node.id], outcome))) != ["ok"]
        node.status = "finished" if finishes else "failed"
        self.ended(node, node.status)

    @rule(number=PICKS, verb=st.sampled_from(["cancel", "stop"]))
    def cancel_or_stop(self, number: int, verb: str) -> None:
        if (node := self.picked(number, verb)) is not None:
            changes, was_failed = node.store.changes, node.status == "failed"
            verdict, _ = self.run(changes.cancel(node.id) if verb == "cancel" else changes.stop(node.id))
            assert verdict == "ok"
            node.status = "canceled" if verb == "cancel" else "stopped"

            if not was_failed:
                self.ended(node, node.status)

    @rule(number=PICKS)
    def requeue(self, number: int) -> None:
        if (node := self.picked(number, "requeue")) is not None:
            assert self.run(node.store.changes.requeue([node.id], at_front=False, reset=True)) == ["ok"]
            node.status = "queued"

            if (group := self.group_of(node)) is not None and node.place is not None:
                group.members[node.place.number] = ""
                group.has_ended = False

    @rule(number=PICKS)
    def delete(self, number: int) -> None:
        if (node := self.picked(number)) is not None:
            assert self.run(node.store.changes.delete([node.id])) == 1
            self.nodes.remove(node)

            if node.status not in FINAL:
                self.ended(node, "gone")

    @rule(seed=st.integers(0, 10))
    def tell(self, seed: int) -> None:
        """What stands in the outbox of the other queue, and what stood there before, in any order."""
        rows, _ = self.run(self.other.outbox.rows())
        fresh = [row.replace(f"@{HOME}", "", 1).removeprefix("member ") for row in rows]
        given = random.Random(seed).sample(both := fresh + self.told[-5:], len(both))
        self.told += fresh

        if given:
            self.run(self.home.groups.tell(given))

        self.run(self.other.outbox.rows(rows)) if rows else None

    @rule()
    def sweep(self) -> None:
        self.run(self.home.duty.sweep())

    # What holds after every step

    @invariant()
    def every_group_is_as_the_model_says(self) -> None:
        is_told = not self.run(self.other.outbox.rows())[0]

        for each in self.groups:
            stored = self.run(self.home.groups.load(each.name))
            assert stored is not None

            if each.is_at_home or is_told:
                found, counts = stored.progress, Counter(each.members)
                assert (found.total, found.open) == (len(each.members), counts[""])
                assert {how: getattr(found, how) for how in HOWS} == {how: counts[how] for how in HOWS}
                assert found.has_ended == each.is_over

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        for store in (self.home, self.other):
            mine = [each for each in self.nodes if each.store is store]
            records = self.run(store.reads.load([each.id for each in mine]))
            assert [record and record.status.value for record in records] == [each.status for each in mine]

    @invariant()
    def the_stored_data_keeps_the_laws(self) -> None:
        for store in (self.home, self.other):
            assert audit(self.client, store) == []


@pytest.mark.timeout(7_200 if LONG else 900)
def test_groups_and_the_model_agree(server: Server) -> None:
    try_out(lambda: GroupsMachine(server.url))
