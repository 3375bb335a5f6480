"""The scripts against a model: whatever is done, in whatever order, the server and a few lines of Python agree.

`AIOQ_HYPOTHESIS=long pytest tests/store/test_model.py` looks longer (about ten minutes).
"""

from __future__ import annotations

import asyncio
import json
import os
import random
from collections import Counter
from collections.abc import Callable, Coroutine
from contextlib import nullcontext
from contextvars import copy_context
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypeVar

import hypothesis.core
import pytest
import redis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from aioq import Queue, acting_as
from aioq.client.explained import explain_job
from aioq.store import Connection, listing
from aioq.store.acting import act_of, actor_now
from aioq.store.keys import TEST_PREFIX
from aioq.store.net.command import Command
from aioq.store.time_travel import advance
from aioq.values.claim import Claim, Claims
from aioq.values.explanation import ReasonKind
from aioq.values.failure import Failure, unpack_failure
from aioq.values.outcome import Failed, FailedRun, Finished, FinishedRun, Interrupted, Outcome, Retried
from aioq.values.states import FINAL, JobStatus, allows
from aioq.values.submission import Submission
from aioq.values.webhook import FIELD
from tests.conftest import Server
from tests.store.tools import audit, beat, claim, clock, end, job, passed, patient_scripts
from tests.tools import assert_sound

T = TypeVar("T")

LONG = os.environ.get("AIOQ_HYPOTHESIS") == "long"

#: The seed that `--hypothesis-seed` gives.
GIVEN: int | None = hypothesis.core.global_force_seed

#: To make a failure short takes up to five minutes: whoever looks at one gives its seed, and waits for that.
SHORTENS = LONG or GIVEN is not None

PROFILE = settings(
    max_examples=1_500 if LONG else 25,
    stateful_step_count=100 if LONG else 50,
    deadline=None,
    database=None,  # examples of an earlier run would not be those of the seed
    phases=[each for each in Phase if SHORTENS or each not in (Phase.shrink, Phase.explain)],
    suppress_health_check=list(HealthCheck),
    print_blob=True,
)

WORKERS = ["w1", "w2"]
OWN_IDS = list("abc")
NEVER = float("inf")

#: The lanes, in the order in which they are served.
ALONE, SUSPECTS, CALLBACKS, FRONT, MAIN = range(5)

LOST = "aioq.errors.AbandonedJobError"

#: Far away, for moments and retentions. What is to be over at once takes 1 ms, and each step waits for it. On a
#: busy machine an example takes minutes, so what must outlast one is longer than that.
FAR = 300_000
LEASE = 600_000
KEPT = [-1, 0, 1, FAR]

#: A moment far away, in ms since 1970.
FAR_OFF = 10**13


#: The callback that an end makes, or a retry.
CALLED = {
    "finished": "on_success",
    "failed": "on_failure",
    "stopped": "on_stopped",
    "canceled": "on_canceled",
    "expired": "on_expired",
    "retried": "on_retry",
}


class Spec(NamedTuple):
    """A job to enqueue."""

    own_id: str | None
    front: bool
    due: str
    ttl_ms: int
    failure_ttl: int | None
    deaths: int
    has_callbacks: bool
    has_webhook: bool
    tags: str


SPECS = st.builds(
    Spec,
    own_id=st.sampled_from([*OWN_IDS, None]),
    front=st.booleans(),
    due=st.sampled_from(["now", "now", "now", "past", "far"]),
    ttl_ms=st.sampled_from([0, 0, 1, FAR]),
    failure_ttl=st.sampled_from([None, *KEPT]),
    deaths=st.sampled_from([0, 0, 1, 2, 3]),  # as if workers had died with it before
    has_callbacks=st.sampled_from([False, False, True]),
    has_webhook=st.sampled_from([False, False, True]),
    tags=st.sampled_from(["", "", "x", "x,y"]),
)
OUTCOMES = st.one_of(
    st.builds(Finished, st.just(b"p"), st.sampled_from(KEPT)),
    st.just(Failed(Failure("boom", "FailedError").pack())),
    st.builds(
        Retried,
        st.just(Failure("boom", "RetriedError").pack()),
        st.sampled_from([0, 1, FAR]),
        st.booleans(),
        st.sampled_from([0, 0, 1, FAR]),
        st.booleans(),
    ),
    st.builds(Interrupted, st.booleans()),
    st.builds(FinishedRun, st.just(b"p"), st.sampled_from(KEPT), st.just(b""), st.sampled_from([1, FAR_OFF])),
    st.builds(FailedRun, st.just(Failure("boom", "FailedError").pack()), st.sampled_from([1, FAR_OFF])),
)
PICKS = st.integers(0, 59)
WORKER = st.sampled_from(WORKERS)


