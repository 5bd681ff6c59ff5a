"""Which tile, which cycle, which operand: how matrix multiplications run on the array, and on a smaller one.

A GEMM (m, k) x (k, n) is cut into logical tiles of at most rows x cols outputs, in order of row block, then
column block; a partial tile sits at PE(0, 0). Cycle t of a tile is the clock period in which the input
registers of PE(r, c) hold the operands of step ``t - r - c``; t runs from 0 to ``k + rows + cols - 3``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from axft_spec.config import MAX_SIDE
from axft_spec.errors import FaultError, check_int
from axft_spec.lowering import GemmShape

__all__ = ["Layer", "Schedule", "Tile", "Window", "tile_count", "tile_cycles", "tile_of", "tiles"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Tile:
    """A block of outputs: its number in the GEMM, its first output, and how many rows and columns it has."""

    index: int
    row0: int
    col0: int
    rows: int
    cols: int


def tiles(gemm: GemmShape, rows: int, cols: int) -> Iterator[Tile]:
    """Yield the tiles of a GEMM on an array of `rows` x `cols` PEs, in order."""
    index = 0
    for row0 in range(0, gemm.m, rows):
        for col0 in range(0, gemm.n, cols):
            size = {"rows": min(rows, gemm.m - row0), "cols": min(cols, gemm.n - col0)}
            yield Tile(index=index, row0=row0, col0=col0, **size)
            index += 1


def tile_count(gemm: GemmShape, rows: int, cols: int) -> int:
    """Return the number of tiles of a GEMM."""
    return -(-gemm.m // rows) * -(-gemm.n // cols)


def tile_of(window: Window, gemm: GemmShape, rows: int, cols: int) -> Tile:
    """Return the tile of a GEMM that a window is in.

    Raises
    ------
    FaultError
        If the GEMM does not have so many tiles.
    """
    count = tile_count(gemm, rows, cols)
    if window.tile >= count:
        raise FaultError(f"window {window}: tile must be between 0 and {count - 1}, not {window.tile}")
    return next(tile for tile in tiles(gemm, rows, cols) if tile.index == window.tile)


def tile_cycles(k: int, rows: int, cols: int) -> int:
    """Return the number of numbered cycles of a tile; drain is not numbered."""
    return k + rows + cols - 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Cycles ``[first_cycle, first_cycle + cycles)`` of one logical tile.

    Layers are numbered over those that multiply; GEMMs within their layer, tiles within their GEMM, cycles
    within their tile, all from 0.
    """

    layer: int
    gemm: int
    tile: int
    first_cycle: int
    cycles: int

    def __post_init__(self) -> None:
        for name in ("layer", "gemm", "tile", "first_cycle", "cycles"):
            value, low = getattr(self, name), int(name == "cycles")
            if type(value) is not int or value < low:
                raise FaultError(f"{name} of a window must be at least {low}, not {value!r}")

    def __str__(self) -> str:
        return f"l{self.layer}:g{self.gemm}:t{self.tile}:y{self.first_cycle}+{self.cycles}"

    @classmethod
    def parse(cls, text: str) -> Window:
        """Read the text form, such as ``l0:g2:t1:y17+3``: layer, GEMM, tile, first cycle + cycles."""
        match = re.fullmatch(r"l(\d+):g(\d+):t(\d+):y(\d+)\+(\d+)", text)
        if match is None:
            raise FaultError(f"a window must have the form lLAYER:gGEMM:tTILE:yCYCLE+COUNT, not {text!r}")
        layer, gemm, tile, first_cycle, cycles = map(int, match.groups())
        return cls(layer=layer, gemm=gemm, tile=tile, first_cycle=first_cycle, cycles=cycles)

    def steps(self, row: int, col: int, k: int) -> range:
        """Return the steps of PE(row, col) that fall into the window."""
        first = self.first_cycle - row - col
        return range(min(max(first, 0), k), min(max(first + self.cycles, 0), k))

    def to_json(self) -> dict[str, int]:
        """Return the fields as plain JSON values."""
        return {name: getattr(self, name) for name in ("layer", "gemm", "tile", "first_cycle", "cycles")}

    @classmethod
    def from_json(cls, value: Any) -> Window:
        """Rebuild from `to_json`; unknown or missing keys are an error."""
        if not isinstance(value, dict) or set(value) != {"layer", "gemm", "tile", "first_cycle", "cycles"}:
            raise FaultError(f"a window must have the keys layer, gemm, tile, first_cycle, cycles, not {value!r}")
        return cls(**value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """The GEMMs of one multiplying layer: how many, and the shape they all have."""

    gemms: int
    shape: GemmShape


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule:
    """All scheduled cycles of one inference on one logical array.

    Parameters
    ----------
    rows, cols : int
        The logical array.
    layers : tuple of Layer
        The layers that multiply, in order.
    """

    rows: int
    cols: int
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        check_int("rows", self.rows, 1, MAX_SIDE)
        check_int("cols", self.cols, 1, MAX_SIDE)

    @classmethod
    def of(cls, gemms: Sequence[tuple[int, GemmShape]], rows: int, cols: int) -> Schedule:
        """Build a schedule from ``(count, shape)`` of each layer."""
        return cls(rows=rows, cols=cols, layers=tuple(Layer(gemms=count, shape=shape) for count, shape in gemms))

    def _tile_cycles(self, layer: Layer) -> int:
        return tile_cycles(layer.shape.k, self.rows, self.cols)

    def _layer_cycles(self, layer: Layer) -> int:
        return layer.gemms * tile_count(layer.shape, self.rows, self.cols) * self._tile_cycles(layer)

    @property
    def cycles(self) -> int:
        """Number of scheduled cycles of one inference."""
        return sum(map(self._layer_cycles, self.layers))

    def _layer_starts(self, layer: Layer, cycles: int) -> int:
        tiles_of_layer = layer.gemms * tile_count(layer.shape, self.rows, self.cols)
        return tiles_of_layer * max(0, self._tile_cycles(layer) - cycles + 1)

    def starts(self, cycles: int = 1) -> int:
        """Return how many windows of so many cycles there are; every one lies in one tile."""
        return sum(self._layer_starts(layer, cycles) for layer in self.layers)

    def locate(self, start: int, cycles: int = 1) -> Window:
        """Return a window by its number in ``[0, starts(cycles))``; for one cycle, that of the scheduled cycle."""
        rest = start
        for number, layer in enumerate(self.layers):
            if rest < self._layer_starts(layer, cycles):
                tile_number, first = divmod(rest, self._tile_cycles(layer) - cycles + 1)
                gemm, tile = divmod(tile_number, tile_count(layer.shape, self.rows, self.cols))
                return Window(layer=number, gemm=gemm, tile=tile, first_cycle=first, cycles=cycles)
            rest -= self._layer_starts(layer, cycles)
        raise IndexError(f"scheduled cycle must be between 0 and {self.starts(cycles) - 1}, not {start}")

    def check_window(self, window: Window) -> None:
        """Check that a window lies inside the schedule.

        Raises
        ------
        FaultError
            Naming the first number that is too large, and its limit.
        """

        def check(what: str, given: int, count: int) -> None:
            if given >= count:
                raise FaultError(f"window {window}: {what} must be between 0 and {count - 1}, not {given}")

        check("layer", window.layer, len(self.layers))
        layer = self.layers[window.layer]
        check("gemm", window.gemm, layer.gemms)
        tile_of(window, layer.shape, self.rows, self.cols)
        check("last cycle", window.first_cycle + window.cycles - 1, self._tile_cycles(layer))

    def to_json(self) -> dict[str, object]:
        """Return the schedule as plain JSON values."""
        layers = [[layer.gemms, layer.shape.m, layer.shape.k, layer.shape.n] for layer in self.layers]
        return {"rows": self.rows, "cols": self.cols, "layers": layers}

    @classmethod
    def from_json(cls, value: Any) -> Schedule:
        """Rebuild from `to_json`; unknown or missing keys are an error."""
        if not isinstance(value, dict) or set(value) != {"rows", "cols", "layers"}:
            raise FaultError(f"a schedule must have the keys rows, cols, layers, not {value!r}")
        gemms = [(count, GemmShape(m=m, k=k, n=n)) for count, m, k, n in value["layers"]]
        return cls.of(gemms, value["rows"], value["cols"])
