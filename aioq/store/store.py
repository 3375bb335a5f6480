"""Store: one queue as the server keeps it, by who uses it. One method is one script, and has the script's name."""

from __future__ import annotations

from aioq.store.audit import Audit
from aioq.store.calls import Calls
from aioq.store.changes import Changes
from aioq.store.connection import Connection
from aioq.store.duty import Duty
from aioq.store.failures import Failures
from aioq.store.groups import Groups
from aioq.store.keys import Keys
from aioq.store.lists import Lists
from aioq.store.outbox import Outbox
from aioq.store.producing import Producing
from aioq.store.reads import Reads
from aioq.store.searching import Searching
from aioq.store.statistics import Statistics
from aioq.values.cause import ExceptionClasses
from aioq.values.signature import Signer


class Store:
    """One queue on a server. It may be used in any number of event loops and threads at once.

    Args:
        connection: the server.
        queue: the queue's name.
        exceptions: the classes that whoever waits here for a result lets be built of an error; the server knows
            nothing of them.

    """

    def __init__(self, connection: Connection, queue: str, exceptions: ExceptionClasses | None = None) -> None:
        self.connection = connection
        self.queue = queue
        self.exceptions: ExceptionClasses = exceptions or {}
        #: The Queue that this belongs to, for handles on its jobs.
        self.opened_by: object | None = None
        self.calls: Calls = Calls(connection, queue)
        self.keys: Keys = self.calls.keys
        self.signer: Signer | None = self.calls.signer
        #: For whoever enqueues jobs, and waits for them.
        self.producing: Producing = Producing(self.calls)
        #: For whoever looks at who has done what.
        self.audit: Audit = Audit(self.calls)
        #: For whoever changes jobs, or the queue.
        self.changes: Changes = Changes(self.calls, self.audit, self.producing.forget)
        #: For whoever looks.
        self.reads: Reads = Reads(self.calls)
        #: For whoever looks at what jobs have failed of.
        self.failures: Failures = Failures(self.calls)
        #: For whoever looks for jobs.
        self.searching: Searching = Searching(self.calls, self.reads)
        #: For whoever shows pages of jobs.
        self.lists: Lists = Lists(self.calls)
        #: For what goes from queue to queue.
        self.outbox: Outbox = Outbox(self.calls)
        #: For whoever makes groups of jobs, and waits for them.
        self.groups: Groups = Groups(self.calls)
        #: For whoever counts what the queue does, and for whoever reads it.
        self.statistics: Statistics = Statistics(self.calls)
        #: For workers.
        self.duty: Duty = Duty(self.calls)
