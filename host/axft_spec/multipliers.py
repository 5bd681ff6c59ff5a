"""The family of signed multipliers that EvoApproxLib's 12-bit Pareto sets consist of.

A Baugh-Wooley array from which partial products are left out. With two's complement operands A and B::

    product = sum over kept (i, j) of  s(i, j) * a_i * b_j * 2**(i + j)
    kept:   i >= omit_a  and  j >= omit_b  and  i + j >= vbreak
    s(i,j): -1 if exactly one of i, j is the sign bit, else +1

which is the same as: clear the low `omit_a` bits of A and the low `omit_b` bits of B, multiply exactly, and
subtract the partial products with ``i + j < vbreak``. All fourteen parts ``mul12s_*`` of EvoApproxLib v1.2022
(Mrazek et al., "EvoApprox8b", DATE 2017; https://ehw.fit.vutbr.cz/evoapproxlib/) are members; their published
figures stand beside the parameters. Any other member costs nothing to add.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ConfigError, check_int, unknown_name

__all__ = [
    "EXACT",
    "PARTS",
    "PART_WIDTH",
    "ErrorFigures",
    "Multiplier",
    "Part",
    "error_figures",
    "find_multiplier",
    "find_part",
    "truth_table",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Multiplier:
    """One member of the family, for operands of any width.

    Parameters
    ----------
    name : str
        Name in reports.
    omit_a, omit_b : int
        Low bits of operand A and of operand B that the multiplier ignores.
    vbreak : int
        Vertical break: partial products of a weight below ``2**vbreak`` are left out.
    """

    name: str
    omit_a: int = 0
    omit_b: int = 0
    vbreak: int = 0

    def __post_init__(self) -> None:
        for field in ("omit_a", "omit_b", "vbreak"):
            check_int(field, getattr(self, field), 0, 15)

    @property
    def exact(self) -> bool:
        """Whether no partial product is left out."""
        return self.omit_a == self.omit_b == self.vbreak == 0

    @property
    def zero_bits(self) -> int:
        """Number of low product bits that are always 0."""
        return max(self.omit_a + self.omit_b, self.vbreak)

    def dropped_rows(self, width: int) -> range:
        """Rows i of A's bits of which the vertical break still drops partial products."""
        return range(self.omit_a, min(width, max(self.vbreak - self.omit_b, self.omit_a)))

    def compute(self, a: Any, b: Any, width: int) -> Any:
        """Multiply, bit for bit as the hardware does.

        Parameters
        ----------
        a, b : int or ndarray of int64
            Operands in ``[-2**(width-1), 2**(width-1) - 1]``, broadcast against each other.
        width : int
            Width of the multiplier's operands in bits, the sign bit included. An operand of fewer bits is
            sign-extended by being a number.

        Returns
        -------
        int or ndarray of int64
            The product, exact for an exact multiplier, else the approximation.
        """
        kept_a = a >> self.omit_a << self.omit_a if self.omit_a < width else a * 0
        kept_b = b >> self.omit_b << self.omit_b if self.omit_b < width else b * 0
        product = kept_a * kept_b
        for i in self.dropped_rows(width):
            row = self._signed_low(kept_b, self.vbreak - i, width) * ((kept_a >> i) & 1) << i
            product = product + row if i == width - 1 else product - row
        return product

    @staticmethod
    def _signed_low(value: Any, count: int, width: int) -> Any:
        """Return the value of the low `count` bits, the sign bit (if among them) counting negative."""
        if count >= width:
            return value
        return value & ((1 << count) - 1)

    def largest_product(self, width: int) -> int:
        """Return a bound on the magnitude of any product of two `width`-bit operands."""
        dropped = sum(((1 << max(self.vbreak - i, 0)) - 1) << i for i in self.dropped_rows(width))
        return (1 << (2 * width - 2)) + dropped

    def to_json(self) -> dict[str, object]:
        """Return the parameters as plain JSON values."""
        return {"name": self.name, "omit_a": self.omit_a, "omit_b": self.omit_b, "vbreak": self.vbreak}

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Multiplier:
        """Rebuild from `to_json`; unknown or missing keys are an error."""
        keys = {"name", "omit_a", "omit_b", "vbreak"}
        if not isinstance(value, dict) or set(value) != keys:
            raise ConfigError(f"multiplier must have the keys {sorted(keys)}, not {value!r}")
        return cls(**value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """A published part: its multiplier and the library's figures (45 nm PDK; 12-bit operands).

    Power is in mW, area in square micrometres, delay in ns, as EvoApproxLib v1.2022 states them.
    """

    multiplier: Multiplier
    power_mw: float
    area_um2: float
    delay_ns: float

    @property
    def name(self) -> str:
        """Short name, as in ``mul12s_<name>``."""
        return self.multiplier.name


#: The exact multiplier, for any width.
EXACT = Multiplier(name="exact")

#: Operand width of the published parts, in bits.
PART_WIDTH = 12


def _part(name: str, omit_a: int, omit_b: int, vbreak: int, power: float, area: float, delay: float) -> Part:
    multiplier = Multiplier(name=name, omit_a=omit_a, omit_b=omit_b, vbreak=vbreak)
    return Part(multiplier=multiplier, power_mw=power, area_um2=area, delay_ns=delay)


#: The fourteen 12-bit signed parts, in order of growing error. 2PP is exact.
PARTS: dict[str, Part] = {
    part.name: part
    for part in (
        _part("2PP", 0, 0, 0, 1.210, 1650.5, 2.33),
        _part("2PQ", 0, 0, 1, 1.205, 1644.4, 2.34),
        _part("2PR", 0, 0, 2, 1.200, 1631.8, 2.32),
        _part("2PS", 0, 0, 3, 1.189, 1605.9, 2.32),
        _part("2PT", 0, 0, 4, 1.168, 1564.2, 2.30),
        _part("2QD", 1, 0, 0, 1.093, 1528.0, 2.24),
        _part("2QE", 1, 0, 2, 1.091, 1524.3, 2.26),
        _part("2QH", 1, 0, 5, 1.055, 1443.6, 2.22),
        _part("2R5", 2, 0, 5, 0.948, 1395.2, 2.12),
        _part("2RP", 3, 0, 0, 0.850, 1300.4, 1.99),
        _part("2TE", 6, 0, 0, 0.497, 874.8, 1.78),
        _part("34K", 1, 1, 0, 0.965, 1385.4, 2.13),
        _part("34M", 2, 2, 0, 0.756, 1145.1, 1.91),
        _part("34P", 3, 3, 0, 0.579, 925.0, 1.70),
    )
}


def find_part(name: str) -> Part:
    """Return the published part called `name` (``34P`` or ``mul12s_34P``, in any case).

    Raises
    ------
    ConfigError
        If there is none; the message lists the parts.
    """
    short = name[len("mul12s_") :] if name.lower().startswith("mul12s_") else name
    for part in PARTS.values():
        if part.name.lower() == short.lower():
            return part
    raise ConfigError(unknown_name("multiplier", name, PARTS))


def find_multiplier(name: str) -> Multiplier:
    """Return the multiplier called `name`: ``exact`` or one of the published parts."""
    return EXACT if name.lower() == EXACT.name else find_part(name).multiplier


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorFigures:
    """Errors over all operand pairs of one width.

    Members
    -------
    mae : float
        Mean absolute error, in units of the product's last place.
    wce : int
        Worst-case (largest absolute) error.
    ep : float
        Error probability, a fraction of all pairs.
    """

    mae: float
    wce: int
    ep: float


def _operands(width: int) -> NDArray[np.int64]:
    return np.arange(-(1 << (width - 1)), 1 << (width - 1), dtype=np.int64)


def truth_table(multiplier: Multiplier, width: int) -> NDArray[np.int32]:
    """Return every product of two `width`-bit operands.

    Returns
    -------
    ndarray of little-endian int32, shape (2**width, 2**width)
        Row-major: A from ``-2**(width-1)`` upwards along axis 0, B along axis 1.

    Raises
    ------
    ConfigError
        If `width` is not between 2 and 13: a table of 14-bit operands takes a gibibyte.
    """
    check_int("width of a table", width, 2, 13)
    operands = _operands(width)
    table = np.empty((operands.size, operands.size), dtype="<i4")
    for index, a in enumerate(operands):
        table[index] = multiplier.compute(a, operands, width)
    return table


def error_figures(multiplier: Multiplier, width: int) -> ErrorFigures:
    """Compute the error figures over all ``4**width`` operand pairs.

    Raises
    ------
    ConfigError
        If `width` is not between 2 and 13: four times the pairs, four times the seconds, for every further bit.
    """
    check_int("width", width, 2, 13)
    operands = _operands(width)
    absolute = wrong = worst = 0
    # Chunks of about 2**18 products stay in the processor's cache.
    rows = max(1, (1 << 18) // operands.size)
    for start in range(0, operands.size, rows):
        a = operands[start : start + rows, None]
        error = multiplier.compute(a, operands, width) - a * operands
        magnitude = np.abs(error)
        absolute += int(magnitude.sum())
        wrong += int(np.count_nonzero(error))
        worst = max(worst, int(magnitude.max()))
    pairs = operands.size**2
    return ErrorFigures(mae=absolute / pairs, wce=worst, ep=wrong / pairs)