def step(verb: str, *arguments: st.SearchStrategy[Any]) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.tuples(st.just(verb), *arguments)


#: One rule draws among these, by their weights. As rules of their own, Hypothesis would leave most of them out of
#: most examples, and a job would hardly ever be claimed, let alone end.
WEIGHTS = {
    step("enqueue", st.lists(SPECS, min_size=1, max_size=3)): 5,
    step("claim", WORKER, st.integers(1, 4), st.sampled_from([1, 3, 100])): 8,
    step("record", PICKS, OUTCOMES): 10,
    step("cancel_or_stop", PICKS, st.sampled_from(["cancel", "stop"])): 3,
    step("requeue", st.lists(PICKS, min_size=1, max_size=3), st.booleans(), st.booleans()): 3,
    step("delete", st.lists(PICKS, min_size=1, max_size=2), st.sampled_from([None, *JobStatus])): 2,
    step("wait_for", st.lists(PICKS, min_size=1, max_size=3)): 1,
    step("live_or_die", WORKER, st.sampled_from(["join", "leave", "lose", "beat", "reclaim", "reap"])): 2,
    step("be_lost", WORKER): 3,
    step("resync", WORKER, st.sets(st.integers(0, 9))): 1,
    step("send_again"): 1,
    step("call_again"): 3,
    step("sweep"): 1,
    step("tally", WORKER, st.integers(0, 3)): 1,
    step("switch"): 1,
}
STEPS = st.sampled_from([each for each, weight in WEIGHTS.items() for _ in range(weight)]).flatmap(
    lambda each: each
)


#: The calls of users, by how the server knows them.
SHAS = {
    scripts[verb].sha: verb
    for scripts in (patient_scripts("aioq"), patient_scripts(TEST_PREFIX))
    for verb in ("cancel", "stop", "delete", "requeue")
}


@dataclass
class Job:
    """What the model knows of a job."""

    id: str
    nonce: str
    at_front: bool = False
    ttl_ms: int = 0
    failure_ttl: int = FAR
    status: str = "queued"
    is_late: bool = False
    due: float = NEVER
    place: tuple[int, int] = (0, 0)
    fence: int = 0
    uncounted: int = 0
    deliveries: int = 0
    repeats: int = 0
    deaths: int = 0
    is_alone: bool = False
    worker: str = ""
    error: str | None = None  # the type
    is_past: bool = False  # it waits for another attempt, and the deadline of these is over
    history: list[tuple[str, str | None]] = field(default_factory=list)
    has_callbacks: bool = False
    has_webhook: bool = False

    @property
    def is_hidden(self) -> bool:
        """Whether it is a callback that no list of jobs has: one that waits or runs as usual, or has finished."""
        is_usual = self.status in ("queued", "started") and self.place[0] == CALLBACKS

        return "." in self.id and (is_usual or self.status == "finished")

    @property
    def seen(self) -> str:
        """The state as a reader sees it."""
        return "expired" if self.is_late else self.status


