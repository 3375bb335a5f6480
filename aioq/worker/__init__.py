"""Floor 3: the process that runs jobs. Small loops around the slots in which jobs run."""


def __getattr__(name: str) -> object:
    """`from aioq.worker import Worker`, as RQ's users write it. The package loads nothing without being asked."""
    if name != "Worker":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    from aioq.worker.worker import Worker  # noqa: PLC0415

    return Worker
