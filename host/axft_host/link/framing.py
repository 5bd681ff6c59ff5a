"""Frames on a stream of bytes that may lose, change or double any of them.

A frame is encoded by Consistent Overhead Byte Stuffing (Cheshire and Baker, IEEE/ACM Transactions on Networking 7(2),
1999), so that no zero byte is in it, and stands between two zero bytes: whatever came before, the next zero begins
afresh. Before the encoding it is, with integers in little endian:

=======  ==========================================================================
bytes    what
=======  ==========================================================================
1        version of the protocol
1        flags: 1 for an answer, 2 if there is a tag
8        session, zeros before there is one
4        sequence number: an answer has that of its request
2        length of the payload
length   payload
16       tag, if flagged: the first half of HMAC-SHA256 over everything before it
4        CRC-32 (IEEE 802.3) over everything before it
=======  ==========================================================================
"""

from __future__ import annotations

import hashlib
import hmac
import struct
import zlib
from dataclasses import dataclass, replace

__all__ = ["MAX_PAYLOAD", "NO_SESSION", "VERSION", "Frame", "FrameDecoder", "cobs_decode", "cobs_encode"]

#: Version of the protocol: of frames and of messages alike.
VERSION = 1

#: Largest payload of a frame in bytes.
MAX_PAYLOAD = 4096

NO_SESSION = bytes(8)

_HEADER = struct.Struct("<BB8sIH")
_CRC = struct.Struct("<I")
_TAG_BYTES = 16
_ANSWER, _TAGGED = 1, 2

#: No frame is longer when encoded: one byte in 254 is added, rounded up, and one more.
_MAX_RAW = _HEADER.size + MAX_PAYLOAD + _TAG_BYTES + _CRC.size
_MAX_ENCODED = _MAX_RAW + _MAX_RAW // 254 + 2


def cobs_encode(data: bytes) -> bytes:
    """Return data without zero bytes."""
    out = bytearray()
    for block in data.split(b"\0"):
        rest = block
        while len(rest) >= 254:
            out.append(255)
            out += rest[:254]
            rest = rest[254:]
        out.append(len(rest) + 1)
        out += rest
    return bytes(out)


def cobs_decode(data: bytes) -> bytes | None:
    """Return what was encoded, or None if this was not."""
    out = bytearray()
    place, end = 0, len(data)
    while place < end:
        code = data[place]
        after = place + code
        if code == 0 or after > end:
            return None
        out += data[place + 1 : after]
        place = after
        if code < 255 and place < end:
            out.append(0)
    return bytes(out)


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """One frame.

    Members
    -------
    session : bytes of length 8
    sequence : int
    payload : bytes
    answer : bool
    version : int
    tag : bytes
        Of length 16, or empty.
    """

    session: bytes
    sequence: int
    payload: bytes
    answer: bool = False
    version: int = VERSION
    tag: bytes = b""

    def _signed(self, tagged: bool) -> bytes:
        flags = (_ANSWER if self.answer else 0) | (_TAGGED if tagged else 0)
        header = _HEADER.pack(self.version, flags, self.session, self.sequence, len(self.payload))
        return header + self.payload

    def tagged(self, key: bytes) -> Frame:
        """Return the frame with the tag that this key gives it."""
        return replace(self, tag=hmac.new(key, self._signed(True), hashlib.sha256).digest()[:_TAG_BYTES])

    def is_from(self, key: bytes) -> bool:
        """Return whether the tag is that of this key."""
        return hmac.compare_digest(self.tag, self.tagged(key).tag)

    def encode(self) -> bytes:
        """Return the bytes to send, the zero bytes around them included."""
        raw = self._signed(bool(self.tag)) + self.tag
        return b"\0" + cobs_encode(raw + _CRC.pack(zlib.crc32(raw))) + b"\0"

    @classmethod
    def decode(cls, encoded: bytes) -> Frame | None:
        """Return the frame between two zero bytes, or None if it is damaged."""
        raw = cobs_decode(encoded)
        if raw is None or len(raw) < _HEADER.size + _CRC.size:
            return None
        body = raw[: -_CRC.size]
        if _CRC.pack(zlib.crc32(body)) != raw[-_CRC.size :]:
            return None
        version, flags, session, sequence, length = _HEADER.unpack_from(body)
        tag_bytes = _TAG_BYTES if flags & _TAGGED else 0
        if flags & ~(_ANSWER | _TAGGED) or len(body) != _HEADER.size + length + tag_bytes or length > MAX_PAYLOAD:
            # Of another version, the layout may be another as well; that it has one can be told.
            return cls(session=NO_SESSION, sequence=0, payload=b"", version=version) if version != VERSION else None
        end = _HEADER.size + length
        return cls(
            session=session,
            sequence=sequence,
            payload=body[_HEADER.size : end],
            answer=bool(flags & _ANSWER),
            version=version,
            tag=body[end:],
        )


class FrameDecoder:
    """Finds frames in a stream of bytes. Holds no more than one frame, whatever comes.

    Attributes
    ----------
    damaged : int
        How many pieces between zero bytes were no frame.
    garbage_bytes : int
        How many bytes have come since the last frame that was one.
    """

    def __init__(self) -> None:
        self._piece = bytearray()
        self._overlong = False
        self.damaged = 0
        self.garbage_bytes = 0

    def feed(self, data: bytes) -> list[Frame]:
        """Take bytes as they come; return the frames that they complete."""
        frames = []
        *pieces, last = data.split(b"\0")
        for piece in pieces:
            self._take(piece)
            encoded, overlong = bytes(self._piece), self._overlong
            self._piece.clear()
            self._overlong = False
            if not encoded and not overlong:
                continue
            frame = None if overlong else Frame.decode(encoded)
            if frame is None:
                self.damaged += 1
                self.garbage_bytes += len(encoded) + 1
            else:
                self.garbage_bytes = 0
                frames.append(frame)
        self._take(last)
        return frames

    def _take(self, piece: bytes) -> None:
        if self._overlong or len(self._piece) + len(piece) > _MAX_ENCODED:
            self.garbage_bytes += len(self._piece) + len(piece)
            self._piece.clear()
            self._overlong = True
        else:
            self._piece += piece