class StoreMachine(RuleBasedStateMachine):
    """Drives Store on the real server.

    Args:
        url: the server.
        prefix: that of the queue.

    """

    def __init__(self, url: str, prefix: str = "aioq") -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.client = redis.Redis.from_url(url)
        self.client.flushall()
        self.connection = Connection(url, prefix=prefix)
        self.connection.scripts = patient_scripts(prefix)
        self.queue = Queue("default", self.connection)
        self.store = self.queue.store
        self.connection.repeat_ms = 400_000  # an example may take longer than the usual time
        self.connection.call = self.call  # type: ignore[method-assign]
        self.called: Command = ()  # the last call of a user that has changed something, and its answer
        self.answer: Any = None
        self.stored: set[tuple[str, str]] = set()  # ids and nonces of all calls that have stored a job
        self.jobs: dict[str, Job] = {}
        self.alive: dict[str, bool] = {}  # the workers that have a lease, and whether it has not ended
        self.sessions: set[str] = set()  # those that have joined since they were last reclaimed
        self.claims: list[Claim] = []
        self.made: list[Job] = []  # callbacks, since the last claim began
        self.ended: list[tuple[Job, str]] = []  # jobs whose callbacks are not made yet, and how each has ended
        self.sent: list[Submission] = []
        self.used: set[str] = {"unknown"}
        self.tallies: Counter[str] = Counter()  # of each worker
        self.counted: Counter[str] = Counter()  # what the statistics have been told, and what scripts count
        self.paused = False
        self.acts: list[tuple[str, tuple[str, ...], int]] = []  # what the audit must tell, the first one first
        self.counter = 0
        self.looks = 0

    def teardown(self) -> None:
        self.the_doctor_finds_nothing()
        self.run(self.connection.aclose())
        self.client.flushall()
        self.client.close()
        self.runner.close()

    async def call(self, command: Command) -> Any:
        answer = (await self.connection.calls((command,)))[0]
        verb = SHAS.get(command[1])
        changes = {"requeue": lambda: b"ok" in answer[1], "delete": lambda: answer[1] > 0}

        if verb is not None and changes.get(verb, lambda: answer == [b"ok"])():
            self.called, self.answer = command, answer

        return answer

    def call_again(self) -> None:
        """The reply was lost, and other things have happened meanwhile. It is the same, and nothing is done."""
        if self.called:
            assert self.run(self.connection.calls((self.called,))) == [self.answer]

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        return self.runner.run(work, context=copy_context())  # it knows who acts

    def acted(self, action: str, *ids: str, of_queue: bool = False) -> None:
        """Something was done; if somebody has said who does it, the audit has one more row."""
        if actor_now() is not None and (ids or of_queue):
            self.acts.append((action, tuple(sorted(ids)), len(ids)))

    def next(self) -> int:
        self.counter += 1

        return self.counter

    def pick(self, number: int) -> str:
        """The id of a job that is there, or, one time in many, of one that is not."""
        ids = [*sorted(self.jobs), "unknown"]

        return ids[number % len(ids)]

    def in_lanes(self) -> list[Job]:
        """The jobs in the lanes in the order in which they are claimed, late ones among them."""
        return sorted(
            (each for each in self.jobs.values() if each.status == "queued"), key=lambda each: each.place
        )

    def held_by(self, worker: str) -> list[Job]:
        held = [each for each in self.jobs.values() if each.status == "started" and each.worker == worker]

        return sorted(held, key=lambda each: each.place)

    # What happens to a job of the model

    def enter(self, each: Job, *, front: bool, is_new: bool = False) -> None:
        each.status, each.is_late, each.worker = "queued", False, ""
        lane = CALLBACKS if "." in each.id else FRONT if front else MAIN

        if each.deaths >= 2 and not is_new:
            lane = SUSPECTS if each.deaths == 2 else ALONE

        each.place = (lane, self.next())

    def schedule(self, each: Job, due: float, *, front: bool) -> None:
        each.status, each.worker, each.due, each.at_front = "scheduled", "", due, front

    def finish(self, each: Job, status: str, kept_ms: int) -> None:
        each.status, each.is_late = status, False
        self.ended.append((each, status))

        if kept_ms in (0, 1):
            del self.jobs[each.id]

    def follow(self) -> None:
        """Callbacks of the jobs that a script has ended are made at its end."""
        for each, status in self.ended:
            self.call_back(each, status)

        self.ended = []

    def call_back(self, each: Job, what: str) -> None:
        """Something has become of a job: callbacks are made, if none is left of an end with the same fence."""
        job_id = f"{each.id}.{each.fence}.{CALLED[what]}"
        made = [job_id] * each.has_callbacks + [f"{job_id}.1"] * each.has_webhook

        for job_id in made:
            if job_id not in self.jobs or self.jobs[job_id].status in FINAL:
                self.used.add(job_id)
                self.jobs[job_id] = Job(job_id, "", failure_ttl=each.failure_ttl)
                self.enter(self.jobs[job_id], front=False)
                self.made.append(self.jobs[job_id])

    def let_time_pass(self) -> None:
        """Until all that was to last for a millisecond is over."""
        self.wait()

        for each in self.jobs.values():
            each.is_late = each.status == "queued" and each.ttl_ms == 1

    def wait(self) -> None:
        self.run(passed(self.client, clock(self.client) + 1))

    # Producers

    @initialize(specs=st.lists(SPECS, min_size=1, max_size=3))
    def begin(self, specs: list[Spec]) -> None:
        self.enqueue(specs)
        self.join("w1")

    @rule(step=STEPS)
    def take(self, step: tuple[Any, ...]) -> None:
        verb, *arguments = step

        with acting_as("ann") if self.next() % 2 else nullcontext():
            getattr(self, verb)(*arguments)

    def enqueue(self, specs: list[Spec]) -> None:
        self.sent = []

        for spec in specs:
            number = self.next()
            job_id = spec.own_id or f"j{number}"
            due = {"now": "", "past": str(number), "far": f"+{FAR}"}[spec.due]
            own = {"deliveries": b"%d" % spec.deaths, "deaths": b"1 earlier\n" * spec.deaths}
            own |= {} if spec.failure_ttl is None else {"failure_ttl": b"%d" % spec.failure_ttl}
            nonce = f"n{number}" if spec.own_id else ""
            self.used.add(job_id)
            kinds = ",".join(CALLED.values())
            called = {"callbacks": kinds * spec.has_callbacks, "webhooks": kinds * spec.has_webhook}
            words = {"front": spec.front, "due": due, "ttl_ms": spec.ttl_ms, "nonce": nonce, "tags": spec.tags}
            self.sent.append(job(job_id, **words, **called, **own))

        self.send_again()

    def send_again(self) -> None:
        answers = self.run(self.store.producing.enqueue_many(self.sent))

        for sent, answer in zip(self.sent, answers, strict=True):
            known, call = self.jobs.get(sent.record.id), (sent.record.id, str(sent.words.get("nonce", "")))

            if call not in self.stored and known is not None and known.seen not in FINAL:
                assert answer == (answer.clock, "duplicate", sent.record.id)
            else:
                assert answer.verdict == "stored"

                if call not in self.stored:
                    if known is not None and known.is_late:  # it ends, and another one takes its place
                        self.call_back(known, "expired")

                    self.stored.add(call)
                    self.add(sent, answer.clock)

        self.let_time_pass()

    def add(self, sent: Submission, created: int) -> None:
        words = sent.words
        nonce, due, at_front = str(words.get("nonce", "")), str(words.get("due", "")), "lane" in words
        first = created if nonce else 0  # fences of an id that may come again begin at the clock
        new = Job(
            sent.record.id,
            nonce,
            ttl_ms=int(words.get("ttl", 0)),
            failure_ttl=int(sent.record.fields.get(b"failure_ttl", FAR)),
            deliveries=int(sent.record.fields[b"deliveries"]),
            deaths=int(sent.record.fields[b"deliveries"]),
            fence=first,
            uncounted=first,
            has_callbacks=b"on_success" in sent.record.fields,
            has_webhook=FIELD in sent.record.fields,
        )
        self.jobs[new.id] = new

        if due == "":
            self.enter(new, front=at_front, is_new=True)
        else:
            self.schedule(new, NEVER if due.startswith("+") else int(due), front=at_front)

    # Workers

    def claim(self, worker: str, limit: int, slots: int) -> None:
        held = self.held_by(worker)
        limit = max(1, min(limit, slots - len(held)))
        found = self.run(claim(self.store, worker, limit, held=len(held), slots=slots))

        if self.paused:
            assert found.verdict == "paused"
            self.switch()
        elif worker not in self.alive or worker not in self.sessions:
            assert found.verdict == "missing"
            self.join(worker)
        else:
            assert found.verdict == "ok"
            self.claimed(worker, limit, slots, found)

    def order_made(self) -> None:
        """Jobs that one claim ends have their callbacks in the order of their deadlines."""
        places = {
            values[b"id"].decode(): at
            for at, (_, values) in enumerate(self.client.xrange(self.store.keys.callbacks))
        }

        for each in sorted(self.made, key=lambda each: places[each.id]):
            each.place = (CALLBACKS, self.next())

    def claimed(self, worker: str, limit: int, slots: int, found: Claims) -> None:
        self.made = []

        for each in sorted(self.jobs.values(), key=lambda each: each.due):
            if each.status == "scheduled" and each.due < NEVER:
                self.enter(each, front=each.at_front)

        for each in self.in_lanes():
            if each.is_late:
                self.finish(each, "expired", FAR)

        expected, is_reserved = self.next_ones(worker, limit, slots, found.is_reserved)
        self.follow()
        self.order_made()
        assert [each.record.id for each in found.jobs] == [each.id for each in expected]
        assert found.is_reserved == is_reserved
        assert found.suspects == sum(each.place[0] in (ALONE, SUSPECTS) for each in expected)

        for each, got in zip(expected, found.jobs, strict=True):
            each.status, each.worker, each.fence = "started", worker, each.fence + 1
            assert (got.fence, got.record.attempt) == (each.fence, each.fence - each.uncounted)

            if each.place[0] in (ALONE, SUSPECTS):
                each.is_alone = each.place[0] == ALONE or slots == 1

        self.claims = (self.claims + found.jobs)[-20:]
        self.let_time_pass()

    def next_ones(self, worker: str, limit: int, slots: int, is_reserved: bool) -> tuple[list[Job], bool]:
        """The jobs that a claim is to bring, and whether the worker may take nothing else.

        A job whose attempts had to begin before now fails when it is met, and takes the place of another one.
        The callbacks that the claim itself has made come with the next one.
        """
        held = self.held_by(worker)
        lanes: list[list[Job]] = [
            [each for each in self.in_lanes() if each.place[0] == lane and each not in self.made]
            for lane in range(5)
        ]

        if any(each.place[0] == ALONE for each in held):
            return [], True

        read = 0

        if lanes[ALONE] and not held:
            read = 1

            if first := self.in_time(lanes[ALONE][:1]):
                return first, True

        if lanes[ALONE] and is_reserved:
            return [], True  # it is to get empty: when that begins depends on the time

        room = min(limit, slots - len(held), 10 - sum(each.place[0] == SUSPECTS for each in held))
        suspects = lanes[SUSPECTS][: max(0, room)]
        others = (lanes[CALLBACKS] + lanes[FRONT] + lanes[MAIN])[: max(0, limit - read - len(suspects))]

        return self.in_time(suspects + others), False

    def in_time(self, met: list[Job]) -> list[Job]:
        """Those of the jobs that a claim has met that may begin; the others have failed with their last error."""
        for each in met:
            if each.is_past:
                self.finish(each, "failed", each.failure_ttl)

        return [each for each in met if not each.is_past]

    def record(self, pick: int, outcome: Outcome) -> None:
        """What a run came to: mostly one that holds its claim, sometimes one of long ago, rarely one of nobody."""
        holding = [
            each
            for each in self.claims
            if (known := self.jobs.get(each.record.id)) and known.status == "started" and known.fence == each.fence
        ]
        choice = holding if pick % 4 and holding else self.claims

        if not choice:
            return

        chosen = choice[pick % len(choice)]

        if pick == 0:
            chosen = chosen._replace(fence=chosen.fence + 100)

        if "." in chosen.record.id and outcome == Finished(b"p", -1):
            outcome = Finished(b"p", FAR)  # no callback is kept for ever

        (verdict,) = self.run(end(self.store, (chosen, outcome)))
        each = self.jobs.get(chosen.record.id)
        final = {Finished: "finished", Failed: "failed"}.get(type(outcome))

        if each is None:
            assert verdict == "gone"
        elif each.fence != chosen.fence:
            assert verdict == "stale"
        elif each.status != "started":
            assert verdict == ("already" if each.status == final else "stale")
        else:
            assert verdict == "ok"
            self.recorded(each, outcome)
            self.follow()
            (again,) = self.run(end(self.store, (chosen, outcome)))
            assert again in ("already", "stale", "gone")

        self.let_time_pass()

    def recorded(self, each: Job, outcome: Outcome) -> None:
        match outcome:
            case FinishedRun():
                each.error = None
                self.repeat(each, outcome.due_ms, "finished")
            case FailedRun():
                each.error = "FailedError"
                self.repeat(each, outcome.due_ms, "failed")
            case Finished():
                # Without retention, the end can be seen for some time: see `patient_scripts`.
                each.error = None
                self.finish(each, "finished", outcome.ttl_ms or FAR)
            case Failed():
                each.error = "FailedError"
                self.finish(each, "failed", each.failure_ttl)
            case Retried(delay_ms=0):
                self.fail(each, outcome)
                self.enter(each, front=outcome.at_front)
                self.call_back(each, "retried")
            case Retried():
                self.fail(each, outcome)
                due = NEVER if outcome.delay_ms == FAR else 1e12 + self.next()
                self.schedule(each, due, front=outcome.at_front)
                self.call_back(each, "retried")
            case Interrupted():
                each.uncounted += 1
                each.deliveries += outcome.begun
                each.history += [("interrupted", None)] if outcome.begun else []
                self.enter(each, front=True)

    def repeat(self, each: Job, due_ms: int, ended: str) -> None:
        """A run of a series is over. The next one begins anew."""
        each.history.append((ended, each.error))
        each.uncounted, each.deliveries, each.deaths, each.is_alone = each.fence, 0, 0, False
        each.repeats += 1

        if due_ms == FAR_OFF:
            self.schedule(each, NEVER, front=False)
        else:
            self.enter(each, front=False)

    def fail(self, each: Job, outcome: Retried) -> None:
        each.error = "RetriedError"
        each.history.append(("retried" if outcome.is_asked else "failed", each.error))
        each.is_past = outcome.within_ms == 1

    def live_or_die(self, worker: str, verb: str) -> None:
        getattr(self, verb)(worker)

    def be_lost(self, worker: str) -> None:
        self.lose(worker)
        self.reclaim(worker)

    def join(self, worker: str) -> None:
        self.run(self.store.duty.join(worker, LEASE))

        if not any(self.alive.values()):
            self.alive = dict.fromkeys(self.alive, True)  # it was the server that was away

        self.alive[worker] = True
        self.sessions.add(worker)

    def leave(self, worker: str) -> None:
        left = self.run(self.store.duty.leave(worker))
        assert left == (not self.held_by(worker))

        if left:
            self.alive.pop(worker, None)
            self.sessions.discard(worker)

    def lose(self, worker: str) -> None:
        """A worker has not beaten for too long."""
        if worker in self.alive:
            self.client.zadd(self.store.keys.leases, {worker: clock(self.client) - 1})
            self.alive[worker] = False

    def beat(self, worker: str) -> None:
        found = self.run(beat(self.store, worker, LEASE))
        assert found.lapsed == (worker not in self.alive)

        if any(self.alive.values()):
            assert sorted(found.lost) == sorted(
                each for each, alive in self.alive.items() if not alive and each != worker
            )
        else:
            assert found.lost == []
            self.alive = dict.fromkeys(self.alive, True)  # it was the server that was away

        self.alive[worker] = True

    def reap(self, worker: str) -> None:
        """The process of a worker has ended, and whoever started it says so: its lease does not matter."""
        self.reclaim(worker, reaped=True)

    def reclaim(self, worker: str, *, reaped: bool = False) -> None:
        more, back, failed = self.run(self.store.duty.reclaim(worker, reaped=reaped))
        assert not more

        if self.alive.get(worker) and not reaped:
            assert (back, failed) == ([], [])
            return

        self.alive.pop(worker, None)
        self.sessions.discard(worker)

        for each in self.held_by(worker):
            each.uncounted += 1
            each.deliveries += 1
            each.deaths += 1
            self.counted["lost"] += "." not in each.id

            if each.deaths >= 3 and each.is_alone:
                assert each.id == failed.pop(0)
                self.counted["failed"] += "." not in each.id
                each.error = LOST
                self.finish(each, "failed", each.failure_ttl)
            else:
                assert each.id == back.pop(0)
                each.history.append(("abandoned", LOST))
                self.enter(each, front=True)

        self.follow()
        assert (back, failed) == ([], [])
        self.let_time_pass()

    def resync(self, worker: str, keep: set[int]) -> None:
        held = [each for at, each in enumerate(reversed(self.claims)) if at in keep]
        known = {(each.record.id, each.fence) for each in held}
        unknown = [each for each in self.held_by(worker) if (each.id, each.fence) not in known]
        assert self.run(self.store.duty.reclaim(worker, held)) == (False, [each.id for each in unknown], [])

        for each in unknown:
            each.uncounted += 1
            self.enter(each, front=True)

        self.sessions.add(worker)
        self.let_time_pass()

    # Users

    def cancel_or_stop(self, pick: int, verb: str) -> None:
        job_id, status = self.pick(pick), {"cancel": "canceled", "stop": "stopped"}[verb]
        verdict = self.run(getattr(self.store.changes, verb)(job_id))
        each = self.jobs.get(job_id)

        if each is None:
            assert verdict == ("gone", "")
        elif each.seen == status:
            assert verdict == ("already", "")
        elif not allows(JobStatus(each.seen), verb):
            assert verdict == ("refused", each.seen)
        else:
            assert verdict == ("ok", "")
            self.acted(verb, job_id)
            self.finish(each, status, FAR if verb == "cancel" else each.failure_ttl)
            self.follow()
            self.let_time_pass()

    def requeue(self, picks: list[int], front: bool, reset: bool) -> None:
        ids = [self.pick(each) for each in picks]
        verdicts = self.run(self.store.changes.requeue(ids, at_front=front, reset=reset))

        for job_id, verdict in zip(ids, verdicts, strict=True):
            each = self.jobs.get(job_id)

            if each is None:
                assert verdict == "gone"
            elif not allows(JobStatus(each.seen), "requeue"):
                assert verdict == each.seen
            else:
                assert verdict == "ok"
                # It ended in a run, not while it waited.
                each.history += [(each.status, each.error)] if each.worker else []
                each.error, each.is_past = None, False

                if reset:
                    each.uncounted, each.deliveries = each.fence, 0
                    each.deaths, each.is_alone = 0, False

                self.enter(each, front=front)

        self.acted("requeue", *(each for each, verdict in zip(ids, verdicts, strict=True) if verdict == "ok"))
        self.let_time_pass()

    def delete(self, picks: list[int], only: JobStatus | None) -> None:
        ids = [self.pick(each) for each in picks]
        going = {each for each in ids if each in self.jobs and (only is None or self.jobs[each].seen == only)}
        assert self.run(self.store.changes.delete(ids, only)) == len(going)
        self.acted("delete", *going)

        for each in going:
            del self.jobs[each]

    def wait_for(self, picks: list[int]) -> None:
        ids = [self.pick(each) for each in picks]

        for job_id, standing in zip(ids, self.run(self.store.producing.wait("channel", ids)), strict=True):
            each = self.jobs.get(job_id)

            if each is None:
                assert standing == {}
            elif each.seen in FINAL:
                assert isinstance(standing, dict)
                assert standing[b"status"].decode() == each.seen
            else:
                assert isinstance(standing, int)
                assert (standing == -1) == (each.ttl_ms == 0)

    def sweep(self) -> None:
        assert not self.run(self.store.duty.sweep())

    def tally(self, worker: str, finished: int) -> None:
        """A worker tells what it has counted. The same call sent again counts nothing."""
        self.tallies[worker] += 1
        call, statistics = (worker, self.tallies[worker], f"finished={finished}"), self.store.statistics
        assert self.run(statistics.tally(*call))
        assert not self.run(statistics.tally(*call))
        self.counted["finished"] += finished
        found = self.run(statistics.read("hour"))
        total, backlog = found.total, found.backlog
        assert {name: getattr(total, name) for name in self.counted} == self.counted

        waiting, running = self.in_lanes(), [each for each in self.jobs.values() if each.status == "started"]
        assert backlog.waiting == sum(each.place[0] != CALLBACKS for each in waiting)
        assert backlog.running == sum(each.place[0] != CALLBACKS for each in running)
        assert backlog.scheduled == sum(each.status == "scheduled" for each in self.jobs.values())

    def switch(self) -> None:
        if self.paused:
            self.run(self.store.changes.resume())
        else:
            self.run(self.store.changes.pause(act=act_of("pause")))

        self.acted("resume" if self.paused else "pause", of_queue=True)
        self.paused = not self.paused

    # What holds after every step

    @invariant()
    def the_stored_data_keeps_the_laws(self) -> None:
        assert audit(self.client, self.store) == []

    def the_doctor_finds_nothing(self) -> None:
        self.run(assert_sound(self.queue))

    @invariant()
    def the_doctor_finds_nothing_now_and_then(self) -> None:
        if self.looks % 10 == 0:
            self.the_doctor_finds_nothing()

    @invariant()
    def every_job_is_as_the_model_says(self) -> None:
        ids = sorted(self.used)

        for job_id, record in zip(ids, self.run(self.store.reads.load(ids)), strict=True):
            each = self.jobs.get(job_id)
            assert (record is None) == (each is None), job_id

            if record is not None and each is not None:
                assert record.status == each.seen
                assert (record.fence, record.deliveries) == (each.fence, each.deliveries)
                assert (record.attempt, record.repeats) == (each.fence - each.uncounted, each.repeats)
                assert (record.worker or "") == each.worker
                assert (record.failure and record.failure.type) == each.error

    @invariant()
    def a_job_is_explained_by_its_state(self) -> None:
        if ids := sorted(self.used):
            job_id = ids[self.looks % len(ids)]  # one after the other
            each, found = self.jobs.get(job_id), self.run(explain_job(self.store, job_id))
            assert found.status == (None if each is None else each.seen)
            assert (ReasonKind.GONE in {reason.kind for reason in found.reasons}) == (each is None)
            assert ReasonKind.DAMAGED not in {reason.kind for reason in found.reasons}, found

    @invariant()
    def each_act_has_one_row_in_the_audit(self) -> None:
        found = [
            (each.action, tuple(sorted(each.subjects)), each.count) for each in self.run(self.store.audit.rows())
        ]
        assert found == self.acts[::-1]

    @invariant()
    def what_must_run_alone_runs_alone(self) -> None:
        for worker in WORKERS:
            held = self.held_by(worker)
            assert len(held) == 1 or all(each.place[0] != ALONE for each in held)
            assert sum(each.place[0] == SUSPECTS for each in held) <= 10

    @invariant()
    def histories_are_as_the_model_says(self) -> None:
        with self.client.pipeline(transaction=False) as pipeline:
            for job_id in self.jobs:
                pipeline.lrange(self.store.keys.attempts + job_id.encode(), 0, -1)

            for each, packed in zip(self.jobs.values(), pipeline.execute(), strict=True):
                runs = [json.loads(run.partition(b"\n")[0]) for run in packed]
                told = [(run["outcome"], unpack_failure(run["error"]).type) for run in runs]
                assert told == each.history[-10:]

    @invariant()
    def counts_and_lists_are_as_the_model_says(self) -> None:
        counts = self.run(self.store.reads.count())
        seen = [each.seen for each in self.jobs.values() if not each.is_hidden]
        waiting = [each for each in self.jobs.values() if each.is_hidden and each.status != "finished"]
        assert counts.callbacks == len(waiting)
        assert sorted(self.run(self.store.reads.ids("callbacks"))[0]) == sorted(each.id for each in waiting)
        assert counts.workers == sum(self.alive.values())
        assert counts.jobs == {state: seen.count(state.value) for state in JobStatus}

        queued, _ = self.run(self.store.reads.ids(JobStatus.QUEUED))
        assert queued == [each.id for each in self.in_lanes() if not each.is_late and not each.is_hidden]

        self.looks += 1
        state = list(JobStatus)[self.looks % len(JobStatus)]  # the others in turn
        listed, _ = self.run(self.store.reads.ids(state))
        expected = [each.id for each in self.jobs.values() if each.seen == state and not each.is_hidden]
        assert sorted(listed) == sorted(expected)
        assert self.run(self.store.reads.ids(state, desc=True))[0] == listed[::-1]


class TravellingMachine(StoreMachine):
    """The same in the namespace of a test, where the clock is moved on instead: that disturbs nothing."""

    def __init__(self, url: str) -> None:
        super().__init__(url, f"{TEST_PREFIX}model")

    def wait(self) -> None:
        self.run(advance(self.connection, 2))


def try_out(machine: Callable[[], RuleBasedStateMachine], share: int = 1) -> None:
    """Drive a rule machine with one in `share` of the examples. A failure says how to have it again."""
    number = random.getrandbits(32) if GIVEN is None else GIVEN
    print(f"The same again, made short: {'AIOQ_HYPOTHESIS=long ' * LONG}pytest --hypothesis-seed={number}")
    some = settings(PROFILE, max_examples=PROFILE.max_examples // share)
    run_state_machine_as_test(seed(number)(machine), settings=some)


@pytest.mark.timeout(7_200 if LONG else 900)
@pytest.mark.parametrize(("machine", "share"), [(StoreMachine, 1), (TravellingMachine, 4)])
def test_the_server_and_the_model_agree(
    machine: type[StoreMachine], share: int, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listing, "PAGE", 3)  # so that lists of a few jobs have several pages
    try_out(lambda: machine(server.url), share)
