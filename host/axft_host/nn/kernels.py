"""Matrix multiplication with the approximate multipliers, exact to the bit, at the speed of BLAS.

A product of the family (see `axft_spec.multipliers`) is the exact product of the masked operands minus, for
every row i of A's bits that the vertical break touches, bit i of A times the low ``vbreak - i`` bits of B. A
sum of such products is one exact matrix product of *planes*: the masked weights beside functions of the
weights' bits, times the masked activations above functions of the activations' bits. For ``vbreak = 0`` one
plane is all.

Sums of integers are exact in float32 while no partial sum can exceed 2**24, whatever order BLAS adds them in,
and in float64 up to 2**53. The bound is computed from the weights at hand.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError
from axft_spec.numeric import wrap

__all__ = ["BitField", "Term", "WeightPlanes", "approximate_matmul", "product_terms"]

Int64 = NDArray[np.int64]
Floats = NDArray[Any]

_EXACT_FLOAT32 = 2**24
_EXACT_FLOAT64 = 2**53


@dataclass(frozen=True, slots=True)
class BitField:
    """Part of a signed operand's bits: bits `first` to `end` - 1 with their weights, the sign bit negative.

    Parameters
    ----------
    first, end : int
    word : int
        Bits of the operand on the multiplier, to which narrower ones are sign-extended.
    """

    first: int
    end: int
    word: int

    @property
    def whole(self) -> bool:
        """Whether this is all of the operand."""
        return self.first == 0 and self.end >= self.word

    def of(self, values: NDArray[Any]) -> NDArray[Any]:
        """Return that part of integers."""
        kept = values >> self.first << self.first
        # From the sign bit upwards nothing is cut off.
        return kept if self.end >= self.word else kept & ((1 << self.end) - 1)

    def largest(self, width: int) -> int:
        """Return the largest magnitude of that part of a sign-extended `width`-bit number."""
        # Clearing bits from the sign bit upwards makes a negative number larger in magnitude.
        return 1 << max(width - 1, self.first) if self.end >= self.word else (1 << self.end) - 1


@dataclass(frozen=True, slots=True)
class Term:
    """One exact product of those that add up to an approximate one: sign x part of weight x part of activation."""

    sign: int
    weight: BitField
    activation: BitField


def product_terms(config: ArrayConfig) -> tuple[Term, ...]:
    """Return the exact products whose sum is the configuration's product, the largest first.

    See `axft_spec.multipliers`: the masked operands, less, for each row i of A that the vertical break cuts, bit i of A
    times the low bits of B.
    """
    multiplier, word = config.multiplier, config.word_bits
    terms = [(1, BitField(multiplier.omit_a, word, word), BitField(multiplier.omit_b, word, word))]
    for i in multiplier.dropped_rows(word):
        # A field that reaches the sign bit counts it as negative, so that no term needs another sign than this.
        terms.append((-1, BitField(i, i + 1, word), BitField(multiplier.omit_b, multiplier.vbreak - i, word)))
    if config.operand_a == "weight":
        return tuple(Term(sign, a, b) for sign, a, b in terms)
    return tuple(Term(sign, b, a) for sign, a, b in terms)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class WeightPlanes:
    """The weights of one GEMM, prepared once and multiplied many times.

    Members
    -------
    matrix : ndarray of float32 or float64, shape (n, planes * k)
        Row j belongs to output j: its k masked weights, then k values per further plane.
    k : int
        Length of the sums.
    acc_bits : int
        Width at which psums wrap.
    may_wrap : bool
        Whether any activations could make a psum wrap.
    """

    matrix: Floats
    k: int
    acc_bits: int
    may_wrap: bool
    _fields: tuple[BitField, ...]

    @classmethod
    def prepare(cls, weights: Int64, config: ArrayConfig) -> WeightPlanes:
        """Prepare weights.

        Parameters
        ----------
        weights : ndarray of int64, shape (n, k)
            Operands of the configuration's width; note that k is the second axis.
        config : ArrayConfig
            Gives width, multiplier and the operands' places on it.

        Raises
        ------
        ConfigError
            If k is so large (above 2**22 for 16-bit operands) that float64 could not hold the sums.
        """
        planes: list[Int64] = []
        magnitude = np.zeros(weights.shape[0], dtype=np.int64)
        terms = product_terms(config)
        for term in terms:
            plane = term.sign * term.weight.of(weights)
            planes.append(plane)
            magnitude += np.abs(plane).sum(axis=1) * term.activation.largest(config.width)
        largest = int(magnitude.max()) if magnitude.size else 0
        if largest > _EXACT_FLOAT64:
            raise ConfigError(f"a GEMM with k = {weights.shape[1]} is too long: its sums may exceed 2**53")
        dtype = np.float32 if largest <= _EXACT_FLOAT32 else np.float64
        return cls(
            matrix=np.concatenate(planes, axis=1).astype(dtype),
            k=int(weights.shape[1]),
            acc_bits=config.acc_bits,
            may_wrap=largest >= 1 << (config.acc_bits - 1),
            _fields=tuple(term.activation for term in terms),
        )

    def stack(self, activations: NDArray[Any], axis: int) -> Floats:
        """Return the activations' planes, one after the other along `axis`, which has length k.

        Parameters
        ----------
        activations : ndarray of integers or of integral floats
            Operands of the configuration's width.
        axis : int
            The axis of the sums.

        Returns
        -------
        ndarray of the type of `matrix`
            ``planes`` times as long along `axis`. May be `activations` itself where nothing is to do.
        """
        if len(self._fields) == 1 and self._fields[0].whole:
            return activations.astype(self.matrix.dtype, copy=False)
        # int16 holds every operand and quarters the memory that the masks below go through.
        values = activations.astype(np.int16, copy=False)
        planes = [field.of(values).astype(self.matrix.dtype) for field in self._fields]
        return planes[0] if len(planes) == 1 else np.concatenate(planes, axis=axis)

    def rows(self, activations: NDArray[Any]) -> Floats:
        """Multiply activations of shape (..., m, k); return sums of shape (..., m, n), not wrapped."""
        return np.asarray(self.stack(activations, -1) @ self.matrix.T)

    def columns(self, activations: NDArray[Any]) -> Floats:
        """Multiply activations of shape (..., k, m); return sums of shape (..., n, m), not wrapped."""
        return np.asarray(self.matrix @ self.stack(activations, -2))

    def psums(self, sums: Floats) -> Int64:
        """Return sums as psums: int64, wrapped at `acc_bits`."""
        exact = sums.astype(np.int64)
        return np.asarray(wrap(exact, self.acc_bits)) if self.may_wrap else exact


def approximate_matmul(activations: Int64, weights: Int64, config: ArrayConfig) -> Int64:
    """Multiply as the array does, without faults.

    Parameters
    ----------
    activations : ndarray of int64, shape (..., m, k)
    weights : ndarray of int64, shape (k, n)
        Operands of the configuration's width.
    config : ArrayConfig

    Returns
    -------
    ndarray of int64, shape (..., m, n)
        psums, wrapped at the configuration's `acc_bits`.
    """
    planes = WeightPlanes.prepare(np.asarray(weights).T, config)
    columns = activations.swapaxes(-1, -2)
    if columns.flags.c_contiguous:
        # As im2col leaves them: multiplied the other way round, nothing has to be copied.
        return planes.psums(planes.columns(columns)).swapaxes(-1, -2)
    return planes.psums(planes.rows(activations))
