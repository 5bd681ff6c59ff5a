"""Golden runs of blocks of images, up to a bound of memory; all processes of a campaign can have the same ones."""

from __future__ import annotations

import logging
import mmap
import os

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.state import SLACK, Golden
from axft_host.backends.tables import Tables

__all__ = ["BLOCK", "KEEP_BYTES", "GoldenRuns"]

#: Images that run together: what a fault touches of their golden run stays in the processor's cache.
BLOCK = 32
#: Bytes of golden runs that are kept; those of other images are made anew for every batch of faults.
KEEP_BYTES = 1 << 30

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
        self._memory: mmap.mmap | None = None
        self._descriptor: int | None = None
        self._name: str | None = None
        #: Blocks whose golden run was begun, and those in which it is whole.
        self._begun: set[int] = set()
        self._filled: set[int] = set()
        if name is not None:
            self._attach(name)
        elif share:
            self._share()

    @property
    def name(self) -> str | None:
        """By which other processes get it, once everything is in it; None if they cannot."""
        return None if self._memory is None or len(self._filled) < self._kept else self._name

    @property
    def kept_bytes(self) -> int:
        """How much is kept when every golden run has been made."""
        return self._kept * sum(self._bytes)

    def _share(self) -> None:
        """Make memory without a name in any file system: the system takes it back however the processes end."""
        if not self._kept or not hasattr(os, "memfd_create"):
            return
        descriptor = os.memfd_create("axft-golden-runs")
        try:
            os.ftruncate(descriptor, self.kept_bytes)
            self._memory = mmap.mmap(descriptor, self.kept_bytes)
            # By this process's end of it, which stays open as long as others are to find it.
            self._descriptor = descriptor
            self._name = f"/proc/{os.getpid()}/fd/{descriptor}"
        except OSError as error:
            os.close(descriptor)
            _logger.info("golden runs are not shared between processes: %s", error)

    def _attach(self, name: str) -> None:
        try:
            descriptor = os.open(name, os.O_RDWR)
            try:
                self._memory = mmap.mmap(descriptor, self.kept_bytes)
            finally:
                os.close(descriptor)
        except (OSError, ValueError) as error:
            _logger.info("golden runs of another process cannot be had, and are made again: %s", error)
            return
        self._name, self._filled = name, set(range(self._kept))

    def get(self, number: int) -> tuple[Golden, bool]:
        """Return the memory of one block, and whether its golden run is in it, as `made` has said; otherwise zeros."""
        if number >= self._kept:
            return self._zeros(), False
        if self._memory is not None:
            golden = self._at(number)
        else:
            golden = self._private.get(number) or self._private.setdefault(number, self._zeros())
        if number in self._filled:
            return golden, True
        if number in self._begun:
            for array in golden:
                array[:] = 0
        self._begun.add(number)
        return golden, False

    def made(self, number: int) -> None:
        """Say that the golden run of a block is whole: one that was interrupted is made again."""
        if number < self._kept:
            self._filled.add(number)

    def _zeros(self) -> Golden:
        return Golden(*(np.zeros(size, dtype=kind) for size, kind in self._parts))

    def _at(self, number: int) -> Golden:
        assert self._memory is not None
        start, arrays = number * sum(self._bytes), []
        for (size, kind), length in zip(self._parts, self._bytes, strict=True):
            array: NDArray[np.generic] = np.ndarray(size, dtype=kind, buffer=self._memory, offset=start)
            arrays.append(array)
            start += length
        return Golden(*arrays)

    def close(self) -> None:
        """Let go of shared memory: no other process finds it any more. It goes with the last one that has it."""
        if self._descriptor is not None:
            os.close(self._descriptor)
        self._memory = self._descriptor = self._name = None
        self._begun.clear()
        self._filled.clear()
        self._private.clear()
