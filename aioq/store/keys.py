"""Every name of a key or a channel, spelled once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields

from aioq.values.states import KEPT_MS

PREFIX = "aioq"

#: A prefix that begins so is the namespace of a test, with a clock of its own; see time_travel.py. The scripts in
#: `travel/` repeat it.
TEST_PREFIX = "aioq-test:"

#: The lanes of a queue, in the order in which they are served: fields of Keys. `lua/lib/lanes.lua` repeats them.
LANES = ("alone", "suspects", "callbacks", "front", "main")

#: Those that are there only sometimes, as long as they have jobs.
RARE_LANES = frozenset(("alone", "suspects", "callbacks"))


@dataclass(frozen=True, slots=True)
class Keys:
    """The keys of one queue. They share one hash tag, so a Cluster keeps them on one shard.

    `job` and `attempts` are beginnings: an id follows, so there is never a key of just this name. A script that
    makes names of its own from what it declares declares one of them and another key. So a Cluster that is moving
    the slot key by key refuses it before it begins (TRYAGAIN), and never in its middle.

    `damaged` is a beginning, too: what follows is the end of a key that was moved there. So are `gone`, `open`,
    `dependents`, `ended_by` and `children`, which an id follows, and `done`, which the word of a call follows; and
    `group`, `members`, `over` and `sequel`, which the name of a group follows; `minutes` and `hours`, which the
    number of a page follows; and `tallied`, which the name of a worker follows, `fingerprint` and `alike`, which a
    fingerprint follows, and `tag`, which a tag follows. No caller passes these: scripts make them from `job`.

    The registry of a final state has the state's name. It has a companion `<registry>:until`, ordered by when its
    jobs are forgotten, and `<registry>:usual`, with those that have the usual retention.
    """

    main: bytes
    front: bytes
    suspects: bytes
    alone: bytes
    callbacks: bytes
    lanes: bytes
    wake: bytes
    scheduled: bytes
    deferred: bytes
    undecided: bytes
    outbox: bytes
    sources: bytes
    groups: bytes
    expiring: bytes
    leases: bytes
    sessions: bytes
    paused: bytes
    suspended: bytes
    format: bytes
    retry_budget: bytes
    departed: bytes
    audit: bytes
    job: bytes
    attempts: bytes
    damaged: bytes
    gone: bytes
    done: bytes
    open: bytes
    dependents: bytes
    ended_by: bytes
    children: bytes
    group: bytes
    members: bytes
    over: bytes
    sequel: bytes
    minutes: bytes
    hours: bytes
    tallied: bytes
    fingerprints: bytes
    fingerprint: bytes
    alike: bytes
    tags: bytes
    tag: bytes
    registries: Mapping[str, bytes]

    @classmethod
    def of(cls, queue: str, prefix: str = PREFIX) -> Keys:
        """The keys of the queue with this name."""
        base = f"{prefix}:{{{queue}}}"
        own = {name: f"{base}:{end_of(name)}".encode() for name in _OWN}

        return cls(**own, registries={str(state): f"{base}:{state}".encode() for state in KEPT_MS})

    def __getitem__(self, name: str) -> bytes:
        """The key of this name."""
        return self.registries.get(name) or getattr(self, name)

    def by_name(self) -> dict[str, bytes]:
        """All keys, by their names."""
        return {name: self[name] for name in (*_OWN, *self.registries)}


#: The names of the keys that are no registries.
_OWN = tuple(each.name for each in fields(Keys) if each.name != "registries")


_BEGINNINGS = frozenset(
    (
        *("job", "attempts", "damaged", "gone", "done", "open", "dependents", "ended_by", "children"),
        *("group", "members", "over", "sequel", "minutes", "hours", "tallied", "fingerprint", "alike", "tag"),
    )
)


def end_of(name: str) -> str:
    """What the key of this name has behind the prefix and the queue."""
    if name in LANES:
        return f"lane:{name}"

    return f"{name}:" if name in _BEGINNINGS else name


@dataclass(frozen=True, slots=True)
class SharedKeys:
    """The keys and channels that do not belong to one queue."""

    prefix: str = PREFIX

    @property
    def queues(self) -> str:
        """The set of the names of all queues."""
        return f"{self.prefix}:queues"

    @property
    def workers(self) -> str:
        """The set of the names of all workers."""
        return f"{self.prefix}:workers"

    @property
    def suspended(self) -> str:
        """Set while all workers are suspended."""
        return f"{self.prefix}:suspended"

    @property
    def clock(self) -> str:
        """By how many ms the clock of a test's namespace was moved on."""
        return f"{self.prefix}:clock"

    @property
    def control(self) -> str:
        """The beginning of the channel on which a worker is told to end a run; its name follows."""
        return f"{self.prefix}:control:"

    def worker(self, name: str) -> str:
        """The hash that describes a worker."""
        return f"{self.prefix}:worker:{name}"

    def waiter(self, name: str) -> str:
        """The channel on which a process hears of the jobs that it waits for."""
        return f"{self.prefix}:waiter:{name}"
