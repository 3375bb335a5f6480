"""Fingerprint: what tells a failure from others, so that jobs which failed of one cause can be seen as one.

It is made of the function, the class of the exception, the place in the code where it was raised, and its message.
What changes from job to job or from machine to machine is left out: numbers, ids, addresses, quoted values,
folders and numbers of lines. `lua/lib/fingerprint.lua` makes that of a failure which a script finds: it has
neither place nor message.
"""

from __future__ import annotations

import hashlib
import re

#: Hexadecimal digits of a fingerprint. `lua/lib/fingerprint.lua` repeats the number.
LENGTH = 12

#: The name that stands for all failures beyond the most fingerprints that a queue keeps.
OTHER = "other"

#: How much of a message counts.
_MOST = 200

#: How much of a traceback is looked at, from its end. The last frames tell where an error was raised.
_TAIL = 8192

_FRAME = re.compile(r'^[ |]*File "([^"\n]+)", line \d+(?:, in ([^\n]+))?$', re.MULTILINE)
_LIBRARY = re.compile(r"^.*/(?:site-packages|dist-packages|python\d[\d.]*)/")
_QUOTED = re.compile(r"""(?<!\w)(?:'[^'\n]*'|"[^"\n]*")(?!\w)""")
_UUID = re.compile(r"\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.IGNORECASE)
_WORD = re.compile(r"[^\s,;=()\[\]{}<>\"']+")


def fingerprint(function: str, kind: str | None, message: str, text: str) -> str:
    """The fingerprint of a failure.

    Args:
        function: the dotted name of the job's function.
        kind: the dotted name of the exception's class; None if it is not known.
        message: the first line of its message.
        text: its traceback.

    Returns:
        12 hexadecimal digits.

    Example:
        >>> one = fingerprint("shop.pay", "TimeoutError", "no answer from 10.0.0.7:5432 after 3.1 s", "")
        >>> one == fingerprint("shop.pay", "TimeoutError", "no answer from 10.0.0.9:5432 after 4 s", "")
        True
        >>> one == fingerprint("shop.pay", "TimeoutError", "the card was refused", "")
        False

    """
    parts = f"{function}\n{kind or ''}\n{place_of(text)}\n{normalised(message)}"

    return hashlib.sha1(parts.encode(errors="backslashreplace"), usedforsecurity=False).hexdigest()[:LENGTH]


def normalised(message: str) -> str:
    """A message without what changes from job to job: quoted values, and words with a digit or an @ in them.

    Example:
        >>> normalised("user 4711 (bob@example.org) has no account 'gold' at 0x7f3a")
        'user * (*) has no account * at *'

    """
    short = _UUID.sub("*", _QUOTED.sub("*", message[: 4 * _MOST]))

    return _WORD.sub(lambda word: "*" if _changes(word[0]) else word[0], short)[:_MOST]


def place_of(text: str) -> str:
    r"""The place where an exception was raised: the last frame of the user's code, as file and function.

    Numbers of lines are left out, since each deploy moves them; and folders, since each machine has others.

    Example:
        >>> place_of('  File "/srv/app-17/shop/pay.py", line 12, in charge\n    raise TimeoutError')
        'shop/pay.py charge'

    """
    frames = _FRAME.findall(text[-_TAIL:])
    places = [(path.replace("\\", "/"), name) for path, name in frames]
    own = [place for place in places if not _LIBRARY.match(place[0])]
    path, name = next(reversed(own or places), ("", ""))

    return f"{_short(path)} {name}".strip()


def _short(path: str) -> str:
    found = _LIBRARY.match(path)

    return path[found.end() :] if found else "/".join(path.split("/")[-2:])


def _changes(word: str) -> bool:
    return "@" in word or any(each.isdigit() for each in word)
