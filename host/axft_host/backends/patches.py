"""What one fault changes in the accumulators of one layer.

Permanent faults of operands change whole matrix products, of masked operands; they run at matrix speed. Everything
else (faults of a product or a partial sum, faults with a window) is replayed step by step for the outputs of the
PEs it reaches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.banks import Bank
from axft_host.backends.effects import Pattern, PeEffect, bits_changed, combine, pe_effects
from axft_host.backends.planes import Floats, Planes
from axft_spec.config import ArrayConfig
from axft_spec.faults import Fault, FaultKind, Site, force
from axft_spec.numeric import wrap
from axft_spec.schedule import tile_of

__all__ = ["LayerEffect", "LayerInput", "layer_effect"]

Int64 = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class LayerInput:
    """The input of one layer for a batch of images.

    Members
    -------
    raw : float array, shape (features + 1, images)
        Activations; the last row holds zeros, for padding.
    planes : float array, shape (planes x (features + 1), images)
        Their planes, one after the other.
    """

    raw: Floats
    planes: Floats

    @classmethod
    def of(cls, features: Floats, planes: Planes) -> LayerInput:
        """Build from activations of shape (features, images)."""
        raw = np.zeros((features.shape[0] + 1, features.shape[1]), dtype=planes.operand_dtype)
        raw[:-1] = features
        if planes.identity:
            return cls(raw, raw)
        expanded = planes.of_activations(raw.astype(np.int64))
        return cls(raw, expanded.reshape(-1, raw.shape[1]).astype(planes.operand_dtype))

    def take(self, images: NDArray[np.intp]) -> LayerInput:
        """Return the input of some of the images."""
        raw = self.raw[:, images]
        return LayerInput(raw, raw if self.planes is self.raw else self.planes[:, images])


class Patch(Protocol):
    """A change of some accumulators, ready to run on any batch."""

    #: Rows of the accumulators that may change, shape (rows,).
    targets: Int64

    def apply(self, inputs: LayerInput) -> tuple[Floats, Int64 | int]:
        """Return what to add, shape (rows, images), and the activations counted on the way, per image."""


@dataclass(slots=True)
class WeightPatch:
    """Weights forced for good, where no sum can wrap: one product with the difference of the weight planes."""

    targets: Int64
    #: Rows of the input planes, shape (outputs, steps).
    gather: Int64
    #: Difference of the weight planes, shape (columns, steps).
    difference: Floats

    def apply(self, inputs: LayerInput) -> tuple[Floats, int]:
        """See :class:`Patch`."""
        operands = inputs.planes.take(self.gather.ravel(), axis=0).reshape(*self.gather.shape, -1)
        changed = np.matmul(self.difference, operands.astype(self.difference.dtype, copy=False))
        return changed.reshape(self.targets.size, -1), 0

    def joined(self, other: WeightPatch, planes: Planes) -> WeightPatch:
        """Return one patch for two that change the same accumulators."""
        difference = np.concatenate([self.difference, other.difference], axis=1)
        return WeightPatch(
            self.targets,
            np.concatenate([self.gather, other.gather], axis=1),
            difference.astype(planes.sum_dtype(difference)),
        )


@dataclass(slots=True)
class OperandPatch:
    """Operands forced for good: the product of forced operands, less that of the clean ones, each wrapped."""

    targets: Int64
    config: ArrayConfig
    planes: Planes
    kind: FaultKind
    #: Rows of the raw input, shape (outputs, k).
    gather: Int64
    pattern: Pattern
    #: Planes of the weights, shape (columns, planes x k), clean and forced.
    clean: Floats
    forced: Floats

    def apply(self, inputs: LayerInput) -> tuple[Floats, int]:
        """See :class:`Patch`."""
        raw = inputs.raw.take(self.gather.ravel(), axis=0).astype(np.int64)
        forced = force(raw, self.kind, self.pattern, self.config.width)
        return self._sums(self.forced, forced) - self._sums(self.clean, raw), 0

    def _sums(self, weights: Floats, activations: Int64) -> Floats:
        outputs, k = self.gather.shape
        expanded = self.planes.of_activations(activations).reshape(self.planes.count, outputs, k, -1)
        operands = expanded.transpose(1, 0, 2, 3).reshape(outputs, self.planes.count * k, -1)
        sums = np.matmul(weights, operands.astype(weights.dtype)).reshape(self.targets.size, -1)
        return np.asarray(wrap(sums.astype(np.int64), self.config.acc_bits), dtype=np.float64)


@dataclass(slots=True)
class ReplayPatch:
    """The outputs of one PE, step by step."""

    targets: Int64
    config: ArrayConfig
    kind: FaultKind
    effect: PeEffect
    #: Rows of the raw input, shape (outputs, k).
    gather: Int64
    #: Weights, shape (k, columns).
    weights: Int64

    def apply(self, inputs: LayerInput) -> tuple[Floats, Int64]:
        """See :class:`Patch`."""
        images = inputs.raw.shape[1]
        operands = inputs.raw.take(self.gather.ravel(), axis=0).astype(np.int64).reshape(*self.gather.shape, images)
        forced_operands = self._forced(operands, self.effect.operand(self.kind, Site.ACTIVATION), 1)
        forced_weights = self._forced(self.weights, self.effect.operand(self.kind, Site.WEIGHT), 0)
        activated = np.zeros(images, dtype=np.int64)
        difference = []
        for column in range(self.weights.shape[1]):
            clean = self.config.multiply(self.weights[:, column, None], operands).sum(axis=1)
            products = self.config.multiply(forced_weights[:, column, None], forced_operands)
            psums = self._accumulate(self._force_products(products, activated), activated)
            difference.append(psums - wrap(clean, self.config.acc_bits))
        return np.stack(difference, axis=1).reshape(self.targets.size, images).astype(np.float64), activated

    def _forced(self, value: Int64, pattern: Pattern, axis: int) -> Int64:
        """Force values along whose `axis` the steps run."""
        if np.ndim(pattern):
            pattern = np.reshape(pattern, [-1 if index == axis else 1 for index in range(value.ndim)])
        return np.asarray(force(value, self.kind, pattern, self.config.width))

    def _force_products(self, products: Int64, activated: Int64) -> Int64:
        """Force products, shape (outputs, k, images), and count."""
        pattern = self.effect.own.get(Site.PRODUCT, 0)
        if not np.any(pattern):
            return products
        pattern = np.reshape(pattern, (-1, 1))
        bits = self.config.product_bits
        # A permanent pattern broadcasts over the steps, one with a window is as long as they are.
        activated += bits_changed(self.config, self.kind, Site.PRODUCT, products, pattern, bits).sum(axis=(0, 1))
        return np.asarray(force(products, self.kind, pattern, bits))

    def _accumulate(self, products: Int64, activated: Int64) -> Int64:
        """Sum products, shape (outputs, k, images), forcing the partial sum where it is armed."""
        bits = self.config.acc_bits
        pattern = np.broadcast_to(self.effect.own.get(Site.PSUM, 0), products.shape[1:2])
        totals = products.cumsum(axis=1)
        psum: Int64 = np.zeros(totals[:, 0].shape, dtype=np.int64)
        done = np.zeros_like(psum)
        for step in np.flatnonzero(pattern):
            written = wrap(psum + totals[:, step] - done, bits)
            mask = int(pattern[step])
            activated += bits_changed(self.config, self.kind, Site.PSUM, written, mask, bits).sum(axis=0)
            psum, done = force(written, self.kind, mask, bits), totals[:, step]
        return np.asarray(wrap(psum + totals[:, -1] - done, bits))


@dataclass(slots=True)
class ActivationCounter:
    """Counts the activations at the activation sites of one PE, which depend on the images."""

    config: ArrayConfig
    kind: FaultKind
    #: Rows of the raw input, shape (outputs, k), and how many columns of outputs use each.
    gather: Int64
    columns: int
    before: Pattern
    site: Site
    own: Pattern

    def count(self, inputs: LayerInput) -> Int64:
        """Return the count of each image."""
        values = inputs.raw.take(self.gather.ravel(), axis=0).astype(np.int64).reshape(*self.gather.shape, -1)
        steps = (-1, 1)
        width = self.config.width
        arriving = force(values, self.kind, np.reshape(self.before, steps), width)
        changed = bits_changed(self.config, self.kind, self.site, arriving, np.reshape(self.own, steps), width)
        return np.asarray(changed.sum(axis=(0, 1)) * self.columns)


@dataclass(slots=True)
class LayerEffect:
    """All that one fault does to one layer, for any input.

    Members
    -------
    patches : list of Patch
    activated : int
        Activations that do not depend on the images.
    counters : list of ActivationCounter
        Those that do, at activation sites; those at products and partial sums are counted by the patches.
    """

    patches: list[Patch] = field(default_factory=list)
    activated: int = 0
    counters: list[ActivationCounter] = field(default_factory=list)

    @property
    def targets(self) -> Int64:
        """Rows of the accumulators that may change, sorted, without repetition."""
        rows = [patch.targets for patch in self.patches]
        return np.unique(np.concatenate(rows)) if rows else np.zeros(0, dtype=np.int64)


def layer_effect(banks: list[Bank], layer: int, fault: Fault, config: ArrayConfig, planes: Planes) -> LayerEffect:
    """Work out what a fault does to a layer.

    Parameters
    ----------
    banks : list of Bank
        The layer's GEMMs.
    layer : int
        Number of the layer.
    fault : Fault
    config : ArrayConfig
        The logical array.
    planes : Planes
        Of this configuration.
    """
    effect = LayerEffect()
    window = fault.window
    joined: dict[bytes, WeightPatch] = {}
    for bank in banks:
        m, n, gemms = np.arange(bank.shape.m), np.arange(bank.shape.n), np.arange(len(bank.gemms))
        if window is not None:
            if window.layer != layer or window.gemm not in bank.gemms:
                continue
            tile = tile_of(window, bank.shape, config.rows, config.cols)
            m, n = m[tile.row0 : tile.row0 + tile.rows], n[tile.col0 : tile.col0 + tile.cols]
            gemms = np.array([bank.gemms.index(window.gemm)])
        _Worker(bank, fault, config, planes, effect, joined, (m, n, gemms)).run()
    effect.patches.extend(joined.values())
    return effect


@dataclass(slots=True)
class _Worker:
    """One bank under one fault; fills in a `LayerEffect`. `outputs` = m, n and GEMMs that the fault may reach."""

    bank: Bank
    fault: Fault
    config: ArrayConfig
    planes: Planes
    effect: LayerEffect
    joined: dict[bytes, WeightPatch]
    outputs: tuple[Int64, Int64, Int64]

    def run(self) -> None:
        """Sort the PEs reached into rectangles that share patterns, and single ones."""
        m, n, _ = self.outputs
        used = min(self.config.rows, m.size), min(self.config.cols, n.size)
        effects = pe_effects(self.fault, *used, self.bank.shape.k)
        alike: dict[tuple[int, int], dict[int, list[int]]] = {}
        for (row, col), pe in effects.items():
            self._count(row, col, pe)
            weight = pe.operand(self.fault.kind, Site.WEIGHT)
            activation = pe.operand(self.fault.kind, Site.ACTIVATION)
            if self.fault.window is not None or Site.PRODUCT in pe.own or Site.PSUM in pe.own:
                self._replay(row, col, pe)
            elif weight or activation:
                alike.setdefault((weight, activation), {}).setdefault(col, []).append(row)
        for patterns, columns in alike.items():
            by_rows: dict[tuple[int, ...], list[int]] = {}
            for col, members in columns.items():
                by_rows.setdefault(tuple(sorted(members)), []).append(col)
            for shared_rows, cols in by_rows.items():
                self._rectangle(shared_rows, cols, patterns)

    def _places(self, rows: Sequence[int], cols: Sequence[int]) -> tuple[Int64, Int64]:
        """Return the outputs (m, n) that some rows and columns of PEs make."""
        m, n, _ = self.outputs
        first_m, first_n = m - m[0], n - n[0]
        return m[np.isin(first_m % self.config.rows, rows)], n[np.isin(first_n % self.config.cols, cols)]

    def _targets(self, m: Int64, n: Int64) -> Int64:
        """Return the accumulators of outputs, in the order (m, GEMM, n)."""
        targets = self.bank.targets[self.outputs[2]][:, m][:, :, n]
        return targets.transpose(1, 0, 2).ravel()

    def _weights(self, n: Int64) -> Int64:
        """Return weights of shape (k, GEMMs x n)."""
        weights = self.bank.weights[:, self.outputs[2]][:, :, n]
        return weights.reshape(weights.shape[0], -1)

    def _rectangle(self, rows: Sequence[int], cols: Sequence[int], patterns: tuple[int, int]) -> None:
        m, n = self._places(rows, cols)
        weights = self._weights(n)
        weight, activation = patterns
        k = weights.shape[0]
        clean = self.planes.of_weights(weights).reshape(-1, weights.shape[1])
        forced = self.planes.of_weights(force(weights, self.fault.kind, weight, self.config.width))
        forced = forced.reshape(clean.shape)
        targets = self._targets(m, n)
        if activation or not self.planes.cannot_wrap(k):
            dtype = self.planes.sum_dtype(np.concatenate([clean, forced], axis=1).T)
            patch = OperandPatch(
                targets=targets,
                config=self.config,
                planes=self.planes,
                kind=self.fault.kind,
                gather=self.bank.index[m],
                pattern=activation,
                clean=clean.T.astype(dtype),
                forced=forced.T.astype(dtype),
            )
            self.effect.patches.append(patch)
            return
        difference = (forced - clean).T
        steps = np.flatnonzero(difference.any(axis=0))
        if not steps.size:
            return
        plane, step = np.divmod(steps, k)
        difference = difference[:, steps]
        part = WeightPatch(
            targets,
            self.bank.index[m[:, None], step] + plane * self.bank.stride,
            difference.astype(self.planes.sum_dtype(difference)),
        )
        key = targets.tobytes()
        self.joined[key] = self.joined[key].joined(part, self.planes) if key in self.joined else part

    def _replay(self, row: int, col: int, pe: PeEffect) -> None:
        m, n = self._places([row], [col])
        gather, weights, effect = self.bank.index[m], self._weights(n), pe
        if self.fault.window is not None and Site.PSUM not in pe.own and self.planes.cannot_wrap(weights.shape[0]):
            # Without wrapping, the sum over the other steps cancels in the difference.
            armed = [pe.weight_before, pe.activation_before, *pe.own.values()]
            steps = np.flatnonzero(np.any([np.broadcast_to(pattern, gather.shape[1:]) for pattern in armed], axis=0))
            if not steps.size:
                return  # flips of one bit on one line that cancel
            gather, weights = gather[:, steps], weights[steps]
            effect = replace(
                pe,
                weight_before=_at(pe.weight_before, steps),
                activation_before=_at(pe.activation_before, steps),
                own={site: _at(pattern, steps) for site, pattern in pe.own.items()},
            )
        self.effect.patches.append(
            ReplayPatch(self._targets(m, n), self.config, self.fault.kind, effect, gather, weights)
        )

    def _count(self, row: int, col: int, pe: PeEffect) -> None:
        m, n = self._places([row], [col])
        weights = self._weights(n)
        kind, width = self.fault.kind, self.config.width
        for site in (Site.WEIGHT, Site.WEIGHT_OPERAND):
            if site in pe.own:
                before = pe.weight_before
                if site is Site.WEIGHT_OPERAND:
                    before = combine(kind, before, pe.own.get(Site.WEIGHT, 0))
                arriving = force(weights, kind, np.reshape(before, (-1, 1)), width)
                own = np.reshape(pe.own[site], (-1, 1))
                self.effect.activated += m.size * int(bits_changed(self.config, kind, site, arriving, own, width).sum())
        for site in (Site.ACTIVATION, Site.ACTIVATION_OPERAND):
            if site in pe.own:
                before = pe.activation_before
                if site is Site.ACTIVATION_OPERAND:
                    before = combine(kind, before, pe.own.get(Site.ACTIVATION, 0))
                self.effect.counters.append(
                    ActivationCounter(
                        self.config, kind, self.bank.index[m], weights.shape[1], before, site, pe.own[site]
                    )
                )


def _at(pattern: Pattern, steps: Int64) -> Pattern:
    """Return a pattern at some steps; 0 stays 0."""
    return pattern[steps] if np.ndim(pattern) else pattern
