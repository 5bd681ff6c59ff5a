"""The two forms of a bitstream: ``.bit``, with a header, and ``.bin``, as Linux's configuration driver takes it.

A .bit file begins with fields of text: design, part, date and time, then the length of the configuration data. The
header has no document of Xilinx's; its form is what pynq's and other readers of such files agree on.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

from axft_spec.errors import BackendError

__all__ = ["Bitstream", "to_bin"]

_MAGIC = bytes.fromhex("0ff00ff00ff00ff000")
_SYNC_WORD = bytes.fromhex("aa995566")  # Xilinx UG470, "Sync Word"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bitstream:
    """A .bit file.

    Members
    -------
    design, part, date, time : str
        Fields of the header; `part` without ``xc`` in files of Xilinx's tools.
    data : bytes
        The configuration data: 32-bit words, high byte first.
    """

    design: str
    part: str
    date: str
    time: str
    data: bytes

    @classmethod
    def from_bytes(cls, content: bytes) -> Bitstream:
        """Read a .bit file.

        Raises
        ------
        BackendError
            If it is none, or is cut off.
        """
        try:
            (length,) = struct.unpack_from(">H", content)
            if content[2 : 2 + length] != _MAGIC:
                raise BackendError("this is no bitstream: a .bit file begins with 00 09 0f f0")
            place = 2 + length + 2
            fields = {}
            for key in "abcd":
                if content[place : place + 1] != key.encode():
                    raise BackendError(f"the bitstream's header has no field {key!r}")
                (length,) = struct.unpack_from(">H", content, place + 1)
                fields[key] = content[place + 3 : place + 3 + length].rstrip(b"\0").decode("ascii")
                place += 3 + length
            if content[place : place + 1] != b"e":
                raise BackendError("the bitstream's header has no length")
            (length,) = struct.unpack_from(">I", content, place + 1)
        except (struct.error, UnicodeDecodeError):
            raise BackendError("the bitstream's header is damaged; build it again") from None
        data = content[place + 5 :]
        if len(data) != length or length % 4 or _SYNC_WORD not in data[:256]:
            raise BackendError(f"the bitstream must have {length} bytes of data with a sync word, not {len(data)}")
        return cls(design=fields["a"], part=fields["b"], date=fields["c"], time=fields["d"], data=data)

    def to_bytes(self) -> bytes:
        """Return the .bit file."""
        content = struct.pack(">H", len(_MAGIC)) + _MAGIC + struct.pack(">H", 1)
        for key, text in zip("abcd", (self.design, self.part, self.date, self.time), strict=True):
            field = text.encode("ascii") + b"\0"
            content += key.encode() + struct.pack(">H", len(field)) + field
        return content + b"e" + struct.pack(">I", len(self.data)) + self.data


def to_bin(data: bytes) -> bytes:
    """Return configuration data as Linux's driver for the Zynq-7000 takes it: the bytes of each word reversed."""
    words = len(data) // 4
    return struct.pack(f"<{words}I", *struct.unpack(f">{words}I", data))
