"""The array cycle by cycle: which operand is in which PE, and what a fault changes there."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axft_host.api.config import Config, as_config
from axft_host.api.keywords import by_keywords, shown
from axft_host.api.player import player
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError, FaultError
from axft_spec.faults import Fault, check_fault, parse_fault
from axft_spec.reference import TileRun, run_tile

__all__ = ["Trace", "trace"]

Int64 = NDArray[np.int64]
Flags = NDArray[np.bool_]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Trace:
    """One tile on the array, as the cycle-accurate reference model runs it.

    Arrays have the axes cycle, row, column. During cycle t, PE(r, c) holds the operands of step ``t - r - c``.

    Members
    -------
    config : ArrayConfig
    fault : Fault or None
    activations, weights : ndarray of int64, shape (m, k) and (k, n)
        What is multiplied.
    weight, activation : ndarray of int64, shape (cycles, rows, cols)
        The input registers during the cycle, before a fault acts on them; 0 where no operand is.
    has_weight, has_activation : ndarray of bool, same shape
        Where one is.
    psum : ndarray of int64, same shape
        The partial sum after the cycle.
    golden_psum : ndarray of int64, same shape
        The same without the fault.
    activated : int
        Number of (armed bit, valid step) where the forced value differs.
    psums : ndarray of int64, shape (m, n)
        What drain reads at the end.
    """

    config: ArrayConfig
    fault: Fault | None
    activations: Int64
    weights: Int64
    weight: Int64
    activation: Int64
    has_weight: Flags
    has_activation: Flags
    psum: Int64
    golden_psum: Int64
    activated: int
    psums: Int64

    def __len__(self) -> int:
        """Return the number of cycles."""
        return len(self.psum)

    @property
    def valid(self) -> Flags:
        """Where a PE accumulates: shape (cycles, rows, cols)."""
        return self.has_weight & self.has_activation

    @property
    def differs(self) -> Flags:
        """Where the partial sum is not the golden one: shape (cycles, rows, cols)."""
        return np.asarray(self.psum != self.golden_psum)

    def pe(self, row: int, col: int) -> pd.DataFrame:
        """Return the steps of one PE: `cycle`, `step`, `activation`, `weight`, `psum`, `golden_psum`, one row each."""
        cycles = np.flatnonzero(self.valid[:, row, col])
        values = {name: getattr(self, name)[cycles, row, col] for name in _COLUMNS}
        return pd.DataFrame({"cycle": cycles, "step": cycles - row - col, **values})

    def at(self, cycle: int) -> pd.DataFrame:
        """Return the PEs in one cycle as a table of texts: activation x weight, and the partial sum after it."""
        rows, cols = self.psum.shape[1:]
        texts = [[self._text(cycle, row, col) for col in range(cols)] for row in range(rows)]
        return pd.DataFrame(texts).rename_axis(index="row", columns="col")

    def _text(self, cycle: int, row: int, col: int) -> str:
        place = cycle, row, col
        activation = str(self.activation[place]) if self.has_activation[place] else "-"
        weight = str(self.weight[place]) if self.has_weight[place] else "-"
        return f"{activation} x {weight} | {self.psum[place]}"

    def _repr_html_(self) -> str:
        return player(self)


_COLUMNS = ("activation", "weight", "psum", "golden_psum")


@by_keywords
def trace(
    config: Config | ArrayConfig | str,
    activations: Sequence[Sequence[int]] | Int64,
    weights: Sequence[Sequence[int]] | Int64,
    fault: str | Fault | None = None,
) -> Trace:
    """Run one tile on the cycle-accurate reference model, and keep the state of every cycle.

    In a notebook it shows the array with a slider over the cycles.

    Parameters
    ----------
    config : Config, ArrayConfig or str
        Such as ``Config("8P", array="3x3")``.
    activations : array of int, shape (m, k)
        With at most as many rows as the array.
    weights : array of int, shape (k, n)
        With at most as many columns as the array.
    fault : str or Fault, optional
        Such as ``weight:r1:c0:b6:sa1``; a window is taken to be one of this tile.

    Raises
    ------
    ConfigError
        If the operands do not fit together, into the array or into its operands' width.
    FaultError
        If the array has no such fault.

    Examples
    --------
    >>> run = trace(Config("8P", array="2x2"), [[1, 2], [3, 4]], [[5, 6], [7, 8]])
    >>> run.psums
    array([[19, 22],
           [43, 50]])
    >>> len(run)
    4
    """
    array = config if isinstance(config, ArrayConfig) else as_config(config).array_config
    armed = parse_fault(fault) if isinstance(fault, str) else fault
    if armed is not None:
        check_fault(armed, array)
        if armed.window is not None and armed.window.tile:
            raise FaultError(f"fault {armed}: a traced tile is tile 0, not {armed.window.tile}")
    a, w = _operands("activations", activations), _operands("weights", weights)
    golden = run_tile(array, a, w, None, trace=True)
    run = golden if armed is None else run_tile(array, a, w, armed, trace=True)
    weight, has_weight = _column(run, 0)
    activation, has_activation = _column(run, 1)
    return Trace(
        config=array,
        fault=armed,
        activations=a,
        weights=w,
        weight=weight,
        activation=activation,
        has_weight=has_weight,
        has_activation=has_activation,
        psum=_column(run, 2)[0],
        golden_psum=_column(golden, 2)[0],
        activated=run.activated,
        psums=run.psums,
    )


def _operands(name: str, given: Sequence[Sequence[int]] | Int64) -> Int64:
    """Return operands as an array, if they are whole numbers in rows of one length."""
    try:
        values = np.asarray(given)
        whole = values.astype(np.int64)
    except (TypeError, ValueError):
        raise ConfigError(f"{name} must be rows of one length, of whole numbers, not {shown(given)}") from None
    if values.dtype.kind not in "iu" and not np.array_equal(whole, values):
        raise ConfigError(f"{name} must be whole numbers, not {shown(given)}")
    return np.atleast_2d(whole)


def _column(run: TileRun, place: int) -> tuple[Int64, Flags]:
    """Return one member of all states, 0 where there is none, and where there is one."""
    values = [[[pe[place] for pe in line] for line in state] for state in run.states]
    there = np.array([[[value is not None for value in line] for line in state] for state in values], dtype=np.bool_)
    numbers = [[[0 if value is None else value for value in line] for line in state] for state in values]
    return np.array(numbers, dtype=np.int64), there
