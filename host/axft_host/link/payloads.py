"""What blobs and records hold: networks, images, tasks, results. Numbers are packed as small as they are.

Blobs are named by the SHA-256 of their bytes. The output of a job is a sequence of records, each with a digest of its
own, so that nothing is taken for a result that is none.
"""

from __future__ import annotations

import hashlib
import json
import struct
import tempfile
import zlib
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.device.recovery import Recovery
from axft_host.link.errors import LinkError
from axft_host.nn.network import Network
from axft_spec.errors import BackendError

__all__ = [
    "MAX_BLOB",
    "MAX_TASK",
    "Record",
    "RecordKind",
    "Result",
    "digest_of",
    "integers_from_bytes",
    "integers_to_bytes",
    "json_from_bytes",
    "json_to_bytes",
    "network_from_file",
    "network_to_bytes",
    "no_result",
    "pixels_from_bytes",
    "pixels_to_bytes",
    "read_records",
]

Int64 = NDArray[np.int64]

#: Largest blob, and largest task when it is unpacked, in bytes.
MAX_BLOB = 64 << 20
MAX_TASK = 8 << 20

#: What a network may take in memory, in bytes.
_MAX_NETWORK = 256 << 20

_ENDS = ("complete", "hang", "crash")
_RECORD = struct.Struct("<IBI")
_RECORD_DIGEST = 8
#: Largest body of a record: the final accumulators of 100,000 images with 100 classes.
_MAX_RECORD = 128 << 20


def digest_of(data: bytes) -> bytes:
    """Return the name of a blob."""
    return hashlib.sha256(data).digest()


def _inflated(data: bytes, most: int) -> bytes:
    """Return what zlib has packed, if it is no more than `most` bytes."""
    unpacker = zlib.decompressobj()
    try:
        value = unpacker.decompress(data, most + 1)
    except zlib.error as error:
        raise LinkError(f"packed data cannot be unpacked: {error}") from None
    if len(value) > most or not unpacker.eof or unpacker.unused_data:
        raise LinkError(f"packed data must unpack to at most {most} bytes, with nothing behind it")
    return value


def json_to_bytes(value: Any) -> bytes:
    """Pack plain JSON values."""
    return zlib.compress(json.dumps(value, sort_keys=True, separators=(",", ":")).encode())


def json_from_bytes(data: bytes) -> Any:
    """Unpack what `json_to_bytes` has packed.

    Raises
    ------
    LinkError
        If it is something else, or too large.
    """
    try:
        return json.loads(_inflated(data, MAX_TASK))
    except (ValueError, RecursionError):
        raise LinkError("packed data is no JSON") from None


def integers_to_bytes(values: NDArray[Any]) -> bytes:
    """Pack integers: one byte for their width in bytes (0 if all are 0), then as many in little endian."""
    if not values.any():
        return b"\0"
    low, high = int(values.min()), int(values.max())
    width = next(width for width in (1, 2, 4, 8) if -(1 << 8 * width - 1) <= low and high < 1 << 8 * width - 1)
    return bytes([width]) + values.astype(f"<i{width}").tobytes()


def integers_from_bytes(data: bytes, count: int) -> tuple[Int64, bytes]:
    """Unpack `count` integers; return them and what follows.

    Raises
    ------
    LinkError
        If they are not there.
    """
    width = data[0] if data else 255
    if width not in (0, 1, 2, 4, 8) or len(data) < 1 + width * count:
        raise LinkError("packed integers are cut short")
    end = 1 + width * count
    if width == 0:
        return np.zeros(count, dtype=np.int64), data[end:]
    return np.frombuffer(data[1:end], dtype=f"<i{width}").astype(np.int64), data[end:]


def pixels_to_bytes(images: NDArray[np.uint8]) -> bytes:
    """Pack images; their shape is said elsewhere."""
    return zlib.compress(np.ascontiguousarray(images).tobytes())


