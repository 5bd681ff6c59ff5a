"""Files of numbers that numpy alone can read: one ``.npz`` of arrays and a JSON text, without pickle.

A file states what it holds (`kind`), the version of its layout, and a digest of its content that does not
depend on the zip container. Reading checks all three.
"""

from __future__ import annotations

import hashlib
import json
import os
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ModelError
from axft_spec.lowering import ConvShape
from axft_spec.multipliers import Multiplier

__all__ = ["VERSION", "Archive", "frozen", "op_from_parts", "op_to_parts", "read_archive", "write_archive"]

Arrays = Mapping[str, NDArray[Any]]
T = TypeVar("T")

#: Version of the layout, common to all kinds.
VERSION = 1

_META = "meta.json"
#: What numpy and zipfile raise on files that are not what they should be.
_UNREADABLE = (
    *(OSError, ValueError, KeyError, TypeError, AttributeError, EOFError, RuntimeError),
    *(zipfile.BadZipFile, zlib.error, struct.error),
)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Archive:
    """The content of a file.

    Parameters
    ----------
    kind : str
        What it describes, such as ``network``.
    meta : dict
        JSON values.
    arrays : mapping of str to ndarray
        Integers or floats.
    """

    kind: str
    meta: dict[str, Any]
    arrays: Arrays

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the content.

        Canonical JSON, then the arrays as little-endian 64-bit words, in the order of their names. The zip
        container, the compression and the types the numbers are stored in do not enter.
        """
        canonical = {name: array.astype(_wide(array)) for name, array in sorted(self.arrays.items())}
        header = {
            "kind": self.kind,
            "version": VERSION,
            "meta": self.meta,
            "arrays": {name: [array.dtype.str, list(array.shape)] for name, array in canonical.items()},
        }
        state = hashlib.sha256(json.dumps(header, sort_keys=True, separators=(",", ":")).encode())
        for array in canonical.values():
            state.update(array.tobytes())
        return state.hexdigest()


def frozen(array: Any, dtype: Any) -> NDArray[Any]:
    """Return a contiguous array of the type that nobody can write to."""
    value = np.array(array, dtype=dtype, order="C")
    value.flags.writeable = False
    return value


def _wide(array: NDArray[Any]) -> str:
    if array.dtype.kind in "iu":
        return "<i8"
    if array.dtype.kind == "f":
        return "<f8"
    raise ModelError(f"an array of a network must hold integers or floats, not {array.dtype}")


def _narrow(array: NDArray[Any]) -> NDArray[Any]:
    """Return the same numbers in the smallest little-endian type that holds them all."""
    candidates = ("|i1", "<i2", "<i4") if _wide(array) == "<i8" else ("<f4",)
    for dtype in candidates:
        with np.errstate(over="ignore"):
            small = array.astype(dtype)
        if np.array_equal(small, array):
            return small
    return array.astype(_wide(array))


def write_archive(path: str | os.PathLike[str], archive: Archive) -> None:
    """Write a file that did not exist before, all of it or nothing.

    Raises
    ------
    ModelError
        If the file exists or cannot be written.
    """
    target = Path(path)
    if target.exists():
        raise ModelError(f"{target} exists and is not overwritten; choose another name")
    text = json.dumps({"kind": archive.kind, "version": VERSION, "digest": archive.digest(), **archive.meta})
    entries = {name: _narrow(array) for name, array in sorted(archive.arrays.items())}
    entries[_META] = np.frombuffer(text.encode(), dtype=np.uint8)
    # A name of its own per process: two writers never share a half-written file.
    temporary = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        try:
            with temporary.open("xb") as file:
                np.savez_compressed(file, **entries)  # type: ignore[arg-type]
            temporary.replace(target)
        finally:
            temporary.unlink(missing_ok=True)
    except OSError as error:
        raise ModelError(f"cannot write {target}: {error}") from error


def read_archive(path: str | os.PathLike[str]) -> Archive:
    """Read and check a file.

    Raises
    ------
    ModelError
        If the file is missing, damaged, of another version, or something else altogether.
    """
    source = Path(path)
    try:
        with source.open("rb") as file, np.load(file, allow_pickle=False) as content:
            arrays = {name: np.asarray(content[name]) for name in content.files}
        meta = json.loads(arrays.pop(_META).tobytes().decode())
        kind, version, digest = (meta.pop(key) for key in ("kind", "version", "digest"))
    except FileNotFoundError as error:
        raise ModelError(f"{source} does not exist") from error
    except _UNREADABLE as error:
        raise ModelError(f"{source} is not a network file, or is damaged: {_reason(error)}") from error
    if version != VERSION:
        raise ModelError(f"{source} has layout version {version!r}; this program reads version {VERSION}")
    archive = Archive(kind=str(kind), meta=meta, arrays=arrays)
    if archive.digest() != digest:
        raise ModelError(f"{source} is damaged: its content does not have the digest it states")
    return archive


def _reason(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0]


def op_to_parts(op: Any, prefix: str) -> tuple[dict[str, Any], dict[str, NDArray[Any]]]:
    """Split a dataclass into JSON values and arrays; `prefix` starts the arrays' names."""
    meta: dict[str, Any] = {"op": type(op).__name__}
    arrays: dict[str, NDArray[Any]] = {}
    for field in fields(op):
        value = getattr(op, field.name)
        if isinstance(value, np.ndarray):
            arrays[f"{prefix}.{field.name}"] = value
        else:
            meta[field.name] = asdict(value) if isinstance(value, (ConvShape, Multiplier)) else value
    return meta, arrays


def op_from_parts(classes: Mapping[str, type[T]], meta: Mapping[str, Any], arrays: Arrays, prefix: str) -> T:
    """Rebuild a dataclass from `op_to_parts`; `classes` are those allowed, by name."""
    name = meta["op"]
    if name not in classes:
        raise ModelError(f"unknown operation {name!r} in a network file; allowed: {', '.join(classes)}")
    cls = classes[name]
    values: dict[str, Any] = {}
    for field in fields(cls):  # type: ignore[arg-type]
        key = f"{prefix}.{field.name}"
        value = arrays[key] if key in arrays else _tuples(meta[field.name])
        values[field.name] = ConvShape(**value) if isinstance(value, dict) else value
    return cls(**values)


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
