"""SignedFields: what is serialised in the fields of a job. It is sealed, opened and read here and nowhere else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

from aioq.values.callback import Followed, definitions_in, followed_by
from aioq.values.cause import ExceptionClasses, rebuild
from aioq.values.errors import BadSignature, DeserializationError, ResultNotKept, SerializationError
from aioq.values.failure import Failure, unpack_failure
from aioq.values.options import unpack_options
from aioq.values.result_of import Place, ResultOf, put_at
from aioq.values.serializer import TYPED, Serializer, loads, written_by
from aioq.values.signature import FIX, SIGNED, Signer, inner
from aioq.values.webhook import FIELD, SENDER, pack_webhooks, stored_webhooks

#: Fields of the hash that hold one meta value each begin with this.
META = b"meta."

Fields = dict[bytes, bytes]

_NO_OPTS: dict[str, Any] = {}
_NONE: dict[Place, ResultOf] = {}


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A stored value whose bytes cannot be turned back into a value here. They are kept as they are."""

    data: bytes
    reason: str


class SignedFields:
    """The stored fields of a job, and the values in them. If the queue signs, no value is read that is not signed.

    Args:
        job_id: the job.
        fields: what is stored of it.
        signer: of the queue, if what it stores is signed; then nothing else is read.

    """

    __slots__ = ("_call", "_damage", "_opts", "fields", "id", "signer")

    id: str
    fields: Fields
    signer: Signer | None

    def __init__(self, job_id: str, fields: Fields, signer: Signer | None = None) -> None:
        self.id = job_id
        self.fields = fields
        self.signer = signer
        self._call: bytes | None = None
        self._opts: dict[str, Any] | None = None
        self._damage = ""

    def seal(self, field: bytes, data: bytes) -> bytes:
        """The bytes as they are stored in a field: signed, if the queue signs."""
        return data if self.signer is None else self.signer.sign(self._subject(field), data)

    def sealed(self) -> Self:
        """The record, which was made just now, with its serialised values as they are stored."""
        # A call without arguments is signed, too: else anybody could have any function called.
        fields = self.fields | {b"data": self.seal(b"data", self.fields.get(b"data", b""))}
        fields |= {name: self.seal(name, value) for name, value in self.meta_fields().items()}

        if len(fields) > 2:  # more than function and arguments
            fields |= self._sealed_callbacks()

        return type(self)(self.id, fields, self.signer)

    def opened(self) -> Self:
        """The record without signatures, for readers without the secret. Unsigned meta stays unreadable.

        Raises:
            BadSignature: the queue signs, and the call is not signed for this job.

        """
        if self.signer is None:
            return self

        fields = self.fields | {b"data": self._verified_call()}

        for name in self.meta_fields():
            try:
                fields[name] = self._open(name, "the value")
            except BadSignature:
                fields[name] = SIGNED

        return type(self)(self.id, fields)

    def verify(self) -> None:
        """Refuse a call that is not signed, before anything of it is read.

        Raises:
            BadSignature: the queue signs, and this call is not signed for this job.

        """
        self._verified_call()

    @property
    def serializer(self) -> Serializer:
        """The serializer of the arguments; the result and meta use the same."""
        data = self.fields.get(b"data", b"")

        return written_by(inner(data) if data[:1] == SIGNED else data)

    @property
    def func_name(self) -> str:
        return self.fields.get(b"func", b"").decode(errors="replace")

    def call(self, *, plain: bool = False) -> tuple[object | None, tuple[Any, ...], dict[str, Any]]:
        """The instance that the function is bound to (or None), and its arguments. A result is a ResultOf here.

        Args:
            plain: those of a typed call as JSON has them; the function is not needed then.

        Raises:
            DeserializationError: they cannot be read here, or the options of the call cannot.

        """
        opts = self._unpack()

        if self._damage:
            raise DeserializationError(f"the job's options cannot be read: {self._damage}")

        results = {place: ResultOf(job_id) for place, job_id in opts["results"]} if "results" in opts else _NONE

        data = self.fields.get(b"data", b"") if self.signer is None else self._verified_call()

        if len(data) < 2:  # no arguments; the tag alone if the serializer is not the usual one
            written_by(data, "the call")
            return None, (), {}

        decode = None

        if data[:1] == TYPED.tag and not plain:
            from aioq.values.typed import call_reader  # noqa: PLC0415 - few programs need it

            decode = call_reader(self.func_name, results) if results else call_reader(self.func_name)

        value = loads(data, "the job's arguments", decode)

        if type(value) is tuple and len(value) == 3 and type(value[1]) is tuple and type(value[2]) is dict:
            # What pickle brings.
            return (value[0], *put_at(results, value[1], value[2])) if results else value

        if not isinstance(value, tuple | list) or len(value) != 3:
            raise DeserializationError("the job's arguments are not an instance, a tuple and a dict")

        instance, args, kwargs = value

        if not isinstance(args, tuple | list) or not isinstance(kwargs, dict):
            raise DeserializationError("the job's arguments are not an instance, a tuple and a dict")

        return (instance, *put_at(results, args, kwargs)) if results else (instance, tuple(args), kwargs)

    @property
    def meta(self) -> dict[str, Any]:
        """The meta values; one that cannot be read here is an Unreadable with its bytes."""
        return {
            name[len(META) :].decode(): self._read_meta(name, value) for name, value in self.meta_fields().items()
        }

    def meta_fields(self) -> Fields:
        """The meta values as they are stored; without those whose names are no text."""
        return {name: value for name, value in self.fields.items() if name.startswith(META) and _is_text(name)}

    def pack_meta(self, name: str, value: object) -> bytes:
        """A meta value as it is stored.

        Raises:
            SerializationError: it cannot be serialised.

        """
        if isinstance(value, Unreadable):
            return value.data

        return self.seal(META + name.encode(), self.serializer.dumps(value, f"meta value {name!r}"))

    def pack_result(self, value: object) -> bytes:
        """What the function has returned, as it is stored, but not signed.

        Raises:
            SerializationError: it cannot be serialised.

        """
        data = self.fields.get(b"data", b"")
        serializer = written_by(inner(data) if data[:1] == SIGNED else data)
        encode = None if serializer.result_packer is None else serializer.result_packer(self.func_name)

        return serializer.dumps(value, self._name_of_result, encode)

    def _name_of_result(self) -> str:
        return f"the result of {self.func_name}"

    def is_same_meta(self, field: bytes, packed: bytes) -> bool:
        """Whether a packed meta value is what is stored. The same value may be stored in other bytes."""
        stored = self.fields.get(field)

        if stored is None or packed == stored:
            return packed == stored

        try:
            value = loads(self._open(field, "a meta value"), "a meta value")

            return self.seal(field, self.serializer.dumps(value, "a meta value")) == packed
        except (DeserializationError, SerializationError):
            return False

    def result(self, *, plain: bool = False) -> Any:
        """What the function returned; None if the job has not finished.

        A state is not signed. So where the queue signs, only a signed result proves that the job has finished. A
        result that is not kept has no bytes, and these are signed, too.

        Args:
            plain: that of a typed function as JSON has it; the function is not needed then.

        Raises:
            ResultNotKept: the job has finished, and its result is not stored.
            DeserializationError: it cannot be read here; a BadSignature, if it is not signed and the queue signs.

        """
        if self.fields.get(b"status") != b"finished":
            return None

        data = self.fields.get(b"result")

        if self.signer is not None:
            if data is None:
                raise BadSignature(
                    f"job {self.id} is stored as finished and has no signed result, so nobody can tell whether it"
                    f" has run. Someone has changed what is stored, or a worker signs nothing. {FIX}"
                )

            data = self._open(b"result", f"the result of job {self.id}")

        if not data:
            raise ResultNotKept(
                f"job {self.id} has finished, and its result was not kept. With result_ttl=0 only those who wait"
                " when the job ends get it; give the job a result_ttl to ask later"
            )

        decode = None

        if data[:1] == TYPED.tag and not plain:
            from aioq.values.typed import result_reader  # noqa: PLC0415 - few programs need it

            decode = result_reader(self.func_name)

        return loads(data, "the job's result", decode)

    def has_signed_result(self) -> bool:
        """Whether the result is signed, if the queue signs."""
        try:
            self._open(b"result", "the result")
        except BadSignature:
            return False

        return True

    @property
    def failure(self) -> Failure | None:
        """What went wrong in the last run, if that failed."""
        packed = self.fields.get(b"error")

        return unpack_failure(packed.decode(errors="replace")) if packed else None

    def cause(self, classes: ExceptionClasses) -> BaseException | None:
        """The exception that the last run has raised, if it may be built here, and can be.

        Args:
            classes: those of which one is built. If the queue signs, only what is signed is believed.

        """
        failure = self.failure

        if failure is None or not failure.origin or not classes:
            return None

        if self.signer is None:
            return rebuild(failure.origin, classes)

        try:
            packed = self.signer.open(self._subject(b"error"), failure.origin, f"the error of job {self.id}")
        except BadSignature:
            return None

        return rebuild(packed, classes)

    @property
    def opts(self) -> dict[str, Any]:
        """The packed options; empty if all are default or the bytes are damaged."""
        return self._unpack()

    def _subject(self, field: bytes) -> tuple[bytes, bytes, bytes, bytes]:
        func, opts = self.fields.get(b"func", b""), self.fields.get(b"opts", b"")

        if "." in self.id and field == b"data" and (followed := followed_by(self.id)) is not None:
            return _called(followed.job_id, followed.signed_as, func, opts)

        return self.id.encode(), field, func, opts

    def _sealed_callbacks(self) -> Fields:
        """How callbacks are called, signed for this job and their kind. Scripts copy that into their records."""
        signer = self.signer

        if signer is None:
            return {}

        fields: Fields = {}

        for kind, each in definitions_in(self.fields).items():
            signed = signer.sign(_called(self.id, kind, each.func, each.opts), each.data)
            fields[kind.encode()] = each._replace(data=signed).pack()

        if FIELD in self.fields:
            fields[FIELD] = pack_webhooks(
                each._replace(data=signer.sign(_sent(self.id, number, each.opts), each.data))
                for number, each in enumerate(stored_webhooks(self.fields[FIELD]), 1)
            )

        return fields

    def _verified_call(self) -> bytes:
        if self._call is None:
            self._call = self._open(b"data", f"the call of job {self.id}")

        return self._call

    def _open(self, field: bytes, what: str) -> bytes:
        """The bytes of a field, once it is known that they may be read."""
        data = self.fields.get(field, b"")

        return data if self.signer is None else self.signer.open(self._subject(field), data, what)

    def _read_meta(self, name: bytes, value: bytes) -> Any:
        try:
            return loads(self._open(name, "the value"), "the value")
        except DeserializationError as error:
            return Unreadable(value, str(error))

    def _unpack(self) -> dict[str, Any]:
        if self._opts is None:
            packed = self.fields.get(b"opts")
            self._opts, self._damage = (_NO_OPTS, "") if packed is None else unpack_options(packed)

        return self._opts


def _called(job_id: str, kind: str, func: bytes, opts: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """What the call of a callback is signed for: the job that has it, and not the one that is made of it."""
    return job_id.encode(), kind.encode(), func, opts


def _sent(job_id: str, number: int, opts: bytes) -> tuple[bytes, bytes, bytes, bytes]:
    """The same for the webhook with this number."""
    return _called(job_id, Followed(job_id, "", number).signed_as, SENDER, opts)


def _is_text(name: bytes) -> bool:
    return name.decode(errors="replace").encode() == name
