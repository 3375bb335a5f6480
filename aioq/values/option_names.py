"""The names of options, told from arguments of a function: those of RQ that aioq lacks, and misspelled ones."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from typing import Any

from aioq.values.errors import InvalidInput

#: Options of RQ, or of others, that aioq has under another name.
_RENAMED = {"timeout": "job_timeout", "enqueue_at_front": "at_front"}

#: Options that aioq does not have, and what comes nearest to each.
_MISSING = {
    "group_id": "`queue.enqueue_group(…)` makes a group",
    "limits": "the `concurrency` of a queue's only worker limits how many of its jobs run at the same time",
    "pipeline": "`enqueue_many` sends many jobs in few round trips",
    "priority": "`at_front=True` lets a job go first",
    "rate_limit": "the `concurrency` of a queue's only worker limits how many of its jobs run at the same time",
    "tenant": "each tenant can have a queue of its own",
    "unique": "`job_id` refuses a second job with the same id until the first has ended",
}

#: Names that other queues have for what aioq has. A function may well have parameters of these names.
_MEANT = {
    "countdown": "`enqueue_in` takes a delay",
    "delay": "`enqueue_in` takes a delay",
    "eta": "`enqueue_at` takes a moment, and `enqueue_in` a delay",
    "max_retries": "its name is retry",
    "retries": "its name is retry",
}

#: Names that no form of enqueue takes for arguments of a function.
RESERVED = frozenset(_RENAMED) | frozenset(_MISSING)

#: Shorter options are not looked for in misspelled names: too many words are like them (`eta` is like `meta`).
_SHORTEST = 5


@lru_cache(maxsize=4096)
def suspects(names: tuple[str, ...], known: frozenset[str]) -> tuple[str, ...]:
    """The keyword arguments that may have been meant as options.

    Args:
        names: the keyword arguments.
        known: the options that there are.

    """
    return tuple(name for name in names if name in RESERVED or name in known or _misspelled(name, known))


def refuse_options(
    names: Iterable[str],
    kwargs: dict[str, Any],
    signature: inspect.Signature | None,
    known: frozenset[str],
    *,
    apart: bool = False,
) -> None:
    """Refuse keyword arguments of a function that were meant as options; drop those that ask for nothing.

    Args:
        names: the suspects among the arguments.
        kwargs: all keyword arguments; names of options with None or False are taken out.
        signature: what the function takes; None if that is not known here.
        known: the options that there are.
        apart: the form of the call takes its options elsewhere, so parameters of the function may have such names.

    Raises:
        InvalidInput: it names the argument, and what to do.

    """
    for name in names:
        is_parameter = (
            signature is not None and name in signature.parameters and not _is_collector(signature, name)
        )

        if name not in RESERVED and name not in known:
            if not is_parameter and (signature is None or _collects(signature)):
                raise InvalidInput(f"{unknown_option(name, known)} {_as_argument(name, apart=apart)}")

            continue  # it is the function's own, or the call does not fit the function

        if apart and is_parameter:
            continue

        if not is_parameter and (kwargs[name] is None or kwargs[name] is False):
            del kwargs[name]
            continue

        told = (
            f"{name} is an option; `using({name}=…)` takes it." if name in known else unknown_option(name, known)
        )

        raise InvalidInput(f"{told} {_as_argument(name, apart=apart)}")


def unknown_option(name: str, known: Iterable[str]) -> str:
    """A text that says that aioq lacks an option, and which one was meant if that can be guessed."""
    if name in _RENAMED:
        return f"aioq has no option {name}; its name is {_RENAMED[name]}."

    if name in _MEANT:
        return f"aioq has no option {name}; {_MEANT[name]}."

    if name in _MISSING:
        return f"aioq has no option {name}; {_MISSING[name]}."

    if close := get_close_matches(name, sorted(known), 1, 0.7):
        return f"aioq has no option {name}; did you mean {close[0]}?"

    return f"aioq has no option {name}."


def asks_for_nothing(name: str, options: Mapping[str, Any]) -> bool:
    """Whether an option that aioq lacks is given as RQ's code passes it on where nobody has asked for it."""
    return name in RESERVED and (options[name] is None or options[name] is False)


def _as_argument(name: str, *, apart: bool) -> str:
    how = f"enqueue_call(…, kwargs={{{name!r}: …}})" if apart else f"kwargs={{{name!r}: …}}"

    return f"An argument of the function with this name goes by {how}"


def _collects(signature: inspect.Signature) -> bool:
    """Whether a function takes keyword arguments of any name."""
    return any(each.kind is each.VAR_KEYWORD for each in signature.parameters.values())


def _is_collector(signature: inspect.Signature, name: str) -> bool:
    """Whether a parameter cannot be given by its name: `*args`, `**kwargs`, or one before a `/`."""
    parameter = signature.parameters[name]

    return parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)


def _misspelled(name: str, known: Iterable[str]) -> bool:
    """Whether one letter was added, left out or swapped with its neighbour in the name of an option."""
    return any(len(option) >= _SHORTEST and _is_one_off(name, option) for option in known)


def _is_one_off(name: str, option: str) -> bool:
    if len(name) == len(option):
        differing = [at for at in range(len(name)) if name[at] != option[at]]

        return (
            len(differing) == 2
            and differing[1] == differing[0] + 1
            and name[differing[0]] == option[differing[1]]
            and name[differing[1]] == option[differing[0]]
        )

    longer, shorter = (name, option) if len(name) > len(option) else (option, name)

    return len(longer) == len(shorter) + 1 and any(
        longer[:at] + longer[at + 1 :] == shorter for at in range(len(longer))
    )
