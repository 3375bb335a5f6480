"""Every error that aioq raises, as one tree.

AioqError
├── InvalidInput (ValueError)            a value that was refused before anything was written
│   ├── InvalidType (TypeError)          it is of another type than what was expected
│   ├── TimeoutFormatError               a duration that cannot be read
│   ├── InvalidFunction                  a function that no worker could import, or wrong arguments for it
│   ├── SerializationError               an argument, meta value or result that cannot be serialised
│   └── PayloadTooLarge                  arguments, meta or a result over the limit
├── NoSuchJobError (LookupError)         = JobNotFound
├── DuplicateJobError                    the id belongs to a job that has not ended
├── InvalidJobOperation                  the job is in a state that does not allow the verb
├── DeserializationError                 a stored payload or result that cannot be read
│   └── BadSignature                     it is not signed with a secret that is known here, and was not read
├── ResultNotKept                        the job has finished, and what its function returned is not kept
├── WrongContext (RuntimeError)          a call that does not work where it was made
│   └── NoCurrentJob                     raised by current_job() outside of a job
├── NotAwaited                           a plain function has called what must be awaited, and dropped it
├── RetryRequested                       a function returned or raised a Retry (it stands in values/retrying.py)
├── FunctionNotAllowed                   the worker was told which functions it may run, and this is none of them
├── JobFailed                            raised by Job.result(): the job ended without a value
│   ├── JobCanceled
│   ├── JobStopped
│   └── JobExpired
├── ResultTimeout (TimeoutError)         Job.result() has waited for as long as it was to
├── JobTimeout                           = JobTimeoutException: the run took longer than its timeout
├── AbandonedJobError                    workers died while they ran the job, and the last one ran nothing else
├── JobProcessError                      the process that ran the job ended before the job did
├── WebhookFailed                        a webhook was not received
│   └── WebhookRefused                   it is not sent there, and is not tried again
├── RemoteError                          what a job raised in its process; the worker's own, nobody else sees it
├── WorkerError (RuntimeError)           raised by Worker.run(): the worker could not begin, or could not go on
├── NotDurable                           the job is in the queue, but not as safe as was asked for
└── ServerError                          the server's side
    ├── ServerUnreachable (ConnectionError)
    ├── ServerRefused                    a password, a permission or a setting forbids the call
    ├── ServerFull                       the server is at its memory limit, or its disk is full
    └── ServerUnsuitable                 too old, lacks what was asked for, or has a key of the wrong type
"""

from __future__ import annotations

from collections.abc import Sequence

#: The module that users import all errors from.
PUBLIC = "aioq.errors"


class AioqError(Exception):
    """The root of all errors that aioq raises."""

    def __init_subclass__(cls, **options: object) -> None:
        super().__init_subclass__(**options)

        if cls.__module__.startswith("aioq.values."):
            cls.__module__ = PUBLIC  # where users import it from: tracebacks, logs and what is stored name it so


AioqError.__module__ = PUBLIC


class InvalidInput(AioqError, ValueError):
    """A value was refused. Nothing was written."""


class InvalidType(InvalidInput, TypeError):
    """A value is of another type than what was expected. Nothing was written."""


class TimeoutFormatError(InvalidInput):
    """A duration is not a number of seconds, a timedelta or a text such as "1h30m"."""


class InvalidFunction(InvalidInput, TypeError):
    """The function cannot be run by a worker, or does not take these arguments."""


class SerializationError(InvalidInput):
    """A value cannot be serialised with the serializer in use."""


class PayloadTooLarge(InvalidInput):
    """The serialised arguments or meta are larger than the limit of the queue, or a result than servers take."""


class NoSuchJobError(AioqError, LookupError):
    """The queue has no job with this id: it never existed, was deleted, or its retention has passed."""


JobNotFound = NoSuchJobError


class DuplicateJobError(AioqError):
    """A job with this id exists and has not ended."""


class NoSuchGroupError(AioqError, LookupError):
    """The queue has no group of this name: it was not stored yet, was deleted, or its retention has passed."""


class NoSuchFailureError(AioqError, LookupError):
    """No failed job of the queue has this fingerprint (any more)."""


class DuplicateGroupError(AioqError):
    """The queue has another group of this name."""


class InvalidJobOperation(AioqError):
    """The job's present state does not allow what was asked."""


class DeserializationError(AioqError):
    """Stored bytes cannot be turned back into a value here.

    missing: the module that there is not, if a function was not found for that reason; else "".
    lacking: the module that has no such function, if it was not found for that reason; else "".
    """

    missing: str = ""
    lacking: str = ""


class BadSignature(DeserializationError):
    """Stored bytes are not signed with a secret that is known here. They were not read."""


class ResultNotKept(AioqError):
    """The job has finished, and what its function returned is not kept.

    With `result_ttl=0` only those who wait when the job ends get the value.
    """


class WrongContext(AioqError, RuntimeError):
    """The call does not work where it was made: outside of asyncio or of a job, or on the event loop."""


class NoCurrentJob(WrongContext):
    """No job runs here."""


class NotAwaited(AioqError):
    """A plain function has called methods of aioq that must be awaited, and dropped what they returned."""


class FunctionNotAllowed(AioqError):
    """The worker may not run the function: no pattern of `allow` covers it. Nothing of the job was loaded."""


