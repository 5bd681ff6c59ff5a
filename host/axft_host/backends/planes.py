"""The exact products whose sum is one approximate product, for operands in the emulator's layout.

So that an approximate matrix product costs a few exact ones, at the speed of the machine's BLAS. Sums of integers
are exact in float32 below 2**24 and in float64 below 2**53, in any order.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.nn.kernels import product_terms
from axft_spec.config import ArrayConfig

__all__ = ["Floats", "Planes"]

Int64 = NDArray[np.int64]
#: float32 or float64 arrays that hold integers.
Floats = NDArray[Any]


class Planes:
    """Operands cut into the parts whose exact products add up to the approximate ones.

    Parameters
    ----------
    config : ArrayConfig
    """

    #: Float type that holds an operand of up to 16 bits.
    operand_dtype = np.float32

    def __init__(self, config: ArrayConfig) -> None:
        self._config = config
        self._terms = product_terms(config)
        self._largest = config.multiplier.largest_product(config.width)

    @property
    def count(self) -> int:
        """Number of planes, at least 1."""
        return len(self._terms)

    @property
    def identity(self) -> bool:
        """Whether the one plane of the activations is the activations."""
        return self.count == 1 and self._terms[0].activation.whole

    def of_weights(self, weights: Int64) -> Int64:
        """Return the planes of weights, with their signs, stacked along a new first axis."""
        return np.stack([term.sign * term.weight.of(weights) for term in self._terms])

    def of_activations(self, activations: Int64) -> Int64:
        """Return the planes of activations, stacked along a new first axis."""
        return np.stack([term.activation.of(activations) for term in self._terms])

    def cannot_wrap(self, k: int) -> bool:
        """Return whether `k` steps stay inside the accumulator, whatever operands and products are forced to."""
        largest = max(self._largest, 1 << (self._config.product_bits - 1))
        return k * largest < 1 << (self._config.acc_bits - 1)

    def sum_dtype(self, weights: Int64 | Floats) -> Any:
        """Return the float type in which sums over these weight planes, shape (..., steps), are exact."""
        largest = int(np.abs(weights).sum(axis=-1, dtype=np.float64).max(initial=0)) << (self._config.width - 1)
        return np.float32 if largest < 1 << 24 else np.float64
