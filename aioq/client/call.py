"""A call and its options, turned into what is stored. Whatever cannot be used is refused here."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from aioq.client.callbacks import described
from aioq.client.task import Task
from aioq.values.callback import KINDS
from aioq.values.errors import InvalidFunction, InvalidType, PayloadTooLarge, SerializationError
from aioq.values.ids import new_id
from aioq.values.option_names import refuse_options
from aioq.values.options import FIELDS, MAX_PAYLOAD, NO_OPTIONS, OPTION_NAMES, PACKED, PROCESS, WORDS, JobOptions
from aioq.values.record import JobRecord
from aioq.values.reference import PLAIN, kind_of, refer
from aioq.values.result_of import PLACE, Place, check_results, find_results, put_at, refuse_results
from aioq.values.serializer import JSON, PICKLE, TYPED, Serializer
from aioq.values.signature import Signer
from aioq.values.signed import META, Fields
from aioq.values.submission import NO_WORDS, Submission
from aioq.values.webhook import FIELD, pack_webhooks


@dataclass(slots=True)  # one is made for each job, and a frozen one or a tuple takes twice as long
class Call:
    """A function and its arguments as they are stored, and the options that hold for it.

    Args:
        name: the dotted name of the function.
        fields: what is stored of the job.
        options: those that were given, by the caller and by the task.
        serializer: for the arguments, meta values and the result.
        due: when the job is due: "" for now, "+ms" from now, or a moment in ms.
        job_id: the id that was made for the job before; "" for a new one.
        size: of the values in fields, in bytes, once the call is complete.
        group: the job's place in a group, "<name>/<number>"; "": it is no member.
        child: the run that it is a child of, "<id>/<fence>"; "": it is none.

    """

    name: str
    fields: Fields
    options: JobOptions
    serializer: Serializer
    due: str = ""
    job_id: str = ""
    size: int = 0
    group: str = ""
    child: str = ""


def arguments(args: object, kwargs: object) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """What a caller has passed as args= and kwargs=. None stands for nothing.

    Raises:
        InvalidType: it is not a sequence and a mapping with texts as keys.

    """
    if type(args) is tuple and not kwargs:  # most calls; the questions below cost as much as all else here
        return args, {}

    args = () if args is None else args
    kwargs = {} if kwargs is None else kwargs

    if not isinstance(args, Sequence) or isinstance(args, str | bytes | bytearray):
        raise InvalidType(f"args: expected a tuple or a list, not {type(args).__name__}")

    if not isinstance(kwargs, Mapping):
        raise InvalidType(f"kwargs: expected a dict, not {type(kwargs).__name__}")

    for name in kwargs:
        if not isinstance(name, str):
            raise InvalidType(f"kwargs: expected texts as keys, not {name!r}")

    return tuple(args), dict(kwargs)


def refuse_meant_options(func: Any, names: Iterable[str], kwargs: dict[str, Any], *, apart: bool = False) -> None:
    """Refuse arguments that were meant as options: else a function that takes any name would get them in silence.

    Args:
        func: as for `describe`.
        names: those of the arguments that may have been meant so.
        kwargs: its keyword arguments; options of RQ that ask for nothing are taken out.
        apart: the form of the call takes its options elsewhere.

    Raises:
        InvalidInput: it names the argument.

    """
    reference, _ = refer(func.function if isinstance(func, Task) else func)
    refuse_options(names, kwargs, reference.signature, OPTION_NAMES, apart=apart)


def describe(
    func: Any, args: tuple[Any, ...], kwargs: dict[str, Any], options: JobOptions, serializer: Serializer = PICKLE
) -> Call:
    """Check and serialise a call.

    Args:
        func: a function, bound method, callable instance, task or dotted name.
        args: what it is called with, by position.
        kwargs: what it is called with, by name.
        options: checked options.
        serializer: for the arguments, meta values and the result.

    Raises:
        InvalidInput: what cannot be used, and why.

    """
    if isinstance(func, Task):
        options = options.over(func.options)
        func = func.function

    reference, instance = refer(func)
    reference.check(args, kwargs)

    # Only the worker knows what a dotted name stands for.
    if options.executor == PROCESS and not isinstance(func, str) and kind_of(func) != PLAIN:
        raise InvalidFunction(
            f'executor="process" is for plain functions, and {reference.name} is awaited. Leave the option away:'
            " it runs on the worker's event loop. Or make it a plain function"
        )

    fields: Fields = {b"func": reference.name.encode()}

    if args or kwargs or instance is not None or (serializer is not PICKLE and serializer is not JSON):
        pack = None if serializer.call_packer is None else serializer.call_packer(func, reference.name, instance)

        try:
            if serializer.own is not None:
                refuse_results(args, kwargs)

            fields[b"data"] = serializer.dumps((instance, args, kwargs), f"an argument of {reference.name}", pack)
        except SerializationError:
            # No serializer takes a ResultOf. So calls without any are not searched for them.
            if not (results := find_results(args, kwargs)):
                raise

            options = _taking(results, options)
            args, kwargs = put_at(dict.fromkeys((at for at, _ in results), _place(func, serializer)), args, kwargs)
            fields[b"data"] = serializer.dumps((instance, args, kwargs), f"an argument of {reference.name}", pack)
            fields[b"opts"] = options.packed()
    elif serializer is JSON:
        fields[b"data"] = JSON.tag

    return Call(reference.name, fields, options, serializer)


def _taking(results: list[tuple[Place, str]], options: JobOptions) -> JobOptions:
    """The options of a job that takes results. Raises InvalidInput: it does not depend on one of those jobs."""
    edges = options.edges
    check_results(results, () if edges is None else {each.job_id for each in edges.edges})

    return JobOptions(results=results).over(options)


def _place(func: Any, serializer: Serializer) -> object:
    """What stands for a result among the arguments: None is of no type of a typed function."""
    return PLACE if serializer is TYPED and not isinstance(func, str) else None


def complete(call: Call, defaults: JobOptions = NO_OPTIONS, max_payload: int = MAX_PAYLOAD) -> Call:
    """The call with everything that is stored of its options. After this, nothing of it is refused here.

    Args:
        call: as `describe` made it.
        defaults: the options of the queue, for those that were not given.
        max_payload: the most bytes that arguments, meta and options may have together.

    Raises:
        InvalidInput: what cannot be used, and why.

    """
    options = call.options if defaults is NO_OPTIONS else call.options.over(defaults)

    if options is not call.options or not _STORED.isdisjoint(vars(options)):
        fields = call.fields | _stored(call, options)
        call = Call(call.name, fields, options, call.serializer, call.due, call.job_id, 0, call.group, call.child)

    call.size = sum(map(len, call.fields.values()))

    if call.size > max_payload:
        raise PayloadTooLarge(
            f"the arguments, meta and options of {call.name} have {call.size} bytes; the limit is {max_payload}."
            " Pass a reference to the data, or raise Queue(max_payload=…)"
        )

    return call


def submission_of(call: Call, signer: Signer | None = None) -> Submission:
    """The job that a complete call makes.

    Args:
        call: the call.
        signer: signs what is stored, if the queue signs.

    """
    options, due = call.options, call.due
    record = JobRecord(options.job_id or call.job_id or new_id(), call.fields, signer)

    if signer is not None:
        record = record.sealed()

    if options is NO_OPTIONS and not call.group and not call.child:
        return Submission(record, call.size, {"due": due} if due else NO_WORDS)

    words: dict[str, str | int] = {"due": due} if due else {}

    for field, given in vars(options).items():
        if (word := _WORD_OF.get(field)) and (value := given if word.write is None else word.write(given)):
            words[word.name] = _joined(words[word.name], value) if word.name in words else value

    if call.child:
        words["child"] = call.child

    if call.group and words:
        words["group"] = call.group
    elif call.group:  # a field like others: the group lists the job already
        record.fields[b"after"] = b"group=" + call.group.encode()

    return Submission(record, call.size, words, options.durability or "memory")


#: The options that `enqueue` is told of by a word.
_WORD_OF = dict(WORDS)

#: The options of which something is stored among the fields of the job.
_STORED = frozenset((*KINDS, "meta", "webhooks", *(field for field, _ in (*PACKED, *FIELDS))))


def _joined(known: object, value: object) -> str:
    """What several options tell by one word, each value once."""
    return ",".join(dict.fromkeys(f"{known},{value}".split(",")))


def _stored(call: Call, options: JobOptions) -> Fields:
    fields: Fields = {}
    given = vars(options)

    if options.meta:
        for name, value in options.meta.items():
            fields[META + name.encode()] = call.serializer.dumps(value, f"meta value {name!r}")

    if packed := options.packed():
        fields[b"opts"] = packed

    for kind in KINDS:
        if kind in given:
            fields[kind.encode()] = described(given[kind], kind, call.serializer).pack()

    if options.webhooks:
        fields[FIELD] = pack_webhooks(each.stored() for each in options.webhooks)

    for field, stored in FIELDS:
        if field in given:
            fields[stored.name] = b"%d" % given[field]

    return fields
