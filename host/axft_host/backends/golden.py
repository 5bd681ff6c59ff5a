"""Golden runs of blocks of images, up to a bound of memory; all processes of a campaign can have the same ones."""

from __future__ import annotations

import logging
import shutil
from contextlib import suppress
from multiprocessing.shared_memory import SharedMemory
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.state import SLACK, Golden
from axft_host.backends.tables import Tables

__all__ = ["BLOCK", "KEEP_BYTES", "GoldenRuns"]

#: Images that run together: what a fault touches of their golden run stays in the processor's cache.
BLOCK = 32
#: Bytes of golden runs that are kept; those of other images are made anew for every batch of faults.
KEEP_BYTES = 1 << 30

#: Where Linux has its shared memory. To write more than fits kills a process.
_SHARED = Path("/dev/shm")

_logger = logging.getLogger(__name__)


class GoldenRuns:
    """Memory for the golden runs of blocks of images.

    Parameters
    ----------
    tables : Tables
    images : int
    share : bool
        Whether other processes are to use it; they get its `name`.
    name : str or None
        Of another process's, which has been filled.
    """

    def __init__(self, tables: Tables, images: int, *, share: bool = False, name: str | None = None) -> None:
        kinds = np.dtype(np.int16), tables.bias.dtype, np.dtype(np.int16)
        self._parts = [(BLOCK * int(size) + SLACK, kind) for size, kind in zip(tables.sizes, kinds, strict=False)]
        #: Rounded up, so that every array begins at a multiple of 64 bytes.
        self._bytes = [-(-size * kind.itemsize // 64) * 64 for size, kind in self._parts]
        self._kept = min(-(-images // BLOCK), KEEP_BYTES // sum(self._bytes))
        self._private: dict[int, Golden] = {}
        self._memory = self._share(name) if share or name is not None else None
        self._own = name is None
        self._filled = set(range(self._kept)) if name is not None else set()

    @property
    def name(self) -> str | None:
        """By which other processes get it, once everything is in it; None if they cannot."""
        return None if self._memory is None or len(self._filled) < self._kept else self._memory.name

    @property
    def kept_bytes(self) -> int:
        """How much is kept when every golden run has been made."""
        return self._kept * sum(self._bytes)

    def _share(self, name: str | None) -> SharedMemory | None:
        size = self.kept_bytes
        if name is not None:
            return SharedMemory(name=name)
        try:
            if not size or shutil.disk_usage(_SHARED).free < size:
                return None
            return SharedMemory(create=True, size=size)
        except OSError as error:
            _logger.info("golden runs are not shared between processes: %s", error)
            return None

    def get(self, number: int) -> tuple[Golden, bool]:
        """Return the memory of one block, and whether its golden run is in it; otherwise it is zeros."""
        if number in self._private:
            return self._private[number], True
        if self._memory is None or number >= self._kept:
            golden = Golden(*(np.zeros(size, dtype=kind) for size, kind in self._parts))
            if number < self._kept:
                self._private[number] = golden
            return golden, False
        start, arrays = number * sum(self._bytes), []
        for (size, kind), length in zip(self._parts, self._bytes, strict=True):
            array: NDArray[np.generic] = np.ndarray(size, dtype=kind, buffer=self._memory.buf, offset=start)
            arrays.append(array)
            start += length
        filled = number in self._filled
        self._filled.add(number)
        return Golden(*arrays), filled

    def close(self) -> None:
        """Let go of shared memory; who made it makes an end of it."""
        if self._memory is None:
            return
        memory, self._memory = self._memory, None
        self._filled.clear()
        # Where an array of it is still alive, it goes with that.
        with suppress(BufferError):
            memory.close()
        if self._own:
            with suppress(FileNotFoundError):
                memory.unlink()
