"""ACL: the rule that a user of the server lacks, made of the server's refusal and the call that was refused.

Servers tell different parts of it. Redis up to 7.0 does not say which command of a script it was.
"""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from aioq.store.net.command import Command, keys_of
from aioq.store.net.library import name_of
from aioq.store.net.url import HIDDEN

_USER = re.compile(r"User (\S+) has no permissions")
_COMMAND = re.compile(r"run the '([^']+)' command")
_NAMED = re.compile(r"access the '(.+)' (key|channel)")
#: What servers say when a right is missing inside of a script.
IN_SCRIPT = ("ACL failure in script", "The user executing the script can't")


def remedy(text: str, url: str, command: Command = ()) -> str:
    """The rule to add, as a sentence that follows the refusal; "" if no rule would help.

    Args:
        text: the refusal.
        url: names the user, where the refusal does not.
        command: what was refused; () if that is not known.

    Example:
        >>> remedy("NOPERM User u has no permissions to run the 'sadd' command", "redis://u:p@h")
        '. ACL SETUSER u +sadd allows it; docs/security.md has all rules'

    """
    script = name_of(command)
    rules = _rules(text, command)
    caller = f" (for {script}.lua)" if script else ""

    if rules:
        found = _USER.search(text)
        user = found[1] if found else _user_of(url)

        return f". ACL SETUSER {user} {' '.join(rules)} allows it{caller}; docs/security.md has all rules"

    if any(each in text for each in IN_SCRIPT):
        return f". ACL LOG on the server names the command{caller}; docs/security.md has all rules"

    return ""


def _rules(text: str, command: Command) -> list[str]:
    if found := _COMMAND.search(text):
        return [f"+{found[1]}"]

    if found := _NAMED.search(text):
        name, kind = found.groups()

        return [f"&{_any_channel(name)}" if kind == "channel" else f"~{_any_key(name)}"]

    if re.search(r"access .*channel", text) and command:
        return sorted({f"&{_any_channel(_text(name))}" for name in command[1:]})

    if re.search(r"access .*key", text):
        return sorted({f"~{_any_key(_text(key))}" for key in keys_of(command)})

    return []


def _any_key(key: str) -> str:
    """A queue's keys together; the others each by itself."""
    base, tag, _ = key.partition("}:")

    return f"{base}{tag}*" if tag else key


def _any_channel(name: str) -> str:
    return f"{name.rpartition(':')[0]}:*"


def _user_of(url: str) -> str:
    parts = urlsplit(url)

    if not parts.scheme or parts.username == HIDDEN:
        return "<user>"

    return parts.username or "default"


def _text(value: object) -> str:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else str(value)
