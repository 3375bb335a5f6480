"""Command: what is sent to a server, and the keys that it names."""

from __future__ import annotations

Argument = bytes | str | int
Command = tuple[Argument, ...]

#: Commands that have no key.
KEYLESS = frozenset(
    ("ASKING", "CLUSTER", "CONFIG", "INFO", "PING", "SCRIPT", "SUBSCRIBE", "TIME", "WAIT", "WAITAOF")
)


def keys_of(command: Command) -> Command:
    """The keys that a command names; of SCAN, its pattern, which has the hash tag of the keys."""
    match command:
        case ("EVALSHA", _, count, *rest):
            return tuple(rest[: int(count)])
        case ("XINFO", _, key, *_):
            return (key,)
        case ("SCAN", _, "MATCH", pattern, *_):
            return (pattern,)
        case (name, *_) if name in KEYLESS:
            return ()

    return command[1:2]
