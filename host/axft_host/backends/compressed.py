"""Bitstreams that are kept compressed: unpacked into the user's cache when one is to be loaded."""

from __future__ import annotations

import hashlib
import lzma
import secrets
import shutil
from pathlib import Path

from axft_host.paths import user_cache_dir
from axft_spec.errors import BackendError
from axft_spec.manifest import MANIFEST_NAME

__all__ = ["COMPRESSED_SUFFIX", "unpacked"]

#: What a compressed file's name ends with, after ``.bit``.
COMPRESSED_SUFFIX = ".xz"

#: Above the size of any configuration of a Zynq-7000 (the largest, of an XC7Z100: 17 MB).
_MOST_BYTES = 32 << 20


def unpacked(path: Path) -> Path:
    """Return a file that can be loaded for a bitstream, with its .hwh file and manifest beside it.

    Parameters
    ----------
    path : Path
        The .bit file. If it is there only compressed, as ``.bit.xz``, it is unpacked into a directory of the user's
        cache, which is named after the contents and is there the next time.

    Returns
    -------
    Path
        `path` itself if it is there, or if there is no compressed file either.

    Raises
    ------
    BackendError
        If the compressed file is damaged, or the cache cannot be written.
    """
    packed = path.with_name(path.name + COMPRESSED_SUFFIX)
    if path.is_file() or not packed.is_file():
        return path
    try:
        compressed = packed.read_bytes()
        beside = {
            name: (path.parent / name).read_bytes()
            for name in (path.with_suffix(".hwh").name, MANIFEST_NAME)
            if (path.parent / name).is_file()
        }
    except OSError as error:
        raise BackendError(f"bitstream {packed} cannot be read: {error.strerror}") from None
    content = _decompressed(packed, compressed)
    digest = hashlib.sha256(b"\0".join([content, *beside.values()])).hexdigest()
    directory = user_cache_dir() / "bitstreams" / digest[:32]
    if not directory.is_dir():
        _write(directory, {path.name: content, **beside})
    return directory / path.name


def _decompressed(packed: Path, compressed: bytes) -> bytes:
    reader = lzma.LZMADecompressor(format=lzma.FORMAT_XZ)
    try:
        content = reader.decompress(compressed, max_length=_MOST_BYTES)
    except lzma.LZMAError:
        content = b""
    if not reader.eof:
        raise BackendError(f"bitstream {packed} is damaged, or no bitstream: it cannot be unpacked; copy it again")
    return content


def _write(directory: Path, contents: dict[str, bytes]) -> None:
    """Write files into a directory that appears when it is complete."""
    unfinished = directory.with_name(f".{directory.name}.{secrets.token_hex(4)}")
    try:
        unfinished.mkdir(parents=True)
        for name, content in contents.items():
            (unfinished / name).write_bytes(content)
        unfinished.rename(directory)
    except OSError as error:
        shutil.rmtree(unfinished, ignore_errors=True)
        # Another process may have been faster, with the same contents.
        if not directory.is_dir():
            raise BackendError(
                f"bitstream cannot be unpacked into {directory}: {error.strerror}; name another cache with $AXFT_CACHE"
            ) from None
