"""Files of numbers that numpy alone can read: one ``.npz`` of arrays and a JSON text, without pickle.

A file states what it holds (`kind`), the version of its layout, and a digest of its content that does not
depend on the zip container. Reading checks all three.
"""

from __future__ import annotations

import hashlib
import json
import os
import secrets
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import AxftError, ModelError
from axft_spec.lowering import ConvShape
from axft_spec.multipliers import Multiplier

__all__ = [
    "VERSION",
    "Archive",
    "FrozenArrays",
    "described_by",
    "frozen",
    "op_to_parts",
    "ops_from_parts",
    "ops_to_parts",
    "read_archive",
    "write_archive",
]

Arrays = Mapping[str, NDArray[Any]]

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


class FrozenArrays:
    """Turns the listed members of a dataclass into read-only arrays of their types; None stays None."""

    __slots__ = ()
    _arrays: ClassVar[Mapping[str, type[np.generic]]] = {}

    def __post_init__(self) -> None:
        for name, dtype in self._arrays.items():
            value = getattr(self, name)
            if value is not None:
                object.__setattr__(self, name, frozen(value, dtype))


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
    text = json.dumps({"kind": archive.kind, "version": VERSION, "digest": archive.digest(), **archive.meta})
    entries = {name: _narrow(array) for name, array in sorted(archive.arrays.items())}
    entries[_META] = np.frombuffer(text.encode(), dtype=np.uint8)
    content = BytesIO()
    # numpy declares its one keyword, which no entry is called, as if every entry could be meant by it.
    np.savez_compressed(content, **entries)  # type: ignore[arg-type]
    try:
        _write_new(target, content.getvalue())
    except FileExistsError as error:
        raise ModelError(f"{target} exists and is not overwritten; choose another name") from error
    except OSError as error:
        if not target.parent.is_dir():
            raise ModelError(f"{target}: the directory {target.parent} does not exist") from error
        # Not the error's own text, which names the temporary file.
        raise ModelError(f"{target} cannot be written: {error.strerror}") from error


def _write_new(target: Path, content: bytes) -> None:
    """Write a file under a name that nobody has, or raise FileExistsError; no reader sees a part of it."""
    if target.exists():
        raise FileExistsError(target)
    # A name of its own: two writers never share a half-written file.
    temporary = target.with_name(f".{target.name}.{secrets.token_hex(8)}.tmp")
    try:
        _write_exclusively(temporary, content)
        try:
            # Unlike a renaming, a link fails if another writer was faster.
            os.link(temporary, target)
        except FileExistsError:
            raise
        except OSError:
            # A file system without hard links, such as FAT: the name is still ours alone, but not at once whole.
            _write_exclusively(target, content)
    finally:
        temporary.unlink(missing_ok=True)


def _write_exclusively(path: Path, content: bytes) -> None:
    """Create a file and write it; leave nothing behind if that fails."""
    with path.open("xb") as file:
        try:
            file.write(content)
            file.flush()
        except OSError:
            path.unlink(missing_ok=True)
            raise


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
        # What numpy says of a file that it does not know (that it may be pickled) would only mislead.
        raise ModelError(
            f"{source} is not a network file, or is damaged; allowed: an .npz file as `axft-hw compile` writes it"
        ) from error
    if version != VERSION:
        raise ModelError(f"{source} has layout version {version!r}; this program reads version {VERSION}")
    archive = Archive(kind=str(kind), meta=meta, arrays=arrays)
    if archive.digest() != digest:
        raise ModelError(f"{source} is damaged: its content does not have the digest it states")
    return archive


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


def ops_to_parts(ops: Sequence[Any]) -> tuple[list[dict[str, Any]], dict[str, NDArray[Any]]]:
    """Split the operations of a network as `op_to_parts` does; their numbers start the arrays' names."""
    parts = [op_to_parts(op, f"op{index}") for index, op in enumerate(ops)]
    return [meta for meta, _ in parts], {name: array for _, arrays in parts for name, array in arrays.items()}


def ops_from_parts(classes: Mapping[str, type[Any]], metas: Sequence[Mapping[str, Any]], arrays: Arrays) -> Any:
    """Rebuild a tuple of operations from `ops_to_parts`; `classes` are those allowed, by name."""
    return tuple(_op_from_parts(classes, meta, arrays, f"op{index}") for index, meta in enumerate(metas))


def _op_from_parts(classes: Mapping[str, type[Any]], meta: Mapping[str, Any], arrays: Arrays, prefix: str) -> Any:
    name = meta["op"]
    if name not in classes:
        raise ModelError(f"unknown operation {name!r} in a network file; allowed: {', '.join(classes)}")
    values: dict[str, Any] = {}
    for field in fields(classes[name]):
        key = f"{prefix}.{field.name}"
        value = arrays[key] if key in arrays else _tuples(meta[field.name])
        values[field.name] = ConvShape(**value) if isinstance(value, dict) else value
    return classes[name](**values)


@contextmanager
def described_by(archive: Archive, kind: str, needed: str, source: str) -> Iterator[dict[str, Any]]:
    """Give a copy of a file's JSON values to rebuild a network from; whatever fails then is the file's fault.

    Parameters
    ----------
    archive : Archive
    kind : str
        What the file must hold.
    needed : str
        The same in messages.
    source : str
        The file in messages.

    Raises
    ------
    ModelError
        If the file holds something else, or the network cannot be rebuilt.
    """
    if archive.kind != kind:
        raise ModelError(f"{source} holds a {archive.kind}, not a {needed}")
    try:
        yield dict(archive.meta)
    except (AxftError, KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise ModelError(f"{source} does not describe a network: {error}") from error


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(item) for item in value)
    if isinstance(value, dict):
        return {key: _tuples(item) for key, item in value.items()}
    return value
