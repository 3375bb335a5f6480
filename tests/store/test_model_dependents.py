"""Jobs of two queues that depend on one another, against a model: each end decides what the table says."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pytest
import redis
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from aioq import Queue
from aioq.client.related import requeue_with_dependents
from aioq.store import Connection, Store
from aioq.store.outbox import TAKER, TAKES, UNKNOWN, WAITS, End
from aioq.store.relay import relay, tell
from aioq.values.claim import Claim
from aioq.values.dependency import POLICIES
from aioq.values.outcome import Failed, Finished
from aioq.values.record import JobRecord
from aioq.values.states import FINAL, JobStatus, allows
from tests.conftest import Server
from tests.store.test_model import FAR, LONG, try_out
from tests.store.tools import audit, clock, end, job, patient_scripts, take
from tests.tools import assert_sound

T = TypeVar("T")

QUEUES = ("default", "other")
EDGES = st.lists(st.tuples(st.integers(0, 40), st.sampled_from(POLICIES), st.booleans()), max_size=3)
PICKS = st.integers(0, 40)


@dataclass
class Node:
    """What the model knows of a job."""

    name: str  # <id>@<queue>
    status: str = "queued"
    open: dict[str, str] = field(default_factory=dict)  # policies, by the names of the jobs that it waits for
    parents: dict[str, str] = field(default_factory=dict)  # as `open` was at first
    ended_by: str | None = None  # the job whose end has ended this one
    waited_for: set[str] = field(default_factory=set)  # what it was open for then
    child_of: str = ""
    is_forgotten: bool = False  # its failure_ttl is 0
    takes: set[str] = field(default_factory=set)  # the names of the jobs whose results it takes
    deferred_ttl: int = 0  # in ms
    has_several: bool = False  # then what comes first may decide between canceled and failed


class DependentsMachine(RuleBasedStateMachine):
    """Drives the stores of two queues on a real server.

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
        self.stores = {name: Store(self.connection, name) for name in QUEUES}
        self.nodes: dict[str, Node] = {}
        self.used: list[str] = []
        self.claims: dict[str, Claim] = {}
        #: For a job with children: it and these, as far as they have not finished. 1: has ended; 2: is gone.
        self.families: dict[str, dict[str, int]] = {}

    def teardown(self) -> None:
        for name in QUEUES:
            self.run(assert_sound(Queue(name, self.connection)))

        self.run(self.connection.aclose())
        self.client.flushall()
        self.client.close()
        self.runner.close()

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work)

    def picked(self, number: int, verb: str = "") -> Node | None:
        found = [each for each in self.nodes.values() if not verb or allows(JobStatus(each.status), verb)]

        return found[number % len(found)] if found else None

    def of(self, name: str) -> tuple[Store, str]:
        job_id, _, queue = name.partition("@")

        return self.stores[queue], job_id

    # The model

    def ended(self, node: Node, status: str) -> None:
        """What an end means, as the table in the documentation says it."""
        if node.name in self.families:
            self.leave_family(node.name, node.name, status)
        else:
            self.decide(node.name, status)

        if node.name in self.families.get(node.child_of, {}):
            self.leave_family(node.child_of, node.name, status)

    def leave_family(self, parent: str, member: str, status: str) -> None:
        """One of a job and its children has ended."""
        if status == "finished":
            self.families[parent].pop(member, None)
        elif member in self.families[parent]:
            self.families[parent][member] = 2 if status == "gone" else 1

        self.judge_family(parent)

    def judge_family(self, parent: str) -> None:
        """A job and its children are one to the dependents of the job."""
        stands = self.families[parent]

        if not stands:
            del self.families[parent]
            self.decide(parent, "finished")
            return

        best, worst = min(stands.values()), max(stands.values())
        _, by = max((stand, name) for name, stand in stands.items())

        if best == 2:
            del self.families[parent]

        if worst > 0:
            status = "gone" if worst == 2 else "failed"
            self.decide(parent, status, ("cancel", "fail") if best == 0 else POLICIES, by)

    def decide(self, name: str, status: str, policies: Sequence[str] = POLICIES, by: str = "") -> None:
        for each in list(self.nodes.values()):
            policy = each.open.get(name)

            if policy not in policies or each.name not in self.nodes:
                continue

            if policy == "wait" and status not in ("finished", "gone"):
                continue

            del each.open[name]

            if status == "finished" or policy == "run":
                if not each.open:
                    each.status = "queued"
            else:
                self.end_by(each, name, policy, by or name)

    def end_by(self, node: Node, name: str, policy: str, by: str) -> None:
        """The end of a job ends one that has waited for `name`: for that job, or for one that it is a child of."""
        waited_for = {name, *node.open}
        self.change(node, "failed" if policy == "fail" else "canceled")
        node.ended_by, node.waited_for = by, waited_for

    def change(self, node: Node, status: str) -> None:
        node.status = status
        node.ended_by = None
        node.open.clear()

        if node.is_forgotten and status in ("failed", "stopped"):
            del self.nodes[node.name]
            self.ended(node, "gone")
        else:
            self.ended(node, status)

    # What happens

    @initialize()
    def begin(self) -> None:
        self.enqueue("default", [], is_forgotten=False)

    @rule(
        queue=st.sampled_from(QUEUES),
        edges=EDGES,
        is_forgotten=st.booleans(),
        deferred_ttl=st.sampled_from([0, 3_600_000]),
    )
    def enqueue(
        self, queue: str, edges: list[tuple[int, str, bool]], is_forgotten: bool, deferred_ttl: int = 0
    ) -> None:
        node = Node(f"j{len(self.used)}@{queue}", deferred_ttl=deferred_ttl)
        policies: dict[str, str] = {}

        for number, policy, takes in edges:
            if (parent := self.picked(number)) is not None:
                policies[parent.name] = policy

                if takes and not parent.is_forgotten:  # one whose error is taken is not forgotten
                    node.takes.add(parent.name)

        node.is_forgotten = is_forgotten and len(policies) < 2
        self.put(node, policies)

    @rule(queue=st.sampled_from(QUEUES), edges=EDGES)
    def enqueue_after_one_that_is_gone(self, queue: str, edges: list[tuple[int, str, bool]]) -> None:
        gone = [name for name in self.used if name not in self.nodes and name.endswith(f"@{queue}")]

        if gone:
            node = Node(f"j{len(self.used)}@{queue}")
            self.used.append(node.name)
            store, job_id = self.of(node.name)
            submission = job(job_id, parents=f"w{gone[0].partition('@')[0]}")
            (answer,) = self.run(store.producing.enqueue_many([submission], whole=False))
            assert answer.verdict == "orphan"

    def put(self, node: Node, policies: dict[str, str]) -> None:
        store, job_id = self.of(node.name)
        words = [
            (policy[0].upper() if name in node.takes else policy[0]) + name.removesuffix(f"@{store.queue}")
            for name, policy in policies.items()
        ]
        own = {"failure_ttl": b"0"} if node.is_forgotten else {}
        submission = job(job_id, parents=",".join(words), **own)

        if node.deferred_ttl:
            submission.words["deferred_ttl"] = node.deferred_ttl

        self.run(store.producing.enqueue_many([submission]))
        self.used.append(node.name)
        self.nodes[node.name] = node

        for name, policy in policies.items():
            if not name.endswith(f"@{store.queue}"):
                number = POLICIES.index(policy) + (TAKES if name in node.takes else 0)
                watch = End(job_id, name, number, WAITS)
                self.run(tell(store, self.of(name)[0], [watch], gone=UNKNOWN))

        node.open, node.parents = dict(policies), dict(policies)
        node.has_several = len(policies) > 1
        node.status = "deferred" if policies else "queued"

        self.judge_all(policies)

    def judge_all(self, names: Iterable[str]) -> None:
        """Whoever has come to wait for jobs with these names waits for ends that may have come already."""
        for name in names:
            if name in self.families:
                self.judge_family(name)
            elif name not in self.nodes:
                self.decide(name, "gone")
            elif self.nodes[name].status in FINAL:
                self.decide(name, self.nodes[name].status)

    def bring_back(self, name: str) -> None:
        """The job with this name was requeued, and with it all that its last end has ended."""
        for node in [each for each in self.nodes.values() if each.ended_by == name]:
            node.status, node.ended_by = "deferred", None
            node.open = {each: node.parents[each] for each in node.waited_for}

            self.return_to_families(node)
            self.judge_all(sorted(node.waited_for))
            self.bring_back(node.name)

    def return_to_families(self, node: Node) -> None:
        """A job was requeued: it and its children, or it and its parent, have not all ended any more."""
        if node.name in self.families:
            stands = {name: stand for name, stand in self.families[node.name].items() if stand != 2}
            self.families[node.name] = stands | ({node.name: 0} if node.name in stands else {})

        if node.name in self.families.get(node.child_of, {}):
            self.families[node.child_of][node.name] = 0

    @rule(number=PICKS)
    def add_child(self, number: int) -> None:
        if (parent := self.picked(number, "stop")) is None:
            return

        store, parent_id = self.of(parent.name)
        node = Node(f"j{len(self.used)}@{store.queue}", child_of=parent.name)
        submission = job(node.name.partition("@")[0])
        submission.words["child"] = f"{parent_id}/{self.claims[parent.name].fence}"
        (answer,) = self.run(store.producing.enqueue_many([submission], whole=False))
        assert answer.verdict == "stored"
        self.used.append(node.name)
        self.nodes[node.name] = node
        self.families.setdefault(parent.name, {parent.name: 0})[node.name] = 0

    @rule(queue=st.sampled_from(QUEUES), limit=st.integers(1, 4))
    def claim(self, queue: str, limit: int) -> None:
        claimed = self.run(take(self.stores[queue], limit=limit))
        waiting = [each for each in self.nodes.values() if each.status == "queued" and each.name.endswith(queue)]
        assert len(claimed) == min(limit, len(waiting))

        for each in claimed:
            node = self.nodes[f"{each.record.id}@{queue}"]
            assert node.status == "queued"
            assert not node.open
            node.status = "started"
            self.claims[node.name] = each

    @rule(number=PICKS, finishes=st.booleans(), is_kept=st.booleans())
    def end(self, number: int, finishes: bool, is_kept: bool) -> None:
        if (node := self.picked(number, "stop")) is None:
            return

        outcome = Finished(b"p", FAR if is_kept else 0) if finishes else Failed("boom")
        assert self.run(end(self.of(node.name)[0], (self.claims[node.name], outcome))) == ["ok"]
        self.change(node, "finished" if finishes else "failed")

    @rule(number=PICKS, verb=st.sampled_from(["cancel", "stop"]))
    def cancel_or_stop(self, number: int, verb: str) -> None:
        if (node := self.picked(number, verb)) is not None:
            store, job_id = self.of(node.name)
            changes = store.changes
            verdict, _ = self.run(changes.cancel(job_id) if verb == "cancel" else changes.stop(job_id))
            assert verdict == "ok"
            self.change(node, "canceled" if verb == "cancel" else "stopped")

    @rule(number=PICKS, is_seen=st.booleans())
    def wait_too_long(self, number: int, is_seen: bool) -> None:
        """The deferred_ttl of a job is over. A claim sees that; or what a parent comes to, which means nothing."""
        found = [each for each in self.nodes.values() if each.status == "deferred" and each.deferred_ttl]

        if not found:
            return

        node = found[number % len(found)]
        store, job_id = self.of(node.name)
        over = clock(self.client) - 1
        self.client.hset(store.keys.job + job_id.encode(), "expires_at", over)
        self.client.zadd(store.keys.deferred + b":until", {job_id: over})

        if not is_seen and len(node.open) == 1 and (parent := self.nodes.get(next(iter(node.open)))):
            other, parent_id = self.of(parent.name)

            is_decided = node.open[parent.name] != "wait" and parent.name not in self.families

            if is_decided and allows(JobStatus(parent.status), "cancel"):
                assert self.run(other.changes.cancel(parent_id))[0] == "ok"
                self.change(node, "expired")
                self.change(parent, "canceled")

                return

        assert self.run(take(store, limit=0)) == []
        self.change(node, "expired")

    @rule(number=PICKS)
    def requeue(self, number: int) -> None:
        if (node := self.picked(number, "requeue")) is not None:
            store, job_id = self.of(node.name)
            assert self.run(store.changes.requeue([job_id], at_front=False, reset=True)) == ["ok"]
            node.status, node.ended_by = "queued", None
            self.return_to_families(node)
            self.forget_whom_it_ended(node.name)

    @rule(number=PICKS)
    def requeue_with_dependents(self, number: int) -> None:
        if (node := self.picked(number, "requeue")) is not None:
            store, job_id = self.of(node.name)
            verdicts, _ = self.run(requeue_with_dependents(store, [job_id], at_front=False, reset=True))
            assert verdicts == ["ok"]
            node.status, node.ended_by = "queued", None
            self.return_to_families(node)
            self.bring_back(node.name)

    @rule(number=PICKS)
    def lose_what_was_told(self, number: int) -> None:
        """A server has lost that one of its jobs is waited for in the other queue. That one tells it again."""
        pairs = [
            (node, parent)
            for node in self.nodes.values()
            for parent in node.open
            if node.status == "deferred" and self.of(parent)[0] is not self.of(node.name)[0]
        ]

        if pairs:
            node, parent = pairs[number % len(pairs)]
            (store, job_id), (other, parent_id) = self.of(node.name), self.of(parent)
            key = other.keys.dependents + parent_id.encode()
            known = [
                row for row in self.client.zrange(key, 0, -1) if re.sub(b"#.*@", b"@", row) == node.name.encode()
            ]
            assert self.client.zrem(key, *known) >= 1  # an older edition may stand there, too
            assert self.run(store.outbox.tell_again([job_id])) >= 1
            assert self.run(store.outbox.tell_again([job_id])) == 0

    def forget_whom_it_ended(self, name: str) -> None:
        for each in self.nodes.values():
            if each.ended_by == name:
                each.ended_by = None

    @rule(number=PICKS)
    def delete(self, number: int) -> None:
        if (node := self.picked(number)) is not None:
            store, job_id = self.of(node.name)
            assert self.run(store.changes.delete([job_id])) == 1
            del self.nodes[node.name]
            self.forget_whom_it_ended(node.name)
            self.ended(node, "gone")

    @rule()
    def sweep(self) -> None:
        for store in self.stores.values():
            self.run(store.duty.sweep())

    # What holds after every step

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        for _ in range(2 * len(QUEUES)):  # what one queue's rows decide may write rows of the other
            for store in self.stores.values():
                self.run(relay(store))

        for queue, store in self.stores.items():
            names = [name for name in self.used if name.endswith(f"@{queue}")]
            records = self.run(store.reads.load([name.partition("@")[0] for name in names]))
            found = {name: record.status.value for name, record in zip(names, records, strict=True) if record}

            for name, each in [*self.nodes.items()]:
                if each.has_several and {each.status, found.get(name)} == {"canceled", "failed"}:
                    each.status = found[name]

            for record in records:
                self.learn_who_ended(record, queue)

            assert found == {name: each.status for name, each in self.nodes.items() if name.endswith(f"@{queue}")}
            assert not self.client.exists(store.keys.outbox)
            assert audit(self.client, store) == []

        self.check_takers()

    def learn_who_ended(self, record: JobRecord | None, queue: str) -> None:
        """If several ends came at once, any of them may have ended the job."""
        node = None if record is None else self.nodes.get(f"{record.id}@{queue}")

        if record is None or node is None or node.ended_by is None or not node.has_several:
            return

        names = record.fields[b"waited_for"].decode().split()
        by, *waited_for = [name if "@" in name else f"{name}@{queue}" for name in names]
        node.ended_by, node.waited_for = by, set(waited_for)

    def check_takers(self) -> None:
        """Each job that has not ended is listed by all whose results it takes, and these stay; no other is."""
        live = {each.name for each in self.nodes.values() if each.status not in FINAL}

        for name, node in self.nodes.items():
            store, job_id = self.of(name)
            rows = self.client.zrange(store.keys.dependents + job_id.encode(), 0, -1, withscores=True)
            known = {
                f"{row.decode()}@{store.queue}" if b"@" not in row else re.sub("#.*@", "@", row.decode()): score
                for row, score in rows
            }
            takers = {each.name for each in self.nodes.values() if name in each.takes and each.name in live}
            assert takers <= known.keys()
            assert {each for each, score in known.items() if score == TAKER} <= takers

            if takers and node.status in FINAL:
                assert self.client.pttl(store.keys.job + job_id.encode()) == -1


@pytest.mark.timeout(3_600 if LONG else 900)
def test_the_server_and_the_model_agree(server: Server) -> None:
    try_out(lambda: DependentsMachine(server.url), 2)
