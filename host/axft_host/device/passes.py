"""Which tiles a device runs with which bits armed, and how operands and results lie in its windows.

A device pays for arming and for weights, so that everything that shares them runs in one pass: tiles of one column
block, with the same armed bits, over all row blocks and images.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault, FaultSite
from axft_spec.folding import fold_gemm
from axft_spec.hardware import HardwareConfig
from axft_spec.lowering import GemmShape

__all__ = ["Chunk", "Pass", "chunks_of", "pack_steps", "plan_passes", "unpack_tiles"]

Int64 = NDArray[np.int64]
Words = NDArray[np.uint32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Pass:
    """Tiles that run behind one another with the same weights and the same bits armed.

    Members
    -------
    fault : Fault or None
        To arm, on the physical array.
    own : tuple of FaultSite
        Those of its bits whose activations count here; the others stand for PEs of other tiles.
    rows, cols : int
        Outputs of each tile.
    col0 : int
        First column of the GEMM's result.
    row_starts : tuple of int
        First row of each tile in the GEMM's result.
    """

    fault: Fault | None
    own: tuple[FaultSite, ...]
    rows: int
    cols: int
    col0: int
    row_starts: tuple[int, ...]


def plan_passes(
    config: ArrayConfig, hardware: HardwareConfig, shape: GemmShape, fault: Fault | None, layer: int, gemm: int
) -> list[Pass]:
    """Return the passes of one GEMM, those with nothing armed first.

    Parameters
    ----------
    config : ArrayConfig
        The logical array.
    hardware : HardwareConfig
    shape : GemmShape
    fault : Fault or None
        Armed on the logical array.
    layer, gemm : int
        Where in the network this GEMM is.

    Raises
    ------
    FaultError
        If the device cannot represent the fault in a sub-tile.
    """
    physical = (hardware.array.rows, hardware.array.cols)
    parts = fold_gemm(fault, shape, (config.rows, config.cols), physical, layer=layer, gemm_index=gemm)
    found: dict[tuple[Fault | None, tuple[FaultSite, ...], int, int, int], list[int]] = {}
    for part in parts:
        entering = set() if part.entering is None else set(part.entering.sites)
        own = () if part.fault is None else tuple(site for site in part.fault.sites if site not in entering)
        key = part.fault, own, part.tile.rows, part.tile.cols, part.tile.col0
        found.setdefault(key, []).append(part.tile.row0)
    passes = [
        Pass(fault=armed, own=own, rows=rows, cols=cols, col0=col0, row_starts=tuple(starts))
        for (armed, own, rows, cols, col0), starts in found.items()
    ]
    return sorted(passes, key=lambda each: (each.fault is not None, str(each.fault), each.col0))


@dataclass(frozen=True, slots=True)
class Chunk:
    """Steps ``[start, start + steps)`` of a tile that fit into one half of an operand buffer."""

    start: int
    steps: int
    first: bool
    last: bool


def chunks_of(k: int, half_steps: int) -> Iterator[Chunk]:
    """Yield the chunks that K steps stream in; partial sums are not cleared in between."""
    for start in range(0, k, half_steps):
        steps = min(half_steps, k - start)
        yield Chunk(start, steps, start == 0, start + steps == k)


def pack_steps(operands: Int64, width: int, step_words: int) -> Words:
    """Pack operands as an operand window holds them.

    Parameters
    ----------
    operands : ndarray of int64, shape (..., steps, lanes)
        One lane for each row or column of PEs that is in use.
    width : int
        Operand width in bits.
    step_words : int
        32-bit words between two steps; lanes that are not in use are 0.

    Returns
    -------
    ndarray of uint32, shape (..., steps, step_words)
    """
    lanes = step_words * 32 // width
    packed = np.zeros((*operands.shape[:-1], lanes), dtype=f"<i{width // 8}")
    packed[..., : operands.shape[-1]] = operands
    return packed.view("<u4")


def unpack_tiles(words: Words, rows: int, cols: int, psum_words: int) -> tuple[Int64, Int64]:
    """Read tiles that lie behind one another in the result window.

    Parameters
    ----------
    words : ndarray of uint32, shape (tiles x (rows x cols x psum_words + 1),)

    Returns
    -------
    psums : ndarray of int64, shape (tiles, rows, cols)
    activated : ndarray of int64, shape (tiles,)
    """
    tiles = words.reshape(-1, rows * cols * psum_words + 1)
    body = np.ascontiguousarray(tiles[:, :-1])
    psums = body.view("<i4").astype(np.int64) if psum_words == 1 else body.view("<i8").astype(np.int64, copy=False)
    return psums.reshape(-1, rows, cols), tiles[:, -1].astype(np.int64)