class JobFailed(AioqError):
    """The job ended without a value. The first line of the text tells why; the remote traceback follows.

    Args:
        job_id: the job.
        text: the traceback of its last run, or how it ended.
        error_type: the dotted name of the class of what its last run raised: "httpx.HTTPStatusError"; a builtin
            one without its module: "ValueError"; of aioq: "aioq.errors.JobTimeout". None if no run has raised.
        error_message: the first line of its message.

    """

    #: How the job ended, and what goes before the error of its last run.
    _ended, _because = "failed", ": "

    def __init__(self, job_id: str, text: str, error_type: str | None = None, error_message: str = "") -> None:
        raised = ": ".join(part for part in (error_type, error_message) if part) if error_type else ""
        line = f"job {job_id} {self._ended}{self._because if raised else ''}{raised}"
        # Of a job that has raised nothing, the text says no more than the line does.
        super().__init__(line if not text or (not error_type and text == error_message) else f"{line}\n{text}")
        self.job_id = job_id
        self.exc_info = text
        self.error_type = error_type
        self.error_message = error_message

    def __reduce__(self) -> tuple[type[JobFailed], tuple[str, str, str | None, str]]:
        return type(self), (self.job_id, self.exc_info, self.error_type, self.error_message)


class JobCanceled(JobFailed):
    """The job was canceled before it ended. If a run has raised before that, the text tells that error, too."""

    _ended, _because = "was canceled", "; its last run raised "


class JobStopped(JobFailed):
    """The job was stopped while it ran."""

    _ended, _because = "was stopped while it ran", "; its last run raised "


class JobExpired(JobFailed):
    """The job waited in the queue for longer than its ttl and was never started."""

    _ended, _because = "expired: it waited longer than its ttl", "; its last run raised "


class ResultTimeout(AioqError, TimeoutError):
    """`Job.result()` has waited for as long as it was to. The job goes on, and can be waited for again."""


class JobTimeout(AioqError):
    """The run took longer than the job's timeout."""


JobTimeoutException = JobTimeout


class AbandonedJobError(AioqError):
    """Three workers or more were lost while they ran the job, and the last one ran nothing else.

    It is the `error_type` of such a job, whose `exc_info` names these workers, and of each run that lost its
    worker.
    """


class JobProcessError(AioqError):
    """The process that ran the job crashed or was killed, or none could be started. Its worker goes on."""


class WebhookFailed(AioqError):
    """A webhook was not received: its server could not be reached, or has not answered with 2xx."""


class WebhookRefused(WebhookFailed):
    """A webhook is not sent there, and not tried again: the address is private, or the receiver has said 410."""


class RemoteError(AioqError):
    """What a job raised in a process of its own, as far as the worker knows it. For the worker.

    Args:
        text: the traceback.
        kinds: the names of the classes that it belongs to, its own first.
        error_type, error_message: its summary.
        origin: what it is made of.
        members: the names of classes of each exception in it, if it is an ExceptionGroup.

    """

    def __init__(
        self,
        text: str,
        kinds: Sequence[str],
        error_type: str = "",
        error_message: str = "",
        origin: bytes = b"",
        members: Sequence[Sequence[str]] = (),
    ) -> None:
        super().__init__(text)
        self.text = text
        self.kinds: list[str] = list(kinds)
        self.members: list[list[str]] = [list(each) for each in members]
        self.error_type = error_type
        self.error_message = error_message
        self.origin = origin


class WorkerError(AioqError, RuntimeError):
    """A worker could not begin, because it runs already or a module cannot be imported; or it could not go on, and
    has ended in order: its jobs were given back.
    """


class NotDurable(AioqError):
    """Jobs are in the queue and will run, but were not as durable as was asked for when the time was over.

    Args:
        job_ids: the jobs. Do not enqueue them again: they may run at any moment.
        wanted: the durability that was asked for.
        seconds: how long it was waited for.

    """

    def __init__(self, job_ids: Sequence[str], wanted: str, seconds: float) -> None:
        ids = tuple(job_ids)
        more = f" and {len(ids) - 5} more" if len(ids) > 5 else ""
        super().__init__(
            f"job {', '.join(ids[:5])}{more} is in the queue, but was not known to be {wanted} within {seconds:g}"
            " s. It will run unless the server loses its memory, so do not enqueue it again. Look at the server's"
            " disk and replicas, or raise Queue(durability_timeout=…)"
        )
        self.job_ids = ids
        self.wanted = wanted
        self.seconds = seconds

    def __reduce__(self) -> tuple[type[NotDurable], tuple[tuple[str, ...], str, float]]:
        return type(self), (self.job_ids, self.wanted, self.seconds)


class ServerError(AioqError):
    """The server could not do what was asked."""


class ServerUnreachable(ServerError, ConnectionError):
    """No connection to the server, or the connection was lost during a call.

    silence: seconds without a moving byte before the attempt was given up.
    nobody_listens: there is no server at the address.
    advice: what the caller can do; it ends the text. "" if nothing is known.
    """

    silence: float = 0.0
    nobody_listens: bool = False
    advice: str = ""

    def __str__(self) -> str:
        return f"{super().__str__()}. {self.advice}" if self.advice else super().__str__()


class ServerRefused(ServerError):
    """The server refused the call: authentication, permission or configuration."""


class ServerFull(ServerError):
    """The server has no room: it is at its memory limit, or cannot write to its disk, and refuses new data."""


class ServerUnsuitable(ServerError):
    """The server is too old, lacks what was asked for, or a key that aioq needs holds something else."""
