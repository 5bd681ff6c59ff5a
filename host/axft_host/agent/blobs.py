"""Blobs that clients have uploaded: on disk by digest, up to a limit. In memory there is only what some still lack."""

from __future__ import annotations

import hashlib
import logging
import os
import re
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from axft_host.link.payloads import MAX_BLOB, digest_of
from axft_spec.errors import BackendError

__all__ = ["BlobStore"]

_log = logging.getLogger(__name__)

#: How many blobs may be under way at a time, and in how many separate pieces.
_MAX_PARTIALS, _MAX_PIECES = 8, 64


#: How the names of files end that are not whole.
_NEW = ".new"
#: Where blobs are in the directory of a cache, which may hold files of others, and what they are called there.
_PLACE = "axft-blobs"
_BLOB = re.compile(r"[0-9a-f]{64}")
_PARTIAL = re.compile(rf"[0-9a-f]{{64}}{re.escape(_NEW)}")


@dataclass(slots=True)
class _Partial:
    """A blob that is not whole yet: its file, its size, and the ranges that are there, in order and apart."""

    path: Path
    size: int
    there: list[tuple[int, int]] = field(default_factory=list)

    def put(self, offset: int, body: bytes) -> None:
        ranges = sorted([*self.there, (offset, offset + len(body))])
        joined = [ranges[0]]
        for start, stop in ranges[1:]:
            if start <= joined[-1][1]:
                joined[-1] = joined[-1][0], max(joined[-1][1], stop)
            else:
                joined.append((start, stop))
        if len(joined) > _MAX_PIECES:
            return  # it is sent again
        # With holes where something is missing.
        with self.path.open("r+b" if self.there else "w+b") as file:
            file.seek(offset)
            file.write(body)
        self.there = joined

    def missing(self) -> list[tuple[int, int]]:
        place, gaps = 0, []
        for start, stop in [*self.there, (self.size, self.size)]:
            if start > place:
                gaps.append((place, start))
            place = stop
        return gaps


class BlobStore:
    """Blobs by digest.

    Parameters
    ----------
    directory : Path
        Made if it is not there. Blobs are in a directory of their own in it; what is there from earlier runs is used,
        once its digest was found right.
    limit_bytes : int
        What the blobs may take together; those used longest ago go first.
    """

    def __init__(self, directory: Path, limit_bytes: int) -> None:
        self._directory = directory / _PLACE
        self._limit_bytes = limit_bytes
        self._partials: OrderedDict[bytes, _Partial] = OrderedDict()
        # Blobs that this process has written, or read and found right.
        self._right: set[bytes] = set()
        self.pinned: frozenset[bytes] = frozenset()
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            for leftover in list(self._directory.iterdir()):
                if _PARTIAL.fullmatch(leftover.name):
                    leftover.unlink()
        except OSError as error:
            raise BackendError(f"the cache {directory} cannot be used: {error.strerror}") from None

    def path(self, digest: bytes) -> Path | None:
        """Return the file of a blob, or None if it is not here.

        A file of an earlier run is read before its first use: after a power cut its name says nothing.
        """
        path = self._directory / digest.hex()
        try:
            os.utime(path)
            if digest not in self._right:
                if _digest_of_file(path) != digest:
                    _log.warning("blob %s dropped: its file is damaged", path.name[:8])
                    path.unlink()
                    return None
                self._right.add(digest)
        except OSError:
            return None
        return path

    def lacking(self, digests: Iterable[bytes]) -> list[bytes]:
        """Return those that are not here."""
        return [digest for digest in digests if self.path(digest) is None]

    def put(self, digest: bytes, size: int, offset: int, body: bytes) -> list[tuple[int, int]]:
        """Take some bytes of a blob; return the ranges that are missing.

        Raises
        ------
        BackendError
            If the size is not allowed, a range is outside of it, or what was sent does not have the digest.
        """
        if self.path(digest) is not None:
            return []
        if not 0 < size <= MAX_BLOB or offset + len(body) > size:
            raise BackendError(f"a blob must have between 1 and {MAX_BLOB} bytes, and parts inside of it")
        partial = self._partials.get(digest)
        if partial is None or partial.size != size:
            if partial is None and len(self._partials) >= _MAX_PARTIALS:
                self._partials.popitem(last=False)[1].path.unlink(missing_ok=True)
            partial = self._partials[digest] = _Partial(self._directory / f"{digest.hex()}{_NEW}", size)
        self._partials.move_to_end(digest)
        missing = [(0, size)]
        try:
            if body:
                partial.put(offset, body)
            missing = partial.missing()
            if not missing:
                del self._partials[digest]
                self._finish(digest, partial)
        except OSError as error:
            raise BackendError(f"the cache {self._directory} cannot be written: {error.strerror}") from None
        return missing

    def _finish(self, digest: bytes, partial: _Partial) -> None:
        """Keep a blob that is whole, if it is what its name says."""
        if _digest_of_file(partial.path) != digest:
            partial.path.unlink()
            raise BackendError(f"what was uploaded as {digest.hex()[:8]} has another digest; upload it again")
        self._make_room(partial.size)
        self._settle(partial.path, digest)

    def _settle(self, path: Path, digest: bytes) -> None:
        """Give a whole file its name, in this order also on the disk."""
        _sync(path)
        path.replace(self._directory / digest.hex())
        _sync(self._directory)
        self._right.add(digest)

    def keep(self, data: bytes) -> None:
        """Take a blob that was made here, if there is room."""
        digest = digest_of(data)
        temporary = self._directory / f"{digest.hex()}{_NEW}"
        try:
            self._make_room(len(data))
            temporary.write_bytes(data)
            self._settle(temporary, digest)
        except OSError as error:
            _log.warning("the cache %s cannot be written: %s", self._directory, error.strerror)

    def _make_room(self, size: int) -> None:
        files = sorted(
            (path.stat().st_mtime_ns, path.stat().st_size, path)
            for path in self._directory.iterdir()
            if _BLOB.fullmatch(path.name) and path.is_file()
        )
        total = size + sum(each[1] for each in files)
        for _, length, path in files:
            if total <= self._limit_bytes:
                return
            digest = bytes.fromhex(path.name)
            if digest not in self.pinned:
                path.unlink(missing_ok=True)
                self._right.discard(digest)
                total -= length
                _log.info("blob %s dropped: the cache is full", path.name[:8])


def _digest_of_file(path: Path) -> bytes:
    state = hashlib.sha256()
    with path.open("rb") as file:
        while piece := file.read(1 << 20):
            state.update(piece)
    return state.digest()


def _sync(path: Path) -> None:
    """Have what a file or a directory holds on the disk."""
    number = os.open(path, os.O_RDONLY)
    try:
        os.fsync(number)
    finally:
        os.close(number)
