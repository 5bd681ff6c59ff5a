"""What an array is: its size, its operands, its multiplier, its accumulators. And the seven presets.

The presets are the rows of the table in the study this project rests on (approximate fault-tolerant
neural-network systems, ETS 2024): LeNet-5 on MNIST, a 28 x 28 output-stationary array.
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, fields, replace
from typing import Any

from axft_spec.errors import ConfigError, check_int, unknown_name
from axft_spec.multipliers import EXACT, PART_WIDTH, PARTS, Multiplier, find_multiplier

__all__ = [
    "ACC_BITS",
    "MAX_SIDE",
    "OPERANDS",
    "PRESETS",
    "ArrayConfig",
    "PaperRow",
    "Preset",
    "find_preset",
    "parse_array",
]

#: Accumulator width in bits, by operand width.
ACC_BITS = {8: 24, 16: 40}

#: Largest number of rows and of columns of a logical array.
MAX_SIDE = 64

#: What can be operand A of the multiplier; the other one is operand B.
OPERANDS = ("weight", "activation")


def canonical_digest(value: object) -> str:
    """Return the SHA-256 (hex) of a value's canonical JSON: sorted keys, no spaces, ASCII."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)
    return hashlib.sha256(text.encode()).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class ArrayConfig:
    """The logical array that outcomes are defined by.

    Parameters
    ----------
    rows, cols : int
        Processing elements (PE), 1 to 64 each.
    width : int
        Operand width in bits: 8 or 16.
    multiplier : Multiplier
        The core in every PE. A part for 12-bit operands sees 8-bit operands sign-extended; 16-bit operands
        need an exact multiplier.
    operand_a : str
        Which operand is A of the multiplier: ``weight`` or ``activation``.
    """

    rows: int = 28
    cols: int = 28
    width: int = 8
    multiplier: Multiplier = EXACT
    operand_a: str = "weight"

    def __post_init__(self) -> None:
        check_int("rows", self.rows, 1, MAX_SIDE)
        check_int("cols", self.cols, 1, MAX_SIDE)
        if self.width not in ACC_BITS:
            raise ConfigError(f"width must be 8 or 16, not {self.width!r}")
        if self.operand_a not in OPERANDS:
            raise ConfigError(unknown_name("operand A", self.operand_a, OPERANDS))
        cut = max(self.multiplier.omit_a, self.multiplier.omit_b, self.multiplier.vbreak)
        if cut >= self.width:
            # The sign bits would be cut, and products would no longer fit into twice the operands' width.
            raise ConfigError(f"omit_a, omit_b and vbreak must be below the operands' width of {self.width}, not {cut}")
        if self.width == 16 and not self.multiplier.exact:
            raise ConfigError(
                f"16-bit operands need an exact multiplier, not {self.multiplier.name} (its operands have 12 bits)"
            )

    @property
    def acc_bits(self) -> int:
        """Accumulator width in bits; partial sums wrap at it."""
        return ACC_BITS[self.width]

    @property
    def product_bits(self) -> int:
        """Width of a product in bits."""
        return 2 * self.width

    @property
    def word_bits(self) -> int:
        """Width of the multiplier's own operands, to which those of the array are sign-extended."""
        return max(self.width, PART_WIDTH)

    @property
    def omit_weight(self) -> int:
        """Low bits of a weight that the multiplier ignores."""
        return self.multiplier.omit_a if self.operand_a == "weight" else self.multiplier.omit_b

    @property
    def omit_activation(self) -> int:
        """Low bits of an activation that the multiplier ignores."""
        return self.multiplier.omit_b if self.operand_a == "weight" else self.multiplier.omit_a

    def multiply(self, weight: Any, activation: Any) -> Any:
        """Multiply weights by activations, each in its place on the multiplier.

        Parameters
        ----------
        weight, activation : int or ndarray of int64
            Broadcast against each other.

        Returns
        -------
        int or ndarray of int64
            Products, inside `product_bits` bits.
        """
        a, b = (weight, activation) if self.operand_a == "weight" else (activation, weight)
        # No dropped partial product involves a sign bit of the operands, so that their product is that of their
        # sign extensions, whatever the part's width.
        return self.multiplier.compute(a, b, self.word_bits)

    def resized(self, rows: int, cols: int) -> ArrayConfig:
        """Return the same configuration with another array size."""
        return replace(self, rows=rows, cols=cols)

    def to_json(self) -> dict[str, object]:
        """Return all fields as plain JSON values."""
        value: dict[str, object] = {field.name: getattr(self, field.name) for field in fields(self)}
        value["multiplier"] = self.multiplier.to_json()
        return value

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> ArrayConfig:
        """Rebuild from `to_json`; unknown or missing keys are an error."""
        keys = {field.name for field in fields(cls)}
        if not isinstance(value, dict) or set(value) != keys:
            raise ConfigError(f"array configuration must have the keys {sorted(keys)}, not {value!r}")
        return cls(**{**value, "multiplier": Multiplier.from_json(value["multiplier"])})

    def digest(self) -> str:
        """Return the SHA-256 (hex) of the canonical JSON form."""
        return canonical_digest(self.to_json())


