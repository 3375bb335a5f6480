"""The distribution that this code is installed from, and the one that has the same module and command."""

from __future__ import annotations

import sys

#: The name for pip. It is not that of the module: on the package index, `aioq` is another project.
NAME = "aioq-streams"

#: The build reads it here (see pyproject.toml), so nobody needs the metadata to know it.
VERSION = "0.1.0"

#: As `aioq --version` and the first line of a worker have it.
NAME_AND_VERSION = f"{NAME} {VERSION}"

OTHER = "aioq"


def clash() -> str | None:
    """What is wrong and how to mend it, if the other project is installed beside this one; else None.

    It looks into the folders that Python imports from. That takes some milliseconds, so nothing asks on import.

    Example:
        >>> clash() is None
        True

    """
    from importlib.metadata import distributions  # noqa: PLC0415 - slow to import, and seldom asked

    # Python passes over entries that cannot be folders. `distributions` raises for them.
    folders = [entry for entry in sys.path if isinstance(entry, str) and "\0" not in entry]

    try:
        found = next(iter(distributions(name=OTHER, path=folders)), None)
    except Exception:  # noqa: BLE001 - finders of others: nobody fails because this could not be looked up
        return None

    if found is None:
        return None

    return (
        f"{found.locate_file('')} has the package {OTHER} of another project beside {NAME_AND_VERSION}."
        f" Both own the module `aioq` and the command `aioq`, and the one that was installed last has overwritten"
        f" the other. Run `pip uninstall {OTHER} {NAME}`, and install {NAME} again"
    )