def pixels_from_bytes(data: bytes, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Unpack images of a shape.

    Raises
    ------
    LinkError
        If they have another size.
    """
    if any(length < 0 for length in shape):
        raise LinkError(f"images cannot have the shape {shape}")
    size = int(np.prod(shape, dtype=object))
    pixels = _inflated(data, size) if size <= _MAX_NETWORK else b""
    if len(pixels) != size:
        raise LinkError(f"images of shape {shape} must have {size} bytes, not {len(pixels)}")
    return np.frombuffer(pixels, dtype=np.uint8).reshape(shape)


def network_to_bytes(network: Network) -> bytes:
    """Return the file of a network."""
    with tempfile.TemporaryDirectory() as place:
        path = Path(place) / "network.npz"
        network.save(path)
        return path.read_bytes()


def network_from_file(path: Path) -> Network:
    """Read a network's file that another program has sent.

    Raises
    ------
    LinkError
        If it would take too much memory.
    ModelError
        If it is no network.
    """
    import zipfile

    try:
        with zipfile.ZipFile(path) as content:
            size = sum(entry.file_size for entry in content.infolist())
    except (OSError, zipfile.BadZipFile):
        size = 0  # reading it says what it is
    if size > _MAX_NETWORK:
        raise LinkError(f"a network must take at most {_MAX_NETWORK >> 20} MiB, not {size >> 20} MiB")
    return Network.load(path)


class RecordKind(IntEnum):
    """What a record of a job's output holds.

    Members
    -------
    GOLDEN
        The golden run of all images: a `Result` relative to zeros.
    RESULT
        What came of a fault: a `Result` relative to the golden run. The index is its place in the task.
    RECOVERY
        How the board was brought back while this fault was run: JSON.
    ERROR
        The job ends here: type and message of an error, as JSON.
    DEVICE
        What identifies the device: JSON.
    VALUE
        The answer to a question, or the result of a GEMM.
    END
        The job is done.
    """

    GOLDEN = 1
    RESULT = 2
    RECOVERY = 3
    ERROR = 4
    DEVICE = 5
    VALUE = 6
    END = 7


@dataclass(frozen=True, slots=True)
class Record:
    """A piece of a job's output.

    Members
    -------
    kind : RecordKind
    index : int
        Place of a fault in the task; 0 where it means nothing.
    body : bytes
    """

    kind: RecordKind
    index: int
    body: bytes

    def encode(self) -> bytes:
        """Return length of the body, kind, index, body, and a digest of all these."""
        data = _RECORD.pack(len(self.body), self.kind, self.index) + self.body
        return data + hashlib.sha256(data).digest()[:_RECORD_DIGEST]


def read_records(data: bytes | bytearray) -> tuple[list[Record], int]:
    """Return the whole records at the beginning of some output, and how many bytes they are.

    Raises
    ------
    LinkError
        If a record is damaged.
    """
    records, place = [], 0
    while len(data) - place >= _RECORD.size:
        length, kind, index = _RECORD.unpack_from(data, place)
        if length > _MAX_RECORD or kind not in RecordKind.__members__.values():
            raise LinkError("a record of a job's output is damaged")
        end = place + _RECORD.size + length
        if len(data) < end + _RECORD_DIGEST:
            break
        content = bytes(data[place:end])
        if hashlib.sha256(content).digest()[:_RECORD_DIGEST] != data[end : end + _RECORD_DIGEST]:
            raise LinkError("a record of a job's output is damaged")
        records.append(Record(RecordKind(kind), index, content[_RECORD.size :]))
        place = end + _RECORD_DIGEST
    return records, place


def no_result(end: str) -> bytes:
    """Return the packed `Result` of a fault that ended in ``hang`` or ``crash``."""
    return struct.pack("<BH", _ENDS.index(end), 0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Result:
    """What came of one fault, in the terms of `axft_host.backends.base.Evaluation`.

    Members
    -------
    accumulators : ndarray of int64, shape (images, classes)
    activated : ndarray of int64, shape (images,)
    end : str
        ``complete``, ``hang`` or ``crash``.
    recoveries : tuple of Recovery
    """

    accumulators: Int64
    activated: Int64
    end: str = "complete"
    recoveries: tuple[Recovery, ...] = ()

    def encode(self, golden: Int64) -> bytes:
        """Pack it, relative to the final accumulators of a golden run.

        One byte says the end, two how long the recoveries are as packed JSON; then these; then, unless it is a golden
        run that activates nothing or there is no result, packed: one bit per image that differs (the first in the
        highest bit of the first byte), activations, and differences to the golden run of the images that differ.
        """
        said = json_to_bytes([each.to_json() for each in self.recoveries]) if self.recoveries else b""
        header = struct.pack("<BH", _ENDS.index(self.end), len(said)) + said
        if self.end != "complete":
            return header
        differs = (self.accumulators != golden).any(axis=1)
        if not differs.any() and not self.activated.any():
            return header
        moved = (self.accumulators - golden)[differs]
        bits = np.packbits(differs).tobytes()
        return header + zlib.compress(bits + integers_to_bytes(self.activated) + integers_to_bytes(moved))

    @classmethod
    def decode(cls, data: bytes, golden: Int64) -> Result:
        """Unpack it.

        Raises
        ------
        LinkError
            If it is something else.
        """
        images, classes = golden.shape
        if len(data) < 3 or data[0] >= len(_ENDS):
            raise LinkError("a result is cut short")
        end, length = data[0], int.from_bytes(data[1:3], "little")
        said, packed = data[3 : 3 + length], data[3 + length :]
        try:
            recoveries = tuple(Recovery.from_json(each) for each in json_from_bytes(said)) if said else ()
        except (BackendError, TypeError) as error:
            raise LinkError(f"the recoveries of a result are none: {error}") from None
        accumulators = np.zeros_like(golden) if end else golden.copy()
        activated = np.zeros(images, dtype=np.int64)
        if packed and not end:
            plain = _inflated(packed, images // 8 + 1 + 8 * images * (classes + 1) + 2)
            count = -(-images // 8)
            differs = np.unpackbits(np.frombuffer(plain[:count], dtype=np.uint8))[:images].astype(np.bool_)
            if differs.size != images:
                raise LinkError("a result is cut short")
            activated, rest = integers_from_bytes(plain[count:], images)
            moved, rest = integers_from_bytes(rest, int(differs.sum()) * classes)
            if rest:
                raise LinkError("something follows a result")
            accumulators[differs] += moved.reshape(-1, classes)
        return cls(accumulators=accumulators, activated=activated, end=_ENDS[end], recoveries=recoveries)
