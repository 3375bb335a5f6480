"""Report: what a command did with each job."""

from __future__ import annotations

import typer

from aioq.cli import output


class Report:
    """Reports the outcome for each id at once, or for all ids at the end as one JSON document.

    Args:
        queue: the queue of the jobs; None if they may be in different queues.
        done: what was done to the jobs that allowed it: "requeued".
        as_json: print a document at the end.
        quiet: print only what was refused.

    """

    def __init__(self, queue: str | None, done: str, *, as_json: bool = False, quiet: bool = False) -> None:
        self.queue = queue
        self.word = done
        self.done: list[str] = []
        self._queues: dict[str, str] = {}
        self.refused: dict[str, str] = {}
        self._dependents: dict[str, str] | None = None
        self._json = as_json
        self._quiet = quiet

    def say(self, text: str) -> None:
        """Text for people."""
        if not self._json and not self._quiet:
            output.say(text)

    def add(self, job_id: str, refusal: str | None = None, queue: str = "") -> None:
        """Report one job as done or refused. queue: where it was found, if the user named no queue."""
        if refusal is None:
            self.done.append(job_id)
            self._queues[job_id] = queue
            self.say(f"{job_id}: {self.word}")

            return

        self.refused[job_id] = refusal

        if not self._json:
            output.warn(f"{job_id}: {refusal}")

    def add_dependents(self, states: dict[str, str]) -> None:
        """Report the dependents of the jobs, each with the state that it has now."""
        self._dependents = (self._dependents or {}) | states

        for name, state in states.items():
            self.say(f"{name}: {state}")

    def end(self) -> None:
        """Print the document, if it was asked for. Exit with 1 if a job was refused."""
        if self._json:
            where = {"queues": self._queues} if self.queue is None else {"queue": self.queue}
            more = {} if self._dependents is None else {"dependents": self._dependents}
            output.say_json(where | {self.word: self.done, "refused": self.refused} | more)

        if self.refused:
            raise typer.Exit(1)
