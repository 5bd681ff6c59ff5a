"""The IDX format of MNIST's files, plain or compressed with gzip.

Layout (Y. LeCun, C. Cortes, C. J. C. Burges, "The MNIST database of handwritten digits", section "File
formats"): two zero bytes, one byte for the element type, one for the number of dimensions, each dimension as
a big-endian 32-bit integer, then the elements in C order.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import DataError

__all__ = ["find_idx", "open_plain_or_gzip", "read_idx"]

_UNSIGNED_BYTES = 0x08
_GZIP_MAGIC = b"\x1f\x8b"


def find_idx(directory: Path, prefix: str, content: str, dimensions: int) -> Path | None:
    """Return the path of one IDX file in a directory, under any of the names in use.

    Parameters
    ----------
    directory : Path
        Where to look.
    prefix : str
        The split as the official names begin: ``t10k`` or ``train``.
    content : str
        ``images`` or ``labels``.
    dimensions : int
        Number of dimensions, which is part of the name.

    Returns
    -------
    Path or None
        The first that exists of ``PREFIX-CONTENT-idxN-ubyte``, ``PREFIX-CONTENT.idxN-ubyte``, and the same
        with ``.gz``.
    """
    for suffix in ("", ".gz"):
        for separator in ("-", "."):
            path = directory / f"{prefix}-{content}{separator}idx{dimensions}-ubyte{suffix}"
            if path.is_file():
                return path
    return None


def open_plain_or_gzip(path: Path) -> BinaryIO:
    """Open a file for reading its uncompressed content.

    Whether it is compressed is seen from its first bytes: some downloads decompress a file and keep its name.
    """
    with path.open("rb") as file:
        compressed = file.read(len(_GZIP_MAGIC)) == _GZIP_MAGIC
    # A GzipFile is a BinaryIO in all but name.
    return cast(BinaryIO, gzip.open(path, "rb")) if compressed else path.open("rb")


def read_idx(path: Path, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file of unsigned bytes.

    Parameters
    ----------
    path : Path
        The file, plain or compressed.
    dimensions : int
        The number of dimensions it must have.

    Returns
    -------
    ndarray of uint8
        The elements, in the shape the file states.

    Raises
    ------
    DataError
        If the file cannot be read, is corrupt, of another kind, or shorter or longer than its header says.
    """
    try:
        with open_plain_or_gzip(path) as file:
            return _read(file, path, dimensions)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(f"{path}: corrupt or truncated gzip data ({error}); fetch the file again") from error
    except OSError as error:
        raise DataError(f"{path}: cannot be read ({error.strerror or error})") from error


def _read(file: BinaryIO, path: Path, dimensions: int) -> NDArray[np.uint8]:
    magic = file.read(4)
    expected_magic = bytes([0, 0, _UNSIGNED_BYTES, dimensions])
    if magic != expected_magic:
        found = f"0x{magic.hex()}" if magic else "nothing (the file is empty)"
        raise DataError(
            f"{path}: an IDX file of unsigned bytes with {dimensions} dimension{'s' * (dimensions > 1)} "
            f"must begin with 0x{expected_magic.hex()}, not {found}"
        )
    header = file.read(4 * dimensions)
    if len(header) != 4 * dimensions:
        raise DataError(f"{path}: the header must have {4 + 4 * dimensions} bytes, not {4 + len(header)}")
    shape = tuple(int(size) for size in np.frombuffer(header, dtype=">u4"))
    size_bytes = math.prod(shape)
    # To the end, whatever the header says: only there does gzip compare its checksum.
    elements = file.read()
    if len(elements) != size_bytes:
        stated = " x ".join(map(str, shape))
        raise DataError(f"{path}: after the header there must be {stated} = {size_bytes} bytes, not {len(elements)}")
    return np.frombuffer(elements, dtype=np.uint8).reshape(shape)
