"""Constants of an ONNX graph, and the operators that only compute constants from constants."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ModelError

__all__ = ["FOLDED", "Constant", "fold", "integer_range"]

Array = NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Constant:
    """A value known before any image is.

    Parameters
    ----------
    value : ndarray
    scales : ndarray of float64 or None
        If the value was dequantised from 8-bit integers with zero point 0: one factor, or one per element along
        `axis`.
    axis : int
    dequantised : bool
        Whether the value was dequantised from integers at all.
    """

    value: Array
    scales: NDArray[np.float64] | None = None
    axis: int = 0
    dequantised: bool = False

    def scales_along(self, axis: int) -> NDArray[np.float64] | None:
        """Return one factor per element along `axis`, or None where that is not how it was quantised."""
        if self.scales is None or (self.scales.size > 1 and self.axis != axis):
            return None
        return np.asarray(np.broadcast_to(self.scales.reshape(-1), (self.value.shape[axis],)))


def integer_range(dtype: np.dtype[Any]) -> tuple[int, int]:
    """Return the smallest and the largest number of a quantised type."""
    name = dtype.name
    if name in ("int4", "uint4"):
        return (-8, 7) if name == "int4" else (0, 15)
    if dtype.kind not in "iu":
        raise ModelError(f"quantisation to {name} is not supported, only to integers")
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _transpose(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    (source,) = inputs
    order = list(attributes.get("perm", range(source.value.ndim)[::-1]))
    axis = order.index(source.axis) if source.scales is not None and source.scales.size > 1 else 0
    value = source.value.transpose(order)
    return Constant(value=value, scales=source.scales, axis=axis, dequantised=source.dequantised)


def _axes(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> tuple[int, ...] | None:
    """Return axes from the second input (opset 13) or the attribute (before)."""
    if len(inputs) > 1:
        return tuple(int(axis) for axis in inputs[1].value.reshape(-1))
    return tuple(attributes["axes"]) if "axes" in attributes else None


def _squeeze(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    return Constant(value=np.squeeze(inputs[0].value, axis=_axes(inputs, attributes)))


def _unsqueeze(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    return Constant(value=np.expand_dims(inputs[0].value, _axes(inputs, attributes) or ()))


def _reshape(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    value, target = inputs[0].value, inputs[1].value.astype(int)
    keep = not attributes.get("allowzero", 0)
    shape = [value.shape[i] if size == 0 and keep else int(size) for i, size in enumerate(target)]
    return Constant(value=value.reshape(shape), dequantised=inputs[0].dequantised)


def _gather(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    indices = inputs[1].value.astype(int)
    return Constant(value=np.take(inputs[0].value, indices, axis=int(attributes.get("axis", 0))))


def _concat(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    return Constant(value=np.concatenate([part.value for part in inputs], axis=int(attributes["axis"])))


def _along(values: Array, axis: int, ndim: int) -> Array:
    """Return values, one per element along `axis`, in a shape that broadcasts."""
    if values.size == 1:
        return values.reshape(())
    return values.reshape([-1 if i == axis % ndim else 1 for i in range(ndim)])


def _dequantise(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    value, scale = inputs[0].value, inputs[1].value.astype(np.float64)
    zero = inputs[2].value if len(inputs) > 2 else np.zeros((), dtype=value.dtype)
    axis = int(attributes.get("axis", 1)) % max(value.ndim, 1)
    if scale.ndim > 1 or attributes.get("block_size", 0):
        raise ModelError("quantisation in blocks is not supported, only per tensor or per channel")
    # In float64 an 8-bit integer times a float32 is exact, so that the integers can be had back.
    wide = value.astype(np.float64) - _along(zero.astype(np.float64), axis, value.ndim)
    symmetric = value.dtype == np.int8 and not np.any(zero) and np.all(scale > 0)
    return Constant(
        value=wide * _along(scale, axis, value.ndim),
        scales=scale if symmetric else None,
        axis=axis,
        dequantised=value.dtype.itemsize < 4,  # a bias is of 32 bits; its integers are not needed
    )


def _quantise(inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    value, scale = inputs[0].value.astype(np.float32), inputs[1].value.astype(np.float32)
    zero = inputs[2].value if len(inputs) > 2 else np.zeros((), dtype=np.uint8)
    axis = int(attributes.get("axis", 1))
    low, high = integer_range(zero.dtype)
    quotient = np.rint(value / _along(scale, axis, value.ndim))
    shifted = quotient.astype(np.float64) + _along(zero.astype(np.float64), axis, value.ndim)
    return Constant(value=np.clip(shifted, low, high).astype(zero.dtype))


#: What each operator computes from constants.
FOLDED = {
    "Concat": _concat,
    "DequantizeLinear": _dequantise,
    "Gather": _gather,
    "Identity": lambda inputs, attributes: inputs[0],
    "QuantizeLinear": _quantise,
    "Reshape": _reshape,
    "Squeeze": _squeeze,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}


def fold(op_type: str, inputs: Sequence[Constant], attributes: Mapping[str, Any]) -> Constant:
    """Return the output of an operator all of whose inputs are constants.

    Raises
    ------
    ModelError
        If the operator cannot take them.
    """
    try:
        folded: Constant = FOLDED[op_type](inputs, attributes)
        return folded
    except (ValueError, IndexError, TypeError, KeyError) as error:
        raise ModelError(f"its constants do not fit together: {error}") from error
