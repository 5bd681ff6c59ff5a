"""How the faults of a logical tile act on a smaller physical array.

A logical tile runs as several physical ones (sub-tiles). A fault on a line enters a sub-tile further down that
line at its edge: a weight-line fault above a sub-tile at its row 0, an activation-line fault to its west at its
column 0, both by step and not by cycle. An armed set whose bits would need different windows in one sub-tile is
refused, never approximated.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from axft_spec.errors import FaultError
from axft_spec.faults import Fault, FaultKind, FaultSite, Site
from axft_spec.lowering import GemmShape
from axft_spec.schedule import Tile, Window, tile_cycles, tile_of, tiles

__all__ = ["SubTile", "fold", "fold_gemm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SubTile:
    """One physical tile of a logical one.

    Members
    -------
    tile : Tile
        Its first output and its size: in the logical tile (`fold`), or in the GEMM (`fold_gemm`).
    fault : Fault or None
        What to arm on the physical array; rows, columns and cycles are physical.
    entering : Fault or None
        The part of `fault` that stands for PEs of other sub-tiles. Their activations are counted where they
        are: a device counts a run with `fault`, less a run with `entering` alone.
    """

    tile: Tile
    fault: Fault | None
    entering: Fault | None


@dataclass(frozen=True, slots=True)
class _Placed:
    """An armed bit on the physical array, the steps in which it acts, and whether its own PE is here."""

    site: FaultSite
    steps: range
    own: bool


def fold(fault: Fault | None, tile: Tile, k: int, rows: int, cols: int) -> Iterator[SubTile]:
    """Yield the sub-tiles of one logical tile on a physical array, in order of row block, then column block.

    Parameters
    ----------
    fault : Fault or None
        Armed on the logical array. A window must be one of this tile.
    tile : Tile
        The logical tile.
    k : int
        Steps of the tile.
    rows, cols : int
        The physical array.

    Raises
    ------
    FaultError
        If the device cannot represent the fault in a sub-tile.
    """
    for part in tiles(GemmShape(m=tile.rows, k=k, n=tile.cols), rows, cols):
        placed = [] if fault is None else [entry for site in fault.sites for entry in _place(fault, site, part, k)]
        placed = [entry for entry in placed if entry.steps]
        if fault is None or not placed:
            yield SubTile(tile=part, fault=None, entering=None)
            continue
        window = _common_window(fault, placed, part, k, rows, cols)
        entering = _merged(fault, [entry for entry in placed if not entry.own], window)
        own = tuple(entry.site for entry in placed if entry.own)
        if entering is not None and set(own) & set(entering.sites):
            raise FaultError(
                f"fault {fault}: a {rows}x{cols} array cannot tell its own armed bits from those that enter at its "
                f"edge; use a physical array as large as the logical one"
            )
        sites = own + (entering.sites if entering is not None else ())
        armed = Fault(fault.kind, sites, window) if sites else None
        yield SubTile(tile=part, fault=armed, entering=entering)


def fold_gemm(
    fault: Fault | None,
    shape: GemmShape,
    logical: tuple[int, int],
    physical: tuple[int, int],
    *,
    layer: int = 0,
    gemm_index: int = 0,
) -> list[SubTile]:
    """Return the sub-tiles of a whole GEMM, with their places in it, in order of logical tile, then as in `fold`.

    Parameters
    ----------
    fault : Fault or None
        Armed on the logical array; one with a window acts only in the tile that the window names.
    shape : GemmShape
    logical, physical : (int, int)
        Rows and columns of the two arrays.
    layer, gemm_index : int
        Where in the network this GEMM is.

    Raises
    ------
    FaultError
        If the device cannot represent the fault in a sub-tile, or the GEMM has no tile that the window names.
    """
    window = None if fault is None else fault.window
    if window is not None and (window.layer, window.gemm) == (layer, gemm_index):
        tile_of(window, shape, *logical)
    parts = []
    for tile in tiles(shape, *logical):
        acts = window is None or (window.layer, window.gemm, window.tile) == (layer, gemm_index, tile.index)
        for part in fold(fault if acts else None, tile, shape.k, *physical):
            place = replace(part.tile, row0=tile.row0 + part.tile.row0, col0=tile.col0 + part.tile.col0)
            parts.append(replace(part, tile=place))
    return parts


def _place(fault: Fault, armed: FaultSite, part: Tile, k: int) -> Iterator[_Placed]:
    """Yield where an armed bit of the logical array acts in one sub-tile, if it does."""
    row, col = armed.row - part.row0, armed.col - part.col0
    here_row, here_col = 0 <= row < part.rows, 0 <= col < part.cols
    steps = range(k) if fault.window is None else fault.window.steps(armed.row, armed.col, k)
    if here_row and here_col:
        yield _Placed(replace(armed, row=row, col=col), steps, True)
    elif armed.site is Site.WEIGHT and here_col and row < 0:
        yield _Placed(replace(armed, row=0, col=col), steps, False)
    elif armed.site is Site.ACTIVATION and here_row and col < 0:
        yield _Placed(replace(armed, row=row, col=0), steps, False)


def _merged(fault: Fault, entering: list[_Placed], window: Window | None) -> Fault | None:
    """Return one armed set for bits that enter at the edge: two flips of one bit cancel, two stuck-ats are one."""
    steps: dict[FaultSite, range] = {}
    count: dict[FaultSite, int] = {}
    for entry in entering:
        if steps.setdefault(entry.site, entry.steps) != entry.steps:
            raise FaultError(f"fault {fault}: bits that share a line need one window on a smaller physical array")
        count[entry.site] = count.get(entry.site, 0) + 1
    sites = tuple(site for site, times in count.items() if fault.kind is not FaultKind.FLIP or times % 2)
    return Fault(fault.kind, sites, window) if sites else None


def _common_window(fault: Fault, placed: list[_Placed], part: Tile, k: int, rows: int, cols: int) -> Window | None:
    """Return the physical window in which every bit acts in exactly its steps."""
    if fault.window is None:
        return None
    first_low, first_high = 0, tile_cycles(k, rows, cols) - 1
    stop_low, stop_high = 1, tile_cycles(k, rows, cols)
    for entry in placed:
        offset = entry.site.row + entry.site.col
        first, stop = offset + entry.steps.start, offset + entry.steps.stop
        # A bit that acts from its first step on does not mind an earlier start, nor at its last a later end.
        first_high = min(first_high, first)
        if entry.steps.start > 0:
            first_low = max(first_low, first)
        stop_low = max(stop_low, stop)
        if entry.steps.stop < k:
            stop_high = min(stop_high, stop)
    if first_low > first_high or stop_low > stop_high:
        raise FaultError(
            f"fault {fault}: a {rows}x{cols} array has one window, and the sub-tile at row {part.row0}, column "
            f"{part.col0} would need several; use a physical array as large as the logical one"
        )
    return replace(fault.window, first_cycle=first_high, cycles=stop_low - first_high)
