"""Files that stand for a bitstream where the fabric is virtual.

A virtual `.bit` file has the header of a real one, so that pynq parses and converts it as usual. Its payload is **not**
a bitstream: it is text that names a hardware configuration, and configures nothing but a virtual Zynq.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np

from axft_spec.errors import BackendError, ConfigError
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import FileRecord, Manifest
from axft_spec.regmap import VERSION

__all__ = ["read_payload", "virtual_bit", "write_virtual_overlay"]

_MARKER = b"axft-hw VIRTUAL: this is not a bitstream and configures no hardware\n"
_PART = "7z020clg400"


def virtual_bit(hardware: HardwareConfig, note: str = "") -> bytes:
    """Return the content of a virtual `.bit` file.

    The header has the fields that Xilinx's tools write (design, part, date, time, length), each behind its letter.

    Parameters
    ----------
    hardware : HardwareConfig
        What the fabric becomes.
    note : str
        Makes another file for the same hardware.
    """
    text = json.dumps({"hardware": hardware.to_json(), "note": note}, sort_keys=True).encode()
    payload = _MARKER + hashlib.sha256(text).hexdigest().encode() + b"\n" + text
    payload += b"\n" * (-len(payload) % 4)
    header = b"\x00\x09\x0f\xf0\x0f\xf0\x0f\xf0\x0f\xf0\x00\x00\x01"
    fields = {b"a": "axft_virtual;UserID=0XFFFFFFFF", b"b": _PART, b"c": "2000/01/01", b"d": "00:00:00"}
    for letter, value in fields.items():
        data = value.encode() + b"\x00"
        header += letter + len(data).to_bytes(2, "big") + data
    return header + b"e" + len(payload).to_bytes(4, "big") + payload


def read_payload(firmware: bytes) -> HardwareConfig:
    """Return what a payload names, as the fpga_manager gets it: the bytes of each 32-bit word swapped.

    Raises
    ------
    BackendError
        If it is none of ours, or was damaged on the way.
    """
    words = np.frombuffer(firmware[: len(firmware) // 4 * 4], dtype="<u4").byteswap()
    payload = words.tobytes()
    if not payload.startswith(_MARKER):
        raise BackendError("a virtual Zynq is configured by virtual bitstreams only; this is another file")
    digest, _, text = payload[len(_MARKER) :].rstrip(b"\n").partition(b"\n")
    if hashlib.sha256(text).hexdigest().encode() != digest:
        raise BackendError("the virtual bitstream was damaged: its digest differs")
    try:
        return HardwareConfig.from_json(json.loads(text)["hardware"])
    except ConfigError as error:
        raise BackendError(f"the virtual bitstream names no hardware: {error}") from None


def write_virtual_overlay(
    directory: Path, hardware: HardwareConfig, hwh: str, name: str = "axft", note: str = ""
) -> Path:
    """Write a virtual `.bit` file, its `.hwh` file and their manifest into a new directory.

    Parameters
    ----------
    directory : Path
    hardware : HardwareConfig
    hwh : str
        Text of the `.hwh` file.
    name : str
        Of both files.
    note : str
        As for `virtual_bit`.

    Returns
    -------
    Path
        The `.bit` file.
    """
    directory.mkdir(parents=True)
    contents = {f"{name}.bit": virtual_bit(hardware, note), f"{name}.hwh": hwh.encode()}
    for file, content in contents.items():
        (directory / file).write_bytes(content)
    Manifest(
        name=name,
        hardware=hardware,
        gateware_version=".".join(map(str, VERSION)),
        files={file: FileRecord.of(content) for file, content in contents.items()},
        tools={"virtual": "no tool has made a bitstream"},
    ).save(directory)
    return directory / f"{name}.bit"
