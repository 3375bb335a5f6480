"""Every error that aioq raises, as one tree.

AioqError
├── InvalidInput (ValueError)            a value that was refused before anything was written
│   ├── TimeoutFormatError               a duration that cannot be read
│   ├── InvalidFunction                  a function that no worker could import, or wrong arguments for it
│   ├── SerializationError               an argument, meta value or result that cannot be serialised
│   └── PayloadTooLarge                  arguments or meta over the queue's limit
├── NoSuchJobError (LookupError)         = JobNotFound
├── DuplicateJobError                    the id belongs to a job that has not ended
├── InvalidJobOperation                  the job is in a state that does not allow the verb
├── DeserializationError                 a stored payload or result that cannot be read
│   └── BadSignature                     it is not signed with a secret that is known here, and was not read
├── FunctionNotAllowed                   the worker was told which functions it may run, and this is none of them
├── JobFailed                            raised by Job.result(): the job ended without a value
│   ├── JobCanceled
│   ├── JobStopped
│   └── JobExpired
├── JobTimeout                           = JobTimeoutException: the run took longer than its timeout
├── AbandonedJobError                    the job's workers died too often while they ran it
└── ServerError                          the server's side
    ├── ServerUnreachable (ConnectionError)
    ├── ServerRefused                    a password, a permission or a setting forbids the call
    ├── ServerFull                       the server is at its memory limit
    └── ServerUnsuitable                 too old, or a key of the wrong type is in the way
"""

from __future__ import annotations


class AioqError(Exception):
    """The root of all errors that aioq raises."""


class InvalidInput(AioqError, ValueError):
    """A value was refused. Nothing was written."""


class TimeoutFormatError(InvalidInput):
    """A duration is not a number of seconds, a timedelta or a text such as "1h30m"."""


class InvalidFunction(InvalidInput, TypeError):
    """The function cannot be run by a worker, or does not take these arguments."""


class SerializationError(InvalidInput):
    """A value cannot be serialised with the serializer in use."""


class PayloadTooLarge(InvalidInput):
    """The serialised arguments or meta are larger than the limit of the queue."""


class NoSuchJobError(AioqError, LookupError):
    """The queue has no job with this id: it never existed, was deleted, or its retention has passed."""


JobNotFound = NoSuchJobError


class DuplicateJobError(AioqError):
    """A job with this id exists and has not ended."""


class InvalidJobOperation(AioqError):
    """The job's present state does not allow what was asked."""


class DeserializationError(AioqError):
    """Stored bytes cannot be turned back into a value here."""


class BadSignature(DeserializationError):
    """Stored bytes are not signed with a secret that is known here. They were not read."""


class FunctionNotAllowed(AioqError):
    """The worker may not run the function: no pattern of `allow` covers it. Nothing of the job was loaded."""


class JobFailed(AioqError):
    """The job ended without a value. The text holds the remote traceback."""

    def __init__(self, job_id: str, text: str) -> None:
        super().__init__(f"job {job_id} failed:\n{text}")
        self.job_id = job_id
        self.exc_info = text

    def __reduce__(self) -> tuple[type[JobFailed], tuple[str, str]]:
        return type(self), (self.job_id, self.exc_info)


class JobCanceled(JobFailed):
    """The job was canceled before it ended."""


class JobStopped(JobFailed):
    """The job was stopped while it ran."""


class JobExpired(JobFailed):
    """The job waited in the queue for longer than its ttl and was never started."""


class JobTimeout(AioqError):
    """The run took longer than the job's timeout."""


JobTimeoutException = JobTimeout


class AbandonedJobError(AioqError):
    """The workers that ran the job were lost too often (see the poison limit)."""


class ServerError(AioqError):
    """The server could not do what was asked."""


class ServerUnreachable(ServerError, ConnectionError):
    """No connection to the server, or the connection was lost during a call."""


class ServerRefused(ServerError):
    """The server refused the call: authentication, permission or configuration."""


class ServerFull(ServerError):
    """The server is at its memory limit and refuses new data."""


class ServerUnsuitable(ServerError):
    """The server is too old, or a key that aioq needs holds something else."""
