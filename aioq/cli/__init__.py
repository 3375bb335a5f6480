"""Floor 4: the command line. Each module holds the commands of one kind; `output` alone knows how they look."""

from aioq.values.distribution import clash


def __getattr__(name: str) -> object:
    """Answer the command of the other package `aioq`, which imports `aioq.cli:cli`.

    If that package was installed over this one, its command finds this folder instead of its own module.
    """
    if name == "cli" and (problem := clash()) is not None:
        raise ImportError(problem)

    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
