"""Faults as arrays, for compiled functions."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from axft_spec.faults import Fault, FaultKind, Site

__all__ = ["LINE", "REPLAY", "Faults", "fault_tables"]

Array = NDArray[Any]

#: How a fault is done.
LINE, REPLAY = 1, 2

FLIP, SA0, SA1 = 0, 1, 2
_KINDS = {FaultKind.FLIP: FLIP, FaultKind.STUCK_AT_0: SA0, FaultKind.STUCK_AT_1: SA1}

WEIGHT, ACTIVATION, WEIGHT_OPERAND, ACTIVATION_OPERAND, PRODUCT, PSUM = range(6)
_SITES = {site: number for number, site in enumerate(Site)}


class Faults(NamedTuple):
    """Faults as arrays.

    Members
    -------
    mode, kind : ndarray of int64, shape (faults,)
    windows : ndarray of int64, shape (faults, 5)
        Layer, GEMM, tile, first cycle and number of cycles; all -1 for a permanent fault.
    starts : ndarray of int64, shape (faults + 1,)
        Where the armed bits of each fault begin.
    sites : ndarray of int64, shape (armed bits, 4)
        Site, row, column, bit.
    roles : ndarray of int64, shape (armed bits, 3)
        Working memory: what the bit is to the PE in hand, and from which step to which it acts.
    """

    mode: Array
    kind: Array
    windows: Array
    starts: Array
    sites: Array
    roles: Array


def fault_tables(faults: Sequence[Fault]) -> Faults:
    """Return faults as arrays."""
    mode: list[int] = []
    kinds: list[int] = []
    windows: list[tuple[int, ...]] = []
    sites: list[tuple[int, ...]] = []
    starts = [0]
    for fault in faults:
        window = fault.window
        armed = fault.sites
        sites.extend((_SITES[bit.site], bit.row, bit.col, bit.bit) for bit in armed)
        starts.append(len(sites))
        kinds.append(_KINDS[fault.kind])
        if window is None:
            first = armed[0]
            line = first.site in (Site.WEIGHT, Site.WEIGHT_OPERAND) and all(
                (bit.site, bit.row, bit.col) == (first.site, first.row, first.col) for bit in armed
            )
            mode.append(LINE if line else REPLAY)
            windows.append((-1,) * 5)
        else:
            mode.append(REPLAY)
            windows.append((window.layer, window.gemm, window.tile, window.first_cycle, window.cycles))
    return Faults(
        mode=np.array(mode, dtype=np.int64),
        kind=np.array(kinds, dtype=np.int64),
        windows=np.array(windows, dtype=np.int64).reshape(-1, 5),
        starts=np.array(starts, dtype=np.int64),
        sites=np.array(sites, dtype=np.int64).reshape(-1, 4),
        roles=np.zeros([len(sites), 3], dtype=np.int64),
    )