def parse_array(text: str) -> tuple[int, int]:
    """Return ``(rows, cols)`` from text such as ``28x28``.

    Raises
    ------
    ConfigError
        If the text has another form or a side is not between 1 and 64.
    """
    parts = text.lower().split("x")
    if len(parts) != 2 or not all(part.isascii() and part.isdigit() for part in parts):
        raise ConfigError(f"array must be ROWSxCOLS such as 28x28, each side between 1 and {MAX_SIDE}, not {text!r}")
    rows, cols = (int(part) for part in parts)
    return check_int("rows of the array", rows, 1, MAX_SIDE), check_int("columns of the array", cols, 1, MAX_SIDE)


@dataclass(frozen=True, slots=True, kw_only=True)
class PaperRow:
    """A row of the study's table, as printed; all in percent (the last row sums to 100.2)."""

    accuracy: float
    injected: float
    masked: float
    tolerable: float
    critical: float
    energy_reduction: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Preset:
    """A named configuration, with the row of the study's table that it reproduces."""

    name: str
    config: ArrayConfig
    paper: PaperRow

    @property
    def energy_reduction(self) -> float:
        """Energy saved against the 16-bit baseline, as a fraction.

        ``1 - 0.5 (1 - 0.19 (1 - P / P_exact))`` for 8-bit operands: they halve the energy, and the multiplier,
        with a power of P, is 19% of a PE. The formula is a fit to the study's column, which it meets within
        0.1 point; the study does not state it.
        """
        if self.config.width == 16:
            return 0.0
        exact_power_mw = PARTS["2PP"].power_mw
        name = self.config.multiplier.name
        power_mw = PARTS[name].power_mw if name in PARTS else exact_power_mw
        return 1 - 0.5 * (1 - 0.19 * (1 - power_mw / exact_power_mw))


def _preset(name: str, width: int, multiplier: str, *row: float | None) -> Preset:
    energy, accuracy, injected, masked, tolerable, critical = row
    assert accuracy is not None and injected is not None
    assert masked is not None and tolerable is not None and critical is not None
    paper = PaperRow(
        accuracy=accuracy,
        injected=injected,
        masked=masked,
        tolerable=tolerable,
        critical=critical,
        energy_reduction=energy,
    )
    return Preset(name=name, config=ArrayConfig(width=width, multiplier=find_multiplier(multiplier)), paper=paper)


#: The seven rows of the study's table, in its order.
PRESETS: dict[str, Preset] = {
    preset.name: preset
    for preset in (
        _preset("Baseline", 16, "exact", None, 99.07, 10, 47.58, 29.18, 23.24),
        _preset("8P", 8, "exact", 50.0, 99.05, 19, 64.65, 23.01, 12.34),
        _preset("2PT", 8, "2PT", 50.3, 99.08, 19, 63.9, 23.79, 12.3),
        _preset("2QH", 8, "2QH", 51.21, 99.1, 19, 38.92, 44.85, 16.23),
        _preset("2R5", 8, "2R5", 52.0, 99.06, 19, 26.96, 55.69, 17.34),
        _preset("34P", 8, "34P", 55.0, 98.24, 19, 74.16, 23.01, 2.83),
        _preset("2TE", 8, "2TE", 55.6, 9.8, 19, 3.94, 27.5, 68.76),
    )
}


def find_preset(name: str) -> Preset:
    """Return the preset called `name`, in any case.

    Raises
    ------
    ConfigError
        If there is none; the message lists the presets.
    """
    for preset in PRESETS.values():
        if preset.name.lower() == name.lower():
            return preset
    raise ConfigError(unknown_name("configuration", name, PRESETS))
