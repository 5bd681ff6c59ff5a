"""What a fault does to each PE: the armed patterns that its operands, product and partial sum meet.

A fault on a line acts on every PE further down that line, by step: operand k of a column is the same number in
all its PEs, so that the patterns met by step k at PE(r, c) are those armed at or above row r in step k.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault, FaultKind, Site, force, ignored_bits

__all__ = ["PeEffect", "bits_changed", "combine", "pe_effects"]

#: An armed pattern: one for all steps, or one for each step, shape (k,).
Pattern = Any


def combine(kind: FaultKind, first: Pattern, second: Pattern) -> Pattern:
    """Return the pattern that acts like `first`, then `second`: two flips of one bit cancel."""
    return first ^ second if kind is FaultKind.FLIP else first | second


@dataclass(slots=True)
class PeEffect:
    """The patterns of one PE; 0 where nothing is armed.

    Members
    -------
    weight_before, activation_before : Pattern
        Armed on the line before this PE.
    own : dict of Site to Pattern
        Armed at this PE.
    """

    weight_before: Pattern
    activation_before: Pattern
    own: dict[Site, Pattern]

    def operand(self, kind: FaultKind, site: Site) -> Pattern:
        """Return the pattern that the multiplier's copy of an operand meets, line and copy together."""
        before, line, copy = (
            (self.weight_before, Site.WEIGHT, Site.WEIGHT_OPERAND)
            if site is Site.WEIGHT
            else (self.activation_before, Site.ACTIVATION, Site.ACTIVATION_OPERAND)
        )
        return combine(kind, combine(kind, before, self.own.get(line, 0)), self.own.get(copy, 0))


def pe_effects(fault: Fault, rows: int, cols: int, k: int) -> dict[tuple[int, int], PeEffect]:
    """Return the effect of a fault on each PE it reaches in a tile of `rows` x `cols` outputs and `k` steps.

    A permanent fault has one pattern for all steps; one with a window has a pattern for each step.
    """
    effects: dict[tuple[int, int], PeEffect] = {}

    def at(row: int, col: int) -> PeEffect:
        return effects.setdefault((row, col), PeEffect(0, 0, {}))

    for armed in fault.sites:
        if armed.row >= rows or armed.col >= cols:
            continue
        pattern: Pattern = 1 << armed.bit
        if fault.window is not None:
            steps = fault.window.steps(armed.row, armed.col, k)
            if not steps:
                continue
            pattern = np.zeros(k, dtype=np.int64)
            pattern[steps.start : steps.stop] = 1 << armed.bit
        effect = at(armed.row, armed.col)
        effect.own[armed.site] = combine(fault.kind, effect.own.get(armed.site, 0), pattern)
        if armed.site is Site.WEIGHT:
            for row in range(armed.row + 1, rows):
                reached = at(row, armed.col)
                reached.weight_before = combine(fault.kind, reached.weight_before, pattern)
        elif armed.site is Site.ACTIVATION:
            for col in range(armed.col + 1, cols):
                reached = at(armed.row, col)
                reached.activation_before = combine(fault.kind, reached.activation_before, pattern)
    return effects


def bits_changed(
    config: ArrayConfig, kind: FaultKind, site: Site, value: NDArray[np.int64], pattern: Pattern, bits: int
) -> NDArray[np.int64]:
    """Count, for each value, the armed bits that the fault changes; bits without hardware do not count.

    Parameters
    ----------
    value : ndarray of int64
        What arrives at the site.
    pattern : Pattern
        Broadcasts against `value`.
    bits : int
        Width of the value.
    """
    changed = (value ^ force(value, kind, pattern, bits)) & pattern
    changed = (changed >> ignored_bits(config, site)) << ignored_bits(config, site)
    count = np.zeros(np.shape(changed), dtype=np.int64)
    for bit in range(bits):
        count += (changed >> bit) & 1
    return count
