"""What the tests of the store share: short forms of its calls, a dump of the server, and an audit of one queue."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import cache
from typing import Any

import redis

from aioq.store import Store
from aioq.store.duty import read_beat, read_refused
from aioq.store.keys import LANES, TEST_PREFIX
from aioq.store.net import library
from aioq.store.outbox import WAITS, End
from aioq.store.producing import LONGEST_REPEAT_MS
from aioq.store.relay import tell
from aioq.store.scripts import Script, Scripts, scripts_of
from aioq.values.callback import Definition
from aioq.values.claim import Claim, Claims
from aioq.values.outcome import Failed, Finished, Outcome
from aioq.values.record import JobRecord
from aioq.values.states import FINAL, KEPT_MS
from aioq.values.submission import Submission
from aioq.values.webhook import StoredWebhook, pack_webhooks

LEASE = 60_000
DAY_MS = 86_400_000
FUNC = {b"func": b"m.f"}

#: How a callback is called, as a job keeps it.
CALLED = Definition(b"m.f", b'{"timeout":1000,"result_ttl":60000}', b"").pack()

#: How the states of a job are called here: the eight of the table, and a queued job that is past its ttl.
LATE = "late"


def job(
    job_id: str = "a",
    *,
    front: bool = False,
    due: str = "",
    ttl_ms: int = 0,
    nonce: str = "",
    parents: str = "",
    callbacks: str = "",
    webhooks: str = "",
    group: str = "",
    child: str = "",
    tags: str = "",
    **fields: bytes,
) -> Submission:
    """A job as `enqueue` takes it; `webhooks` are the kinds of each, with a space between them."""
    named = {name.encode(): value for name, value in fields.items()}
    named |= {kind.encode(): CALLED for kind in callbacks.split(",") if kind}

    if webhooks:
        callbacks = ",".join(dict.fromkeys(f"{callbacks},{webhooks.replace(' ', ',')}".strip(",").split(",")))
        named[b"webhooks"] = pack_webhooks(
            StoredWebhook(tuple(kinds.split(",")), b'{"timeout":1000}', b"j%d" % number)
            for number, kinds in enumerate(webhooks.split())
        )

    words = {"lane": "front" if front else "", "due": due, "ttl": ttl_ms, "nonce": nonce, "parents": parents}
    words["callbacks"] = callbacks
    words["group"], words["child"], words["tags"] = group, child, tags

    return Submission(
        JobRecord(job_id, FUNC | named), 100, {name: value for name, value in words.items() if value}
    )


async def put(store: Store, *ids: str, **options: Any) -> None:
    """Enqueue jobs with these ids."""
    await store.producing.enqueue_many([job(each, **options) for each in ids])


async def claim(store: Store, worker: str = "w1", limit: int = 10, **told: int) -> Claims:
    """A claim as it is, without joining first. told: what else the worker tells of itself."""
    return store.duty.read_claims(
        await store.connection.call(store.duty.claim_command(worker, limit, **told)), worker
    )


async def take(store: Store, worker: str = "w1", limit: int = 10) -> list[Claim]:
    """Join, and claim what is there."""
    await store.duty.join(worker, LEASE)
    claims = await claim(store, worker, limit)
    assert claims.verdict == "ok"

    return claims.jobs


async def start(store: Store, job_id: str = "a", worker: str = "w1", **options: Any) -> Claim:
    """A new job that runs."""
    await put(store, job_id, front=True, **options)
    (claimed,) = await take(store, worker, 1)
    assert claimed.record.id == job_id

    return claimed


async def end(store: Store, *pairs: tuple[Claim, Outcome]) -> list[str]:
    """Record how runs ended; the verdict for each, call by call."""
    verdicts = []

    for command, claims in store.duty.end_commands(pairs):
        refused = read_refused(await store.connection.call(command))
        verdicts += [refused.get(position, "ok") for position in range(len(claims))]

    return verdicts


async def beat(store: Store, worker: str = "w1", lease_ms: int = LEASE) -> Any:
    """A heartbeat."""
    return read_beat(await store.connection.call(store.duty.beat_command(worker, lease_ms)))


async def status(store: Store, job_id: str = "a") -> str | None:
    """The state as a reader sees it; None for a job that is gone."""
    (record,) = await store.reads.load([job_id])

    return None if record is None else record.status.value


@cache
def patient_scripts(prefix: str) -> Scripts:
    """The scripts, where what they keep for five seconds stays for five minutes: for tests that may take longer.

    A machine of rules compares the server with a model after each step. On a busy machine an example takes many
    seconds, and then a job whose result is not kept would be gone while the model knows it.
    """
    return PatientScripts(scripts_of(prefix))


class PatientScripts(Scripts):
    """As `patient_scripts` has them."""

    def __init__(self, others: Scripts) -> None:
        super().__init__()
        self._others = others

    def __getitem__(self, name: str) -> Script:
        return _patient(self._others[name])


@cache
def _patient(script: Script) -> Script:
    text = re.sub(r"^(local (?:UNKEPT|BRIEFLY) =) 5000\b", r"\1 300000", script.text, flags=re.MULTILINE)

    return script if text == script.text else replace(script, text=text, sha=library.add(script.name, text))


def clock(client: redis.Redis) -> int:
    """The server's clock in ms."""
    seconds, micros = client.time()

    return int(seconds * 1000 + micros // 1000)


async def passed(client: redis.Redis, moment_ms: int) -> None:
    """Until the server's clock has gone past a moment that is near."""
    while clock(client) <= moment_ms:
        await asyncio.sleep(0.001)


async def bring(store: Store, client: redis.Redis, state: str, job_id: str = "a", **options: Any) -> Claim | None:
    """A new job, brought into a state by the verbs that lead there; its claim, if it was claimed."""
    if state in ("queued", "canceled"):
        await put(store, job_id, **options)
    elif state == "scheduled":
        await put(store, job_id, due="+60000", **options)
    elif state == "deferred":
        await defer(store, job_id, **options)
    elif state in (LATE, "expired"):
        await put(store, job_id, ttl_ms=1, **options)
        await passed(client, clock(client) + 1)
    else:
        claimed = await start(store, job_id, **options)

        if state == "finished":
            assert await end(store, (claimed, Finished(b"pr", 60_000))) == ["ok"]
        elif state == "failed":
            assert await end(store, (claimed, Failed("boom"))) == ["ok"]
        elif state == "stopped":
            assert await store.changes.stop(job_id) == ("ok", "")

        return claimed

    if state == "canceled":
        assert await store.changes.cancel(job_id) == ("ok", "")
    elif state == "expired":
        assert await take(store) == []
        assert fields(client, store, job_id)[b"status"] == b"expired"

    return None


async def defer(store: Store, *ids: str, **options: Any) -> None:
    """New jobs that wait for a job of another queue. Their own queue has no other job."""
    other = Store(store.connection, "before")
    await put(other, "before", due="+60000")
    await put(store, *ids, parents="wbefore@before", **options)
    await tell(store, other, [End(job_id, "before@before", 0, WAITS) for job_id in ids])


def calls(client: redis.Redis, command: str) -> int:
    """How often the server has run a command."""
    return int(client.info("commandstats").get(f"cmdstat_{command}", {"calls": 0})["calls"])


def fields(client: redis.Redis, store: Store, job_id: str = "a") -> dict[bytes, bytes]:
    """The stored fields of a job."""
    found: dict[bytes, bytes] = client.hgetall(store.keys.job + job_id.encode())

    return found


def entries(client: redis.Redis, lane: bytes) -> list[bytes]:
    """The ids in a lane, in order."""
    return [values[b"id"] for _, values in client.xrange(lane)]


def dump(client: redis.Redis, *, skip: Iterable[bytes] = ()) -> dict[bytes, Any]:
    """All that is on the server, with the moments at which keys go."""
    return {
        key: (_contents(client, key), client.pexpiretime(key))
        for key in sorted(client.scan_iter(count=1000))
        if key not in set(skip)
    }


@contextmanager
def unchanged(client: redis.Redis) -> Iterator[None]:
    """What is done here changes nothing on the server."""
    before = dump(client)
    yield
    assert dump(client) == before


@contextmanager
def listening(client: redis.Redis, *channels: str) -> Iterator[Callable[[], list[bytes]]]:
    """What is published on these channels from here on; the function returns what has come by now, in order."""
    with client.pubsub() as subscription:
        subscription.subscribe(*channels)

        for _ in channels:
            assert subscription.get_message(timeout=5)["type"] == "subscribe"

        def messages() -> list[bytes]:
            # A message of our own comes after all that was published before it.
            client.publish(channels[0], b"end")
            found = []

            while (message := subscription.get_message(timeout=5)["data"]) != b"end":
                found.append(message)

            return found

        yield messages


def _contents(client: redis.Redis, key: bytes) -> Any:
    match client.type(key):
        case b"hash":
            return client.hgetall(key)
        case b"zset":
            return client.zrange(key, 0, -1, withscores=True)
        case b"list":
            return client.lrange(key, 0, -1)
        case b"set":
            return client.smembers(key)
        case b"stream":
            return client.xrange(key), pending(client, key), client.xinfo_groups(key)
        case _:
            return client.get(key)


def pending(client: redis.Redis, lane: bytes) -> dict[bytes, bytes]:
    """The entries of a lane that workers hold, and whose they are."""
    if not client.exists(lane) or not client.xinfo_groups(lane):
        return {}

    rows = client.xpending_range(lane, "workers", "-", "+", 100_000)

    return {row["message_id"]: row["consumer"] for row in rows}


def audit(client: redis.Redis, store: Store, *, ghosts: bool = False) -> list[str]:
    """What is wrong with the stored data of a queue, by the laws of the design: nothing, as a rule.

    Args:
        client: to the server, undecoded.
        store: the queue.
        ghosts: lane entries may be there whose job is gone: its hash has run out by itself.

    """
    return list(_Audit(client, store, ghosts=ghosts).run())


_NUMBERS = (
    b"created_at",
    b"enqueued_at",
    b"started_at",
    b"ended_at",
    b"due_at",
    b"expires_at",
    b"fence",
    b"uncounted",
    b"deliveries",
    b"repeats",
    b"ttl",
    b"deferred_ttl",
)


#: The retentions of jobs that stand in `<registry>:usual`.
USUAL: dict[str, int] = {state.value: kept_ms for state, kept_ms in KEPT_MS.items()}


class _Audit:
    def __init__(self, client: redis.Redis, store: Store, *, ghosts: bool) -> None:
        self.keys, self.ghosts = store.keys, ghosts
        shared = store.connection.shared
        is_of_test = shared.prefix.startswith(TEST_PREFIX)
        # By how many ms the clock of the namespace was moved on.
        self.moved = int(client.get(shared.clock) or 0) if is_of_test else 0
        self.registries = {state.value: self.keys[state] for state in FINAL}
        self._read(client)
        self.places: dict[bytes, list[str]] = {job_id: [] for job_id in self.jobs}

    def _read(self, client: redis.Redis) -> None:
        """All of it in three round trips: it is asked for after each test, and after each step of the model."""
        self.all_keys = sorted(client.scan_iter(self.keys.job.removesuffix(b"job:") + b"*", count=10_000))
        ids = [key.removeprefix(self.keys.job) for key in self.all_keys if key.startswith(self.keys.job)]
        self.deferred_until = self.keys.deferred + b":until"
        zsets = [self.keys.scheduled, self.keys.deferred, self.deferred_until, self.keys.expiring]
        zsets += self.registries.values()
        zsets += (families := [key for key in self.all_keys if key.startswith(self.keys.children)])
        zsets += [registry + end for registry in self.registries.values() for end in (b":until", b":usual")]
        lanes = [self.keys[name] for name in LANES]

        pipeline = client.pipeline(transaction=True)
        pipeline.time()
        for key in self.all_keys:
            pipeline.pexpiretime(key)
        for job_id in ids:
            pipeline.hgetall(self.keys.job + job_id)
        for key in zsets:
            pipeline.zrange(key, 0, -1, withscores=True)
        for lane in lanes:
            pipeline.xrange(lane)
        for lane in lanes:
            pipeline.xpending_range(lane, "workers", "-", "+", 100_000)
        pipeline.llen(self.keys.wake)
        pipeline.zrange(self.keys.fingerprints, 0, -1, withscores=True)
        alike = [key for key in self.all_keys if key.startswith(self.keys.alike)]
        tagged = [key for key in self.all_keys if key.startswith(self.keys.tag)]
        for key in [*alike, *tagged]:
            pipeline.zrange(key, 0, -1, withscores=True)
        replies = iter(pipeline.execute(raise_on_error=False))

        seconds, micros = next(replies)
        self.now = seconds * 1000 + micros // 1000 + self.moved
        self.goes_at = {
            key: goes_at + self.moved * (goes_at > 0) for key in self.all_keys for goes_at in (next(replies),)
        }
        self.jobs = {job_id: found for job_id in ids if (found := next(replies))}
        self.zsets: dict[bytes, dict[bytes, float]] = {key: dict(next(replies)) for key in zsets}
        self.children = {key.removeprefix(self.keys.children): self.zsets[key] for key in families}
        self.lanes = {lane: next(replies) for lane in lanes}
        self.held = {}
        for lane in lanes:
            rows = next(replies)
            self.held[lane] = (
                {} if isinstance(rows, Exception) else {row["message_id"]: row["consumer"] for row in rows}
            )
        self.tokens = next(replies)
        self.fingerprints = dict(next(replies))
        self.alike = {key.removeprefix(self.keys.alike): dict(next(replies)) for key in alike}
        self.tagged = {key.removeprefix(self.keys.tag): dict(next(replies)) for key in tagged}

    def run(self) -> Iterator[str]:
        yield from self._in_lanes()
        yield from self._scheduled()
        yield from self._deferred()
        yield from self._deadlines()
        yield from self._ended()
        yield from self._fingerprints()
        yield from self._tags()
        yield from self._hashes()
        yield from self._other_keys()

    def _place(self, job_id: bytes, state: str) -> Iterator[str]:
        if job_id not in self.jobs:
            yield f"{job_id!r} stands in {state} and has no hash"
        else:
            self.places[job_id].append(state)

    def _in_lanes(self) -> Iterator[str]:
        for name in LANES:
            lane, mark = self.keys[name], b"" if name == "main" else name.encode() + b"/"
            held = self.held[lane]

            for entry in set(held) - {entry for entry, _ in self.lanes[lane]}:
                yield f"{entry!r} is pending and not in {lane!r}"

            for entry, values in self.lanes[lane]:
                job_id = values[b"id"]
                known = self.jobs.get(job_id)

                if known is None or known.get(b"entry") != mark + entry:
                    if not self.ghosts:
                        yield f"{mark + entry!r} is an entry of {job_id!r}, which knows nothing of it: {known}"
                elif entry in held:
                    yield from self._place(job_id, "started")

                    if known.get(b"worker") != held[entry]:
                        yield f"{job_id!r} is held by {held[entry]!r} and says {known.get(b'worker')!r}"
                else:
                    yield from self._place(job_id, "queued")

    def _scheduled(self) -> Iterator[str]:
        for job_id, due in self.zsets[self.keys.scheduled].items():
            yield from self._place(job_id, "scheduled")

            if job_id in self.jobs and self.jobs[job_id].get(b"due_at") != b"%d" % due:
                yield f"{job_id!r} is due at {due}, and says {self.jobs[job_id]}"

    def _deferred(self) -> Iterator[str]:
        for job_id in self.zsets[self.keys.deferred]:
            yield from self._place(job_id, "deferred")

            parents = self.jobs[job_id].get(b"parents", b"") if job_id in self.jobs else b""
            is_sole = re.fullmatch(rb"[a-z][^,@]+", parents, re.IGNORECASE) is not None

            if is_sole == (self.keys.open + job_id in self.all_keys):
                yield f"{job_id!r} is deferred, depends on {parents!r}, and its list of what is open is wrong"

        expected = {
            job_id: float(known[b"expires_at"])
            for job_id, known in self.jobs.items()
            if known.get(b"status") == b"deferred" and b"expires_at" in known
        }

        if (rows := self.zsets[self.deferred_until]) != expected:
            yield f"deadlines of deferred jobs are {rows}; expected {expected}"

        if rows and self.keys.lanes not in self.all_keys:
            yield "no claim looks at the deadlines of deferred jobs"

    def _deadlines(self) -> Iterator[str]:
        rows = self.zsets[self.keys.expiring]
        expected = {
            job_id + b" " + known[b"entry"]: float(known[b"expires_at"])
            for job_id, known in self.jobs.items()
            if known.get(b"status") == b"queued" and b"expires_at" in known
        }

        if not self.ghosts and rows != expected:
            yield f"deadlines are {rows}; expected {expected}"

    def _ended(self) -> Iterator[str]:
        for state, registry in self.registries.items():
            members, until = self.zsets[registry], self.zsets[registry + b":until"]
            usual = self.zsets[registry + b":usual"]

            if both := set(members) & set(usual):
                yield f"{both} stand in both indexes of {state}"

            for job_id in set(until) - set(members):
                yield f"{job_id!r} stands in the companion of {state} alone"

            for job_id, ended_at in members.items():
                known = self.jobs.get(job_id, {})

                if known.get(b"status") != state.encode() and until.get(job_id, self.now + 1) <= self.now:
                    continue  # past its retention, and not swept yet; another job may have its id by now

                yield from self._place(job_id, state)

                if known.get(b"ended_at") != b"%d" % ended_at:
                    yield f"{job_id!r} ended at {ended_at} by its registry, and says {known}"

                if known and self._goes_at(self.keys.job + job_id) != self._kept(job_id, until.get(job_id, -1)):
                    yield f"{job_id!r} goes at another time than its registry says: {until.get(job_id, -1)}"

            if members:
                yield from self._life(registry, members, until)

            yield from self._usual(state, registry + b":usual", usual)

    def _fingerprints(self) -> Iterator[str]:
        until = self.zsets[self.keys["failed"] + b":until"]
        usual = self.zsets[self.keys["failed"] + b":usual"]
        listed = dict.fromkeys(self.zsets[self.keys["failed"]], float("inf")) | until
        listed |= {job_id: int(ended_at) + USUAL["failed"] for job_id, ended_at in usual.items()}
        listed = {each: goes for each, goes in listed.items() if goes > self.now}
        found = {job_id: goes for jobs in self.alike.values() for job_id, goes in jobs.items() if goes > self.now}

        if not self.ghosts and found != listed:
            yield f"under fingerprints stand {found}; expected {listed}"

        for name, jobs in self.alike.items():
            for job_id, goes in jobs.items():
                if goes > self.now and self.jobs.get(job_id, {}).get(b"fingerprint", name) != name:
                    yield f"{job_id!r} stands under {name!r}, and says {self.jobs[job_id]}"

        if set(self.fingerprints) - {
            each.removeprefix(self.keys.fingerprint)
            for each in self.all_keys
            if each.startswith(self.keys.fingerprint)
        }:
            yield f"nothing is known of one of these fingerprints: {self.fingerprints}"

        for job_id, known in self.jobs.items():
            if (b"fingerprint" in known) != (known.get(b"status") == b"failed"):
                yield f"{job_id!r} has a fingerprint, or none, and should not: {known}"

    def _tags(self) -> Iterator[str]:
        found = {
            (name, each) for name, jobs in self.tagged.items() for each, goes in jobs.items() if goes > self.now
        }
        expected = {
            (name, each)
            for each, known in self.jobs.items()
            for name in known.get(b"tags", b"").split(b",")
            if name
        }

        if not self.ghosts and found != expected:
            yield f"tags list {found}; expected {expected}"

        for name, jobs in self.tagged.items():
            for each, goes in jobs.items():
                status = self.jobs.get(each, {}).get(b"status", b"?").decode()

                if (status in FINAL and goes > self.now and goes == float("inf")) != (
                    status in FINAL and self._goes_at(self.keys.job + each) == -1
                ):
                    yield f"{each!r} is {status}, and goes at {goes} by its tag {name!r}"

    def _usual(self, state: str, key: bytes, members: dict[bytes, float]) -> Iterator[str]:
        for job_id, ended_at in members.items():
            known, forgotten_at = self.jobs.get(job_id, {}), int(ended_at) + USUAL[state]

            if known.get(b"status") != state.encode() and forgotten_at <= self.now:
                continue  # as above

            yield from self._place(job_id, state)

            if known.get(b"ended_at") != b"%d" % ended_at:
                yield f"{job_id!r} ended at {ended_at} by its registry, and says {known}"

            if known and self._goes_at(self.keys.job + job_id) != self._kept(job_id, forgotten_at):
                yield f"{job_id!r} goes at another time than is usual: {forgotten_at}"

        goes_at = self._goes_at(key)

        if members and goes_at is not None and goes_at < int(max(members.values())) + USUAL[state]:
            yield f"{key!r} goes at {goes_at}, before its last member"

    def _life(self, registry: bytes, members: dict[bytes, float], until: dict[bytes, float]) -> Iterator[str]:
        for key in (registry, registry + b":until"):
            goes_at = self._goes_at(key)

            if goes_at is None:
                continue

            if set(members) - set(until):
                if goes_at != -1:
                    yield f"{key!r} holds a job for ever, and goes at {goes_at}"
            elif goes_at == -1:
                yield f"{key!r} holds no job for ever, and does not go"
            elif goes_at < max(until.values()):
                yield f"{key!r} goes at {goes_at}, before its last member"

    def _kept(self, job_id: bytes, until: int) -> int:
        """When a record is to go: one on which jobs depend goes with its registry's row."""
        is_among = any(members.get(job_id) == 1 for members in self.children.values())
        # Of one that has children its dependents need nothing but what these come to, unless they take its result.
        is_taken = b"wanted" in self.jobs[job_id].get(b"after", b"").split()
        is_waited_for = job_id not in self.children or is_taken

        return -1 if is_among or (is_waited_for and self.keys.dependents + job_id in self.all_keys) else until

    def _goes_at(self, key: bytes) -> int | None:
        """When a key goes (-1: never); None for one that is not there."""
        moment = self.goes_at.get(key, -2)

        return None if moment == -2 else moment

    def _hashes(self) -> Iterator[str]:
        for job_id, known in self.jobs.items():
            status = known.get(b"status", b"?").decode()
            goes_at = self._goes_at(self.keys.job + job_id)
            after = known.get(b"after", b"").split()

            # A callback that has done its work is in no list.
            if self.places[job_id] != ([status] if b"." not in job_id or status != "finished" else []):
                yield f"{job_id!r} is {status} and stands in {self.places[job_id]}"

            for name in _NUMBERS:
                if not known.get(name, b"0").isdigit():
                    yield f"{job_id!r}: {name!r} is {known[name]!r}"

            after = known.get(b"after", b"").split()
            has_sequels = any(not word.startswith(b"@") for word in after)

            if status in FINAL and (any(word.startswith(b"@") for word in after) or b"expires_at" in known):
                yield f"{job_id!r} is {status} and has {known}"

            if status not in FINAL and b"ended_at" in known:
                yield f"{job_id!r} is {status} and has ended"

            if status == "queued" and {b"worker", b"started_at"} & set(known):
                yield f"{job_id!r} is queued and has a run: {known}"

            has_dependents = b"deps" in after

            goes = status == "queued" and b"expires_at" in known and not has_sequels

            if status not in FINAL and (goes_at != -1) != goes:
                yield f"{job_id!r} is {status} and goes at {goes_at}: {known}"

            if not has_dependents and self._goes_at(self.keys.attempts + job_id) not in (None, goes_at):
                yield f"the history of {job_id!r} goes at another time than its job"

    def _children(self, parent: bytes) -> Iterator[str]:
        for member, stands in self.children[parent].items():
            known = self.jobs.get(member)
            status = known and known[b"status"].decode()

            if status == "finished" or stands != (2 if status is None else 1 if status in FINAL else 0):
                yield f"{member!r} stands among the children of {parent!r} as {stands}, and is {status}"

            if member != parent and known and b"child=" + parent not in known.get(b"after", b"").split():
                yield f"{member!r} is a child of {parent!r}, and says {known}"

    def _of_dependents(self) -> tuple[bytes, ...]:
        return (self.keys.open, self.keys.ended_by)

    def _of_groups(self) -> tuple[bytes, ...]:
        return (self.keys.group, self.keys.members, self.keys.over, self.keys.sequel)

    def _other_keys(self) -> Iterator[str]:
        known = {*self.keys.by_name().values(), self.deferred_until}
        known |= {registry + end for registry in self.registries.values() for end in (b":until", b":usual")}

        for key in self.all_keys:
            if key.startswith(self.keys.attempts):
                if key.removeprefix(self.keys.attempts) not in self.jobs:
                    yield f"{key!r} is the history of no job"
            elif key.startswith((self.keys.fingerprint, self.keys.alike)):
                if key.split(b":")[-1] not in self.fingerprints:
                    yield f"{key!r} is of no fingerprint"
            elif key.startswith(self.keys.tag):
                if self.keys.tags not in self.all_keys:
                    yield f"{key!r} is of no tag"
            elif parts := [each for each in self._of_dependents() if key.startswith(each)]:
                if key.removeprefix(parts[0]).split(b"/")[0] not in self.jobs:
                    yield f"{key!r} is of no job"
            elif key.startswith(self.keys.dependents):
                job_id = key.removeprefix(self.keys.dependents)

                if job_id not in self.jobs and self.keys.children + job_id not in self.all_keys:
                    yield f"{key!r} is of no job"
            elif key.startswith(self.keys.children):
                yield from self._children(key.removeprefix(self.keys.children))
            elif parts := [each for each in self._of_groups() if key.startswith(each)]:
                name = key.removeprefix(parts[0]).split(b"/")[0]

                if self.keys.group + name not in self.all_keys:
                    yield f"{key!r} is of no group"
            elif key.startswith((self.keys.gone, self.keys.done)):
                goes_at = self._goes_at(key)

                if goes_at is not None and not self.now < goes_at <= self.now + LONGEST_REPEAT_MS:
                    yield f"{key!r} goes at {goes_at}"
            elif key.startswith((self.keys.minutes, self.keys.hours, self.keys.tallied)):
                goes_at = self._goes_at(key)

                if goes_at is not None and not self.now < goes_at <= self.now + 32 * DAY_MS:
                    yield f"{key!r} goes at {goes_at}"
            elif not key.startswith(self.keys.job) and key not in known:
                yield f"{key!r} is no key of a queue"

        if self.tokens > 1:
            yield "there is more than one token"

        for key in (self.keys.wake, self.keys.leases):
            if self._goes_at(key) == -1:
                yield f"{key!r} does not end"
