"""The oracle: a slow, obvious, cycle-accurate model of the array, with faults.

It is written to be read beside the description of the array. Weights enter from the north and flow south,
activations enter from the west and flow east, each PE multiplies the two, adds the product to its partial sum
and passes both operands on, every clock cycle. Nothing here is fast, and nothing that must be fast may be used
to make it so.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError
from axft_spec.faults import Fault, FaultKind, Site, force, ignored_bits, value_bits
from axft_spec.folding import fold_gemm
from axft_spec.lowering import GemmShape
from axft_spec.numeric import signed_range, wrap
from axft_spec.schedule import tile_cycles

__all__ = ["ProcessingElement", "ReferenceRun", "TileRun", "gemm", "gemm_folded", "run_tile"]

Int64 = NDArray[np.int64]


@dataclass(slots=True)
class ProcessingElement:
    """The registers of one PE during one cycle. None in an input register means that no operand is there."""

    weight: int | None = None
    activation: int | None = None
    psum: int = 0


@dataclass(slots=True)
class _ArmedPe:
    """The armed patterns of one PE, by site."""

    kind: FaultKind
    masks: dict[Site, int]
    config: ArrayConfig
    activated: int = 0

    def force(self, site: Site, value: int) -> int:
        """Return the value behind a site, and count the armed bits that it changed."""
        mask = self.masks.get(site, 0)
        forced = int(force(value, self.kind, mask, value_bits(self.config, site)))
        # An ignored bit has no hardware, and so nothing to count.
        seen = (value ^ forced) & mask & ~((1 << ignored_bits(self.config, site)) - 1)
        self.activated += bin(seen).count("1")
        return forced


@dataclass(slots=True)
class TileRun:
    """What one tile did.

    Members
    -------
    psums : ndarray of int64, shape (tile rows, tile columns)
        Partial sums at the end, as drain reads them.
    activated : int
        Number of (armed bit, valid step) at the fault's own PEs where the forced value differs.
    states : list of list of list of (weight, activation, psum)
        If asked for: for each cycle, row and column, the input registers during the cycle (None where no
        operand is) and the partial sum after it.
    """

    psums: Int64
    activated: int
    states: list[list[list[tuple[int | None, int | None, int]]]] = field(default_factory=list)


def run_tile(
    config: ArrayConfig, activations: Int64, weights: Int64, fault: Fault | None, *, trace: bool = False
) -> TileRun:
    """Run one tile on the array.

    Parameters
    ----------
    config : ArrayConfig
        The array that runs, with its own rows and columns.
    activations : ndarray of int64, shape (tile rows, k)
    weights : ndarray of int64, shape (k, tile columns)
    fault : Fault or None
        Armed on this array. A window is taken to be one of this tile.
    trace : bool
        Whether to record the state of every cycle.
    """
    tile_rows, k = activations.shape
    tile_cols = weights.shape[1]
    _check_operands(config, activations, weights)
    armed: dict[tuple[int, int], _ArmedPe] = {}
    if fault is not None:
        for site in Site:
            for place, mask in fault.masks(site).items():
                armed.setdefault(place, _ArmedPe(fault.kind, {}, config)).masks[site] = mask
    array = [[ProcessingElement() for _ in range(config.cols)] for _ in range(config.rows)]
    run = TileRun(psums=np.zeros((tile_rows, tile_cols), dtype=np.int64), activated=0)

    for cycle in range(tile_cycles(k, config.rows, config.cols)):
        _feed(array, cycle, activations, weights)
        in_window = fault is None or fault.window is None or cycle in _cycles(fault)

        passed: dict[tuple[int, int], tuple[int | None, int | None]] = {}
        for row in range(config.rows):
            for col in range(config.cols):
                pe = array[row][col]
                faults = armed.get((row, col)) if in_window else None
                passed[row, col] = _step(pe, config, faults)
        if trace:
            run.states.append([[(pe.weight, pe.activation, pe.psum) for pe in line] for line in array])
        for (row, col), (weight, activation) in passed.items():
            if row + 1 < config.rows:
                array[row + 1][col].weight = weight
            if col + 1 < config.cols:
                array[row][col + 1].activation = activation

    for row in range(tile_rows):
        for col in range(tile_cols):
            run.psums[row, col] = array[row][col].psum
    run.activated = sum(faults.activated for faults in armed.values())
    return run


def _feed(array: list[list[ProcessingElement]], cycle: int, activations: Int64, weights: Int64) -> None:
    """Put operands into the registers at the edges, skewed: row r and column c get step k in cycles k + r and k + c."""
    k = weights.shape[0]
    for row in range(activations.shape[0]):
        array[row][0].activation = int(activations[row, cycle - row]) if 0 <= cycle - row < k else None
    for col in range(weights.shape[1]):
        array[0][col].weight = int(weights[cycle - col, col]) if 0 <= cycle - col < k else None


def _step(pe: ProcessingElement, config: ArrayConfig, faults: _ArmedPe | None) -> tuple[int | None, int | None]:
    """Do one cycle of one PE; return what its lines carry to the south and to the east."""
    if pe.weight is None or pe.activation is None:
        # Not a valid step: the partial sum holds, the operand (if one is there) passes on, no fault acts.
        return pe.weight, pe.activation
    behind = faults.force if faults is not None else lambda site, value: value
    weight = behind(Site.WEIGHT, pe.weight)
    activation = behind(Site.ACTIVATION, pe.activation)
    own_weight = behind(Site.WEIGHT_OPERAND, weight)
    own_activation = behind(Site.ACTIVATION_OPERAND, activation)
    product = behind(Site.PRODUCT, int(config.multiply(own_weight, own_activation)))
    pe.psum = behind(Site.PSUM, int(wrap(pe.psum + product, config.acc_bits)))
    return weight, activation


def _cycles(fault: Fault) -> range:
    assert fault.window is not None
    return range(fault.window.first_cycle, fault.window.first_cycle + fault.window.cycles)


def _check_operands(config: ArrayConfig, activations: Int64, weights: Int64) -> None:
    low, high = signed_range(config.width)
    if activations.ndim != 2 or weights.ndim != 2 or activations.shape[1] != weights.shape[0]:
        raise ConfigError(f"operands must be (m, k) and (k, n), not {activations.shape} and {weights.shape}")
    if activations.shape[0] > config.rows or weights.shape[1] > config.cols:
        raise ConfigError(
            f"a tile must fit into {config.rows} x {config.cols}, not {activations.shape[0]} x {weights.shape[1]}"
        )
    for name, operand in (("activations", activations), ("weights", weights)):
        if operand.size and not low <= operand.min() <= operand.max() <= high:
            raise ConfigError(f"{name} must be between {low} and {high}, not {operand.min()} to {operand.max()}")


@dataclass(slots=True)
class ReferenceRun:
    """What one GEMM did: `psums` of shape (m, n) in int64, and `activated` as in :class:`TileRun`."""

    psums: Int64
    activated: int


def gemm(
    config: ArrayConfig,
    activations: Int64,
    weights: Int64,
    fault: Fault | None = None,
    *,
    layer: int = 0,
    gemm_index: int = 0,
) -> ReferenceRun:
    """Run a GEMM of one image on the logical array, tile after tile.

    Parameters
    ----------
    config : ArrayConfig
    activations : ndarray of int64, shape (m, k)
    weights : ndarray of int64, shape (k, n)
    fault : Fault or None
    layer, gemm_index : int
        Where in the network this GEMM is; decides whether a window falls into it.
    """
    return gemm_folded(
        config, (config.rows, config.cols), activations, weights, fault, layer=layer, gemm_index=gemm_index
    )


def gemm_folded(
    config: ArrayConfig,
    physical: tuple[int, int],
    activations: Int64,
    weights: Int64,
    fault: Fault | None = None,
    *,
    layer: int = 0,
    gemm_index: int = 0,
) -> ReferenceRun:
    """Run a GEMM of one image on a physical array that stands for the logical one.

    Parameters are those of :func:`gemm`, and ``physical = (rows, cols)``. The result is that of the logical
    array, bit for bit; a fault that the device cannot represent is a ``FaultError`` before anything runs.
    """
    shape = GemmShape(m=activations.shape[0], k=activations.shape[1], n=weights.shape[1])
    device = config.resized(*physical)
    parts = fold_gemm(fault, shape, (config.rows, config.cols), physical, layer=layer, gemm_index=gemm_index)
    run = ReferenceRun(psums=np.zeros((shape.m, shape.n), dtype=np.int64), activated=0)
    for part in parts:
        rows = slice(part.tile.row0, part.tile.row0 + part.tile.rows)
        cols = slice(part.tile.col0, part.tile.col0 + part.tile.cols)
        operands = activations[rows], weights[:, cols]
        result = run_tile(device, *operands, part.fault)
        run.psums[rows, cols] = result.psums
        run.activated += result.activated
        if part.entering is not None:
            # The window of the whole set: what enters is counted where it comes from, not here.
            alone = replace(part.entering, window=part.fault.window if part.fault is not None else None)
            run.activated -= run_tile(device, *operands, alone).activated
    return run
