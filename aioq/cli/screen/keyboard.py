"""Keyboard: what a terminal sends, as the names of keys. It knows no terminal."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping

#: The names of keys by what terminals send for them.
_SEQUENCES: Mapping[str, str] = {
    "[A": "up",
    "[B": "down",
    "[C": "right",
    "[D": "left",
    "[H": "home",
    "[F": "end",
    "[Z": "backtab",
    "OA": "up",
    "OB": "down",
    "OC": "right",
    "OD": "left",
    "OH": "home",
    "OF": "end",
    "[1~": "home",
    "[4~": "end",
    "[5~": "pageup",
    "[6~": "pagedown",
    "[7~": "home",
    "[8~": "end",
}

_CONTROLS: Mapping[str, str] = {
    "\r": "enter",
    "\n": "enter",
    "\t": "tab",
    "\x7f": "backspace",
    "\b": "backspace",
    "\x10": "up",
    "\x0e": "down",
    "\x0c": "redraw",
}

#: What begins and ends a text that was pasted.
_PASTE, _PASTE_END = "\x1b[200~", "\x1b[201~"

#: A whole sequence; and one that may go on.
_WHOLE = re.compile(r"\x1b(\[[\d;?<]*[@-~]|O[@-~]|[^\[O\x1b])")
_BEGUN = re.compile(r"\x1b(\[[\d;?<]*|O)?\Z")

#: A text that was pasted is cut after so many characters.
LONGEST_PASTE = 1000


class Keyboard:
    """What has come from a terminal and is not a whole key yet."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._rest = ""
        self._pasted: str | None = None

    @property
    def is_waiting(self) -> bool:
        """Whether what has come may be the Escape key, or the beginning of the sequence of another key."""
        return bool(self._rest)

    def feed(self, data: bytes) -> list[str]:
        """The keys in what a terminal has sent: characters and names, and `paste:` with a text that was pasted.

        So a text that is pasted by mistake does nothing.
        """
        self._rest += self._decoder.decode(data)
        keys: list[str] = []

        while self._rest:
            if self._pasted is not None:
                if not self._go_on_pasting(keys):
                    break
            elif not self._rest.startswith("\x1b"):
                keys.append(_CONTROLS.get(self._rest[0], self._rest[0]))
                self._rest = self._rest[1:]
            elif (found := _WHOLE.match(self._rest)) is not None:
                self._rest = self._rest[found.end() :]

                if found[0] == _PASTE:
                    self._pasted = ""
                elif name := _SEQUENCES.get(found[1]):
                    keys.append(name)
            elif _BEGUN.match(self._rest):
                break
            else:
                keys.append("escape")
                self._rest = self._rest[1:]

        return [key for key in keys if len(key) > 1 or key.isprintable()]

    def flush(self) -> list[str]:
        """Nothing has followed in time: what waits was the Escape key."""
        if self._pasted is not None or not self._rest:
            return []

        self._rest = ""

        return ["escape"]

    def _go_on_pasting(self, keys: list[str]) -> bool:
        """Whether the end of the pasted text has come."""
        assert self._pasted is not None
        text, end, after = self._rest.partition(_PASTE_END)

        if end:
            keys.append("paste:" + (self._pasted + text)[:LONGEST_PASTE])
            self._pasted, self._rest = None, after

            return True

        kept = len(text) - (len(_PASTE_END) - 1)  # the rest may be the beginning of the end
        self._pasted = (self._pasted + text[: max(0, kept)])[:LONGEST_PASTE]
        self._rest = text[max(0, kept) :]

        return False
