"""Control: what a worker is told on its control channel.

A message is a word and what the word is about. There is one kind so far: the claim of a run is not valid any more.
Such a message is `<why> <key of the job> <fence>`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial

from aioq.worker.run import Cause, Run
from aioq.worker.slots import Slots

#: How many revoked claims are remembered whose replies are still on their way here.
REMEMBERED_CLAIMS = 1000


class Control:
    """Carries out what the worker is told.

    Args:
        slots: where the jobs run that a message may be about.

    """

    def __init__(self, slots: Slots) -> None:
        self._slots = slots
        self._revoked: dict[bytes, Cause] = {}
        #: What to do, by the first word of a message.
        self._messages: dict[bytes, Callable[[bytes], None]] = {
            b"canceled": partial(self._revoke, Cause.CANCELED),
            b"stopped": partial(self._revoke, Cause.STOPPED),
            b"deleted": partial(self._revoke, Cause.DELETED),
        }
        self._revoke_for_unknown = partial(self._revoke, Cause.LOST)

    def receive(self, message: bytes) -> None:
        """Carry out a message."""
        word, _, subject = message.partition(b" ")
        # A word that is not known comes from another version, and says why a claim is not valid any more.
        self._messages.get(word, self._revoke_for_unknown)(subject)

    def end_revoked(self, runs: Iterable[Run]) -> None:
        """End those of these runs that were revoked before the replies of their claims came."""
        if not self._revoked:
            return

        for run in runs:
            if (cause := self._revoked.pop(run.name, None)) is not None:
                self._slots.end(run, cause)

    def _revoke(self, cause: Cause, name: bytes) -> None:
        """End the run of this name. If there is none, the reply of its claim may still be on its way."""
        for run in self._slots.held:
            if run.name == name:
                self._slots.end(run, cause)

                return

        self._revoked[name] = cause

        if len(self._revoked) > REMEMBERED_CLAIMS:
            del self._revoked[next(iter(self._revoked))]
