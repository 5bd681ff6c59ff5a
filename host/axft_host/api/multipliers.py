"""Multipliers: the published parts, their errors over all operands, and what they save."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from axft_host.api.keywords import by_keywords
from axft_host.reports.catalogue import configuration_rows, multiplier_rows
from axft_spec.config import PRESETS
from axft_spec.errors import ConfigError
from axft_spec.multipliers import PARTS, ErrorFigures, Multiplier, error_figures, find_multiplier, truth_table

__all__ = ["MultiplierErrors", "configs", "multiplier", "multipliers"]

Int64 = NDArray[np.int64]


def configs() -> pd.DataFrame:
    """Return the configurations that ``--config`` names, as ``axft-hw configs`` lists them, with the study's rows.

    Returns
    -------
    DataFrame
        Indexed by name. `energy_reduction` is a fraction; the columns that begin with ``paper_`` are in percent.
    """
    table = pd.DataFrame(configuration_rows(PRESETS.values()))
    for column in ("accuracy", "masked", "tolerable", "critical"):
        table[f"paper_{column}"] = [getattr(preset.paper, column) for preset in PRESETS.values()]
    return table.set_index("name")


@by_keywords
def multipliers(width: int = 12) -> pd.DataFrame:
    """Return the published parts with their errors computed here, as ``axft-hw multipliers`` lists them.

    Parameters
    ----------
    width : int
        Of the operands that the errors are of, in bits, 2 to 13.

    Returns
    -------
    DataFrame
        Indexed by name: `omit_a`, `omit_b`, `vbreak`; `mae`, `wce` in units of the last place, `ep` a fraction; and
        `power_mw`, `area_um2`, `delay_ns` as published for 12 bits.
    """
    rows = [(part, error_figures(part.multiplier, width)) for part in PARTS.values()]
    return pd.DataFrame(multiplier_rows(rows, width)).set_index("name")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MultiplierErrors:
    """A multiplier for operands of one width, with its errors over all of them.

    Members
    -------
    multiplier : Multiplier
        Its parameters, and ``compute(a, b, width)``.
    width : int
        Of its operands, in bits.
    figures : ErrorFigures
        `mae`, `wce` in units of the last place, `ep` a fraction.
    """

    multiplier: Multiplier
    width: int
    figures: ErrorFigures

    @property
    def name(self) -> str:
        """What it is called."""
        return self.multiplier.name

    @property
    def operands(self) -> Int64:
        """All values of an operand, in order: what rows and columns of `products` and `errors` stand for."""
        return np.arange(-(1 << (self.width - 1)), 1 << (self.width - 1), dtype=np.int64)

    @property
    def products(self) -> Int64:
        """Every product, operand A along axis 0 and B along axis 1; shape (2**width, 2**width)."""
        return truth_table(self.multiplier, self.width).astype(np.int64)

    @property
    def errors(self) -> Int64:
        """Product less the exact one, for every pair of operands; shape as that of `products`."""
        return self.products - self.operands[:, None] * self.operands

    @property
    def mean_error(self) -> float:
        """Mean of the errors with their sign: what `compensate` cancels, were all operands equally frequent."""
        return float(self.errors.mean())

    def compute(self, a: int | Int64 | Sequence[int], b: int | Int64 | Sequence[int]) -> Int64:
        """Return products, bit for bit as the hardware does them.

        Parameters
        ----------
        a, b : int, ndarray of int64 or sequence of int
            Operands of `width` bits, broadcast against each other.

        Raises
        ------
        ConfigError
            If an operand has more bits.
        """
        left, right = self._operand("a", a), self._operand("b", b)
        return np.asarray(self.multiplier.compute(left, right, self.width))

    def _operand(self, name: str, given: int | Int64 | Sequence[int]) -> Int64:
        values = np.asarray(given)
        low, high = -(1 << (self.width - 1)), (1 << (self.width - 1)) - 1
        # Before they become 64 bits wide, which larger numbers do not survive.
        wrong = values[(values < low) | (values > high)]
        if wrong.size:
            raise ConfigError(
                f"{name} must be between {low} and {high} for operands of {self.width} bits, not {wrong[0]}"
            )
        return values.astype(np.int64)


@by_keywords
def multiplier(name: str, width: int = 8) -> MultiplierErrors:
    """Return a multiplier with its errors.

    Parameters
    ----------
    name : str
        ``exact``, or a published part such as ``34P`` or ``mul12s_34P``.
    width : int
        Of the operands, in bits, 2 to 13. The array's are 8 bits wide.

    Raises
    ------
    ConfigError
        If there is no such part, or the width is too large for a table.

    Examples
    --------
    >>> multiplier("34P").compute(9, 15)
    array(64)
    """
    found = find_multiplier(name)
    return MultiplierErrors(multiplier=found, width=width, figures=error_figures(found, width))
