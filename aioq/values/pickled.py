"""What a pickle holds, as far as it can be told without importing or calling anything.

pickletools (https://docs.python.org/3/library/pickletools.html) splits the bytes into instructions. Here they are
followed on a stack of plain values. Where the pickle asks for a class or function, its name is noted; where it
asks for a call, the name of what would be called stands for the result. The number of instructions is bounded, so
what is built is no larger than what was read.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

#: Instructions that are followed. What comes later is left out.
MAX_STEPS = 1_000


@dataclass(slots=True, eq=False, repr=False)  # one that holds itself has no end
class Several:
    """A collection. Of a dict, items has the keys and the values in turn; is_whole: nothing was left out."""

    kind: type
    items: list[object] = field(default_factory=list)
    is_whole: bool = True


@dataclass(frozen=True, slots=True)
class Opaque:
    """What is no plain value: the name of its class, or of the function that would make it."""

    name: str


#: Functions of pickle itself that make an instance of the class which is their first argument.
_MAKERS = frozenset(("copyreg.__newobj__", "copyreg.__newobj_ex__", "copyreg._reconstructor"))


def look_into(data: bytes) -> Several:
    """What a pickle holds: the values on the stack at its end, as a tuple. Of a whole pickle that is one value.

    It is never raised that the bytes are damaged: what was found until then is given, and said not to be whole.

    Example:
        >>> look_into(pickle.dumps((None, 2))).items[0].items
        [None, 2]

    """
    machine = _Machine()

    try:
        is_whole = machine.follow(data)
    except Exception:  # noqa: BLE001 - whatever the bytes do to pickletools or to the stack, they are damaged
        is_whole = False

    if not is_whole:
        machine.close()

    return Several(tuple, machine.stack, is_whole)


class _Machine:
    """The stack, the places of marks on it, and the memo of a pickle."""

    def __init__(self) -> None:
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, object] = {}

    def follow(self, data: bytes) -> bool:
        """Follow the instructions; whether the end was reached."""
        import pickletools  # noqa: PLC0415 - it takes longer to import than most commands to run

        for step, (opcode, arg, _) in enumerate(pickletools.genops(data)):
            if opcode.name == "STOP":
                return len(self.stack) == 1

            if step == MAX_STEPS:
                return False

            _STEPS.get(opcode.name, _push_unknown)(self, arg)

        return False

    def close(self) -> None:
        """End the collections that have begun."""
        while self.marks:
            items = self.above_mark()

            if self.stack and isinstance(self.stack[-1], Several) and self.stack[-1].kind in (list, dict, set):
                self.stack[-1].items += items
                self.stack[-1].is_whole = False
            else:
                self.stack.append(Several(tuple, items, is_whole=False))

    def push(self, value: object) -> None:
        self.stack.append(value)

    def pop(self, number: int) -> list[object]:
        if len(self.stack) < number:
            raise ValueError("there is not so much on the stack")

        items = self.stack[-number:]
        del self.stack[-number:]

        return items

    def above_mark(self) -> list[object]:
        at = self.marks.pop()
        items = self.stack[at:]
        del self.stack[at:]

        return items

    def add(self, items: list[object]) -> None:
        """Add to the collection on top. What is added to an instance is left out."""
        if isinstance(self.stack[-1], Several):
            self.stack[-1].items += items

    def pop_one(self) -> None:
        if self.marks and self.marks[-1] == len(self.stack):
            self.marks.pop()
        else:
            self.pop(1)

    def mark(self) -> None:
        self.marks.append(len(self.stack))

    def memoize(self, at: int) -> None:
        self.memo[at] = self.stack[-1]


def _made(made_by: object, args: object = None, _kwargs: object = None) -> Opaque:
    """What a call would make."""
    if not isinstance(made_by, Opaque):
        return Opaque("object")

    if made_by.name in _MAKERS and isinstance(args, Several) and args.items and isinstance(args.items[0], Opaque):
        return args.items[0]

    return made_by


def _named(*parts: object) -> Opaque:
    if not all(isinstance(part, str) for part in parts):
        raise ValueError("a name is a text")

    return Opaque(".".join(map(str, parts)))


def _push_unknown(machine: _Machine, _: Any) -> None:
    """An extension, or a buffer that travels apart."""
    machine.push(Opaque("unknown"))


def _ignore(_machine: _Machine, _: Any) -> None:
    pass


_Step = Callable[[_Machine, Any], None]


def _pushing(constant: object) -> _Step:
    return lambda machine, _: machine.push(constant)


def _empty(kind: type) -> _Step:
    return lambda machine, _: machine.push(Several(kind))


def _from_mark(kind: type) -> _Step:
    return lambda machine, _: machine.push(Several(kind, machine.above_mark()))


def _tuple_of(number: int) -> _Step:
    return lambda machine, _: machine.push(Several(tuple, machine.pop(number)))


def _old_instance(machine: _Machine, arg: str) -> None:
    machine.above_mark()
    machine.push(_named(*arg.split(" ")))


def _persistent(machine: _Machine, _: Any) -> None:
    machine.pop(1)
    machine.push(Opaque("persistent"))


def _drop_to_mark(machine: _Machine, _: Any) -> None:
    machine.above_mark()


def _build(machine: _Machine, _: Any) -> None:
    """The state of an instance is left out."""
    machine.pop(1)


def _steps() -> dict[str, _Step]:
    """What each instruction does, by its name in pickletools."""
    values = (
        "INT LONG LONG1 LONG4 BININT BININT1 BININT2 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE"
        " BINUNICODE SHORT_BINUNICODE BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8"
    )
    steps: dict[str, _Step] = dict.fromkeys(values.split(), _Machine.push)
    steps |= dict.fromkeys(("PROTO", "FRAME", "READONLY_BUFFER"), _ignore)
    steps |= dict.fromkeys(
        ("APPENDS", "SETITEMS", "ADDITEMS"), lambda machine, _: machine.add(machine.above_mark())
    )
    steps |= dict.fromkeys(("GET", "BINGET", "LONG_BINGET"), lambda machine, at: machine.push(machine.memo[at]))
    steps |= dict.fromkeys(("PUT", "BINPUT", "LONG_BINPUT"), _Machine.memoize)
    steps |= dict.fromkeys(("REDUCE", "NEWOBJ"), lambda machine, _: machine.push(_made(*machine.pop(2))))

    steps |= {"NONE": _pushing(None), "NEWTRUE": _pushing(True), "NEWFALSE": _pushing(False)}
    steps |= {f"TUPLE{number}": _tuple_of(number) for number in (1, 2, 3)}
    kinds = {"LIST": list, "TUPLE": tuple, "DICT": dict, "SET": set, "FROZENSET": frozenset}
    steps |= {f"EMPTY_{name}": _empty(kind) for name, kind in kinds.items()}
    steps |= {name: _from_mark(kind) for name, kind in kinds.items()}

    return steps | {
        "APPEND": lambda machine, _: machine.add(machine.pop(1)),
        "SETITEM": lambda machine, _: machine.add(machine.pop(2)),
        "MARK": lambda machine, _: machine.mark(),
        "MEMOIZE": lambda machine, _: machine.memoize(len(machine.memo)),
        "DUP": lambda machine, _: machine.push(machine.stack[-1]),
        "POP": lambda machine, _: machine.pop_one(),
        "POP_MARK": _drop_to_mark,
        "GLOBAL": lambda machine, arg: machine.push(_named(*arg.split(" "))),
        "STACK_GLOBAL": lambda machine, _: machine.push(_named(*machine.pop(2))),
        "NEWOBJ_EX": lambda machine, _: machine.push(_made(*machine.pop(3))),
        "BUILD": _build,
        "OBJ": lambda machine, _: machine.push(_made(*machine.above_mark()[:1])),
        "INST": _old_instance,
        "PERSID": lambda machine, _: machine.push(Opaque("persistent")),
        "BINPERSID": _persistent,
    }


_STEPS = _steps()
