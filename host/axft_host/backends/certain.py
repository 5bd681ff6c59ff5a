"""Faults that are masked with certainty, on any image, and how many of them a fault space holds.

Certain are, from the weights and the schedule alone: bits that the multiplier ignores, PEs that no output uses,
windows without a valid step, and stuck-at values that every weight passing by already has. Rates count these faults
exactly; nothing runs for them.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.banks import Bank
from axft_host.backends.base import Workload
from axft_host.backends.effects import bits_changed
from axft_host.backends.stages import build_stages
from axft_spec.bitsets import count_sets_within
from axft_spec.faults import Fault, FaultKind, FaultSite, FaultSpace, Site, ignored_bits, site_bits
from axft_spec.flipflops import AnyFault, FlipFlopSpace
from axft_spec.schedule import Window, tile_of

__all__ = ["CertainMasking"]

Int64 = NDArray[np.int64]

_WEIGHT_SITES = (Site.WEIGHT, Site.WEIGHT_OPERAND)


class CertainMasking:
    """Decides for one workload which faults are certainly masked.

    Parameters
    ----------
    workload : Workload
        Its images do not matter.
    """

    def __init__(self, workload: Workload) -> None:
        self._config = workload.config
        self._layers = [stage.banks for stage in build_stages(workload.network, workload.config, workload.lowering)]
        shape = (self._config.rows, self._config.cols)
        #: Whether a PE makes any output, and the bits that any, and that all, of the weights it sees have.
        self._used = np.zeros(shape, dtype=bool)
        self._any = np.zeros(shape, dtype=np.int64)
        self._all = np.full(shape, -1, dtype=np.int64)
        for bank in self._banks():
            rows, cols = min(shape[0], bank.shape.m), min(shape[1], bank.shape.n)
            for col in range(cols):
                weights = bank.weights[:, :, col :: shape[1]]
                self._any[:rows, col] |= np.bitwise_or.reduce(weights, axis=None)
                self._all[:rows, col] &= np.bitwise_and.reduce(weights, axis=None)
            self._used[:rows, :cols] = True

    @property
    def used(self) -> NDArray[np.bool_]:
        """Which PEs make any output, shape (rows, cols)."""
        return self._used

    def _banks(self) -> list[Bank]:
        return [bank for banks in self._layers for bank in banks]

    def of(self, faults: Sequence[AnyFault]) -> NDArray[np.bool_]:
        """Return, for each fault, whether it is certainly masked; each must fit the workload.

        Of a flip-flop's fault nothing is certain.
        """
        known = (isinstance(fault, Fault) and all(self._bit(fault, armed) for armed in fault.sites) for fault in faults)
        return np.array(list(known), dtype=bool)

    def _bit(self, fault: Fault, armed: FaultSite) -> bool:
        """Return whether one armed bit can change nothing. If none can, the set cannot."""
        if armed.bit < ignored_bits(self._config, armed.site):
            return True
        if fault.window is not None:
            return self._in_window(fault.window, fault.kind, armed)
        if not self._used[armed.row, armed.col]:
            return True
        if armed.site not in _WEIGHT_SITES:
            return False
        if fault.kind is FaultKind.STUCK_AT_1:
            return bool(self._all[armed.row, armed.col] >> armed.bit & 1)
        return fault.kind is FaultKind.STUCK_AT_0 and not self._any[armed.row, armed.col] >> armed.bit & 1

    def _in_window(self, window: Window, kind: FaultKind, armed: FaultSite) -> bool:
        bank = next(bank for bank in self._layers[window.layer] if window.gemm in bank.gemms)
        tile = tile_of(window, bank.shape, self._config.rows, self._config.cols)
        steps = window.steps(armed.row, armed.col, bank.shape.k)
        if not steps or armed.row >= tile.rows or armed.col >= tile.cols:
            return True
        if armed.site not in _WEIGHT_SITES:
            return False
        gemm = bank.gemms.index(window.gemm)
        weights = bank.weights[steps.start : steps.stop, gemm, tile.col0 + armed.col]
        return not bits_changed(self._config, kind, armed.site, weights, 1 << armed.bit, self._config.width).any()

    def count(self, space: FaultSpace | FlipFlopSpace) -> int | None:
        """Return how many faults of a space are certainly masked; exact, without listing a large space.

        None where that would take too long: of transient faults with more than one bit or cycle.
        """
        if isinstance(space, FlipFlopSpace):
            return 0
        if space.schedule is None:
            return sum(self._sets(space, kind) for kind in space.kinds)
        if space.bits > 1 or space.cycles > 1:
            return None
        return space.size - sum(self._open(kind, site) for kind in space.kinds for site in space.sites)

    def _sets(self, space: FaultSpace, kind: FaultKind) -> int:
        """Return the number of permanent faults of a kind of which no bit can change anything."""
        total = 0
        for group in space.groups():
            for row, col in np.ndindex(self._config.rows, self._config.cols):
                armed = (FaultSite(site, row, col, bit) for site, bit in group)
                certain = [self._bit(Fault(kind, (one,)), one) for one in armed]
                total += count_sets_within(certain, space.bits, space.pattern)
        return total

    def _open(self, kind: FaultKind, site: Site) -> int:
        """Return the number of one-cycle faults of a kind at a site that may change something.

        Every output has one PE, and each of its k steps one cycle: these are the valid steps.
        """
        total = 0
        bits = [bit for bit in site_bits(self._config, site) if bit >= ignored_bits(self._config, site)]
        for bank in self._banks():
            if site in _WEIGHT_SITES and kind is not FaultKind.FLIP:
                armed = sum(1 << bit for bit in bits)
                changed = bits_changed(self._config, kind, site, bank.weights, armed, self._config.width)
                total += bank.shape.m * int(changed.sum())
            else:
                total += bank.shape.m * bank.weights.size * len(bits)
        return total
