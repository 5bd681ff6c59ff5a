"""Messages of the link: the payload of every frame, one byte for its type and then its fields.

A field has a fixed length, or says its length; nothing in a message is code, and nothing is optional. Integers are
unsigned and in little endian, texts are UTF-8. Whatever does not fit is a `MessageError`: such a message is dropped.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import Field, dataclass, field, fields
from enum import IntEnum
from typing import Any, ClassVar, TypeVar

from axft_host.link.framing import MAX_PAYLOAD

__all__ = [
    "DIGEST_BYTES",
    "MAX_BODY",
    "Auth",
    "Blob",
    "BlobState",
    "Busy",
    "Bye",
    "Challenge",
    "Done",
    "Fetch",
    "Hello",
    "JobState",
    "Message",
    "MessageError",
    "Ping",
    "Refused",
    "State",
    "Submit",
    "Welcome",
    "decode",
]

DIGEST_BYTES = 32

#: Room that every message leaves in a frame for its body.
MAX_BODY = MAX_PAYLOAD - 128

#: How many ranges or digests a message lists at most.
_MAX_LISTED = 16
#: Longest text in bytes.
_MAX_TEXT = 2000

_Unpack = Callable[[bytes, int], tuple[Any, int]]


class MessageError(Exception):
    """A payload is no message."""


@dataclass(frozen=True, slots=True)
class _Codec:
    pack: Callable[[Any], bytes]
    unpack: _Unpack


def _cut(data: bytes, place: int, count: int) -> bytes:
    piece = data[place : place + count]
    if len(piece) != count:
        raise MessageError("it is cut short")
    return piece


def _fixed(form: str) -> _Codec:
    layout = struct.Struct("<" + form)
    return _Codec(
        layout.pack, lambda data, place: (layout.unpack(_cut(data, place, layout.size))[0], place + layout.size)
    )


def _pack_text(value: str) -> bytes:
    data = value.encode()[:_MAX_TEXT]
    return struct.pack("<H", len(data)) + data


def _unpack_text(data: bytes, place: int) -> tuple[str, int]:
    (length,) = struct.unpack("<H", _cut(data, place, 2))
    if length > _MAX_TEXT:
        raise MessageError(f"a text of {length} bytes is too long")
    # One that was cut to its length may end inside of a character.
    return _cut(data, place + 2, length).decode(errors="replace"), place + 2 + length


def _listed(item: struct.Struct, unwrap: Callable[[tuple[Any, ...]], Any], wrap: Callable[[Any], Any]) -> _Codec:
    def pack(values: Any) -> bytes:
        kept = list(values)[:_MAX_LISTED]
        return bytes([len(kept)]) + b"".join(item.pack(*wrap(value)) for value in kept)

    def unpack(data: bytes, place: int) -> tuple[Any, int]:
        (count,) = _cut(data, place, 1)
        if count > _MAX_LISTED:
            raise MessageError(f"a list of {count} is too long")
        end = place + 1 + count * item.size
        return tuple(unwrap(each) for each in item.iter_unpack(_cut(data, place + 1, count * item.size))), end

    return _Codec(pack, unpack)


_U8, _U16, _U32, _U64 = (_fixed(form) for form in "BHIQ")
_B8, _B16, _B32 = (_fixed(form) for form in ("8s", "16s", "32s"))
_TEXT = _Codec(_pack_text, _unpack_text)
_RANGES = _listed(struct.Struct("<QQ"), tuple, tuple)
_DIGESTS = _listed(struct.Struct("<32s"), lambda each: each[0], lambda each: (each,))
_BODY = _Codec(bytes, lambda data, place: (data[place:], len(data)))


def _as(codec: _Codec) -> Any:
    return field(metadata={"codec": codec})


M = TypeVar("M", bound="type[Message]")
_TYPES: dict[int, type[Message]] = {}


def _type(code: int) -> Callable[[M], M]:
    def register(cls: M) -> M:
        cls.code = code
        _TYPES[code] = cls
        return cls

    return register


class Message:
    """Base of all messages."""

    code: ClassVar[int]
    # Every message is a dataclass.
    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    def encode(self) -> bytes:
        """Return the payload of a frame."""
        parts = [each.metadata["codec"].pack(getattr(self, each.name)) for each in fields(self)]
        return bytes([self.code]) + b"".join(parts)


def decode(payload: bytes) -> Message:
    """Return the message that is the payload of a frame.

    Raises
    ------
    MessageError
        If it is none.
    """
    cls = _TYPES.get(payload[0]) if payload else None
    if cls is None:
        raise MessageError("it has an unknown type")
    values, place = {}, 1
    for each in fields(cls):
        values[each.name], place = each.metadata["codec"].unpack(payload, place)
    if place != len(payload):
        raise MessageError("something follows its end")
    return cls(**values)


@_type(1)
@dataclass(frozen=True)
class Hello(Message):
    """Client: begin a session. `client` says which one it is when it comes back; `nonce` is fresh."""

    protocol: int = _as(_U16)
    program: str = _as(_TEXT)
    client: bytes = _as(_B16)
    nonce: bytes = _as(_B16)


@_type(2)
@dataclass(frozen=True)
class Challenge(Message):
    """Agent: the session to be, a fresh nonce, and whether a secret is needed."""

    protocol: int = _as(_U16)
    program: str = _as(_TEXT)
    session: bytes = _as(_B8)
    nonce: bytes = _as(_B16)
    needs_secret: int = _as(_U8)


@_type(3)
@dataclass(frozen=True)
class Auth(Message):
    """Client: the proof that it has the secret; zeros if none is needed."""

    proof: bytes = _as(_B32)


@_type(4)
@dataclass(frozen=True)
class Welcome(Message):
    """Agent: the session is open. `life` is another one after each start of the agent."""

    proof: bytes = _as(_B32)
    life: bytes = _as(_B8)
    board: str = _as(_TEXT)
    max_body: int = _as(_U16)


@_type(5)
@dataclass(frozen=True)
class Busy(Message):
    """Agent: another client drives the board; how long ago it was heard, and after how long it is forgotten."""

    silent_ms: int = _as(_U32)
    lease_ms: int = _as(_U32)


@_type(6)
@dataclass(frozen=True)
class Refused(Message):
    """Agent: no, and why. `reason` is one of version, secret, session, blob, task, damaged."""

    reason: str = _as(_TEXT)
    text: str = _as(_TEXT)


@_type(7)
@dataclass(frozen=True)
class Bye(Message):
    """Client: the session is over."""


@_type(8)
@dataclass(frozen=True)
class Done(Message):
    """Agent: so it is."""


@_type(9)
@dataclass(frozen=True)
class Ping(Message):
    """Client: say that you are there."""


@_type(10)
@dataclass(frozen=True)
class Blob(Message):
    """Client: bytes of a blob; none of them asks what is missing."""

    digest: bytes = _as(_B32)
    size: int = _as(_U64)
    offset: int = _as(_U64)
    body: bytes = _as(_BODY)


@_type(11)
@dataclass(frozen=True)
class BlobState(Message):
    """Agent: the first ranges (start, stop) of a blob that are missing; none if all of it is there."""

    digest: bytes = _as(_B32)
    missing: tuple[tuple[int, int], ...] = _as(_RANGES)


@_type(12)
@dataclass(frozen=True)
class Submit(Message):
    """Client: do what the blob `task` says, once, under the name `job`."""

    job: bytes = _as(_B8)
    task: bytes = _as(_B32)


@_type(13)
@dataclass(frozen=True)
class Fetch(Message):
    """Client: send bytes of a job's output, waiting for some if there are none.

    Everything before `acknowledged` may be forgotten; parts of the job from `credit` on must not begin yet.
    """

    job: bytes = _as(_B8)
    offset: int = _as(_U64)
    acknowledged: int = _as(_U64)
    credit: int = _as(_U32)
    limit: int = _as(_U16)
    wait_ms: int = _as(_U16)


@_type(14)
@dataclass(frozen=True)
class JobState(Message):
    """Agent: how a job gets on, and bytes of its output.

    `state` is a `State`; `begun` parts have begun; `size` bytes of output there are, of which `body` are
    those from `offset` on; `missing` blobs must be uploaded, and the job submitted again.
    """

    job: bytes = _as(_B8)
    state: int = _as(_U8)
    begun: int = _as(_U32)
    size: int = _as(_U64)
    offset: int = _as(_U64)
    missing: tuple[bytes, ...] = _as(_DIGESTS)
    body: bytes = _as(_BODY)


class State(IntEnum):
    """States of a job.

    Members
    -------
    UNKNOWN
        No job has this name here.
    MISSING
        Blobs are missing; to be submitted again when they are there.
    LOADING
        The worker is getting ready for it; no fault has begun.
    RUNNING
        A golden run was clean: faults run as far as the credit goes.
    REBOOTING
        No worker has a clean golden run any more; the reboot command was given.
    OVER
        Nothing more comes.
    """

    UNKNOWN = 0
    MISSING = 1
    LOADING = 2
    RUNNING = 3
    REBOOTING = 4
    OVER = 5
