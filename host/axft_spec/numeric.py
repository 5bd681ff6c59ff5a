"""Integer formats and the arithmetic outside the array: wrap, quantise, requantise, softmax.

Everything here is either integer arithmetic or float64 arithmetic made of correctly rounded operations in a
fixed order, so that every machine computes the same bits.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ConfigError

__all__ = [
    "REQUANT_BITS",
    "choose_requantisation",
    "quantise_pixels",
    "quantise_signed",
    "requantise",
    "signed_range",
    "softmax",
    "unsigned_range",
    "wrap",
]

Int64 = NDArray[np.int64]
Float64 = NDArray[np.float64]

#: Bits of the integer multiplier of a requantisation, by accumulator width. The product with an accumulator,
#: plus the rounding term, stays inside int64.
REQUANT_BITS = {24: 31, 40: 22}


def signed_range(bits: int) -> tuple[int, int]:
    """Return the smallest and the largest two's complement number of `bits` bits."""
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def unsigned_range(bits: int) -> tuple[int, int]:
    """Return the range of an unsigned activation held in a signed word of `bits` bits."""
    return 0, (1 << (bits - 1)) - 1


def wrap(value: Any, bits: int) -> Any:
    """Wrap integers to two's complement of `bits` bits.

    Parameters
    ----------
    value : int or ndarray of int64
        The numbers to wrap.
    bits : int
        Width of the register, 2 to 63.

    Returns
    -------
    int or ndarray of int64
        Same shape, each in ``[-2**(bits-1), 2**(bits-1) - 1]``.
    """
    half = 1 << (bits - 1)
    return ((value + half) & ((1 << bits) - 1)) - half


def quantise_pixels(pixels: NDArray[np.uint8], width: int) -> Int64:
    """Map pixels 0..255 to unsigned activations 0..2**(width-1)-1, rounding half up.

    Parameters
    ----------
    pixels : ndarray of uint8, any shape
    width : int
        Operand width in bits.

    Returns
    -------
    ndarray of int64, same shape
        ``(2 p (2**(width-1) - 1) + 255) // 510``.
    """
    top = (1 << (width - 1)) - 1
    return (2 * np.asarray(pixels, dtype=np.int64) * top + 255) // 510


def quantise_signed(values: Float64, maximum: float, width: int, *, step: int = 1) -> Int64:
    """Map ``[-maximum, maximum]`` to signed integers of `width` bits, to the nearest multiple of `step`.

    Parameters
    ----------
    values : ndarray of float64, any shape
    maximum : float
        The magnitude that maps to ``2**(width-1)``; zero gives all zeros.
    width : int
        Operand width in bits.
    step : int
        Power of two; the result is a multiple of it. A multiplier that ignores the low ``b`` bits of an
        operand keeps multiples of ``2**b`` exactly.

    Returns
    -------
    ndarray of int64, same shape
        Halves round to the even multiple; clipped to the signed range.
    """
    low, high = signed_range(width)
    if maximum == 0:
        return np.zeros(np.shape(values), dtype=np.int64)
    multiples = np.rint(np.asarray(values, dtype=np.float64) / maximum * ((1 << (width - 1)) / step))
    return np.clip(multiples, low // step, high // step).astype(np.int64) * step


def choose_requantisation(factors: Float64, acc_bits: int, largest: int) -> tuple[Int64, int]:
    """Choose the integers that stand for real factors: ``factor ~ multiplier / 2**shift``.

    Parameters
    ----------
    factors : ndarray of float64, any shape
        Real factors, all positive or zero, one per output channel (or one for all).
    acc_bits : int
        Accumulator width, 24 or 40; gives the precision of the multiplier (31 or 22 bits).
    largest : int
        Largest magnitude of an accumulator with its bias; the precision is lowered, if need be, until
        the product stays inside int64.

    Returns
    -------
    multipliers : ndarray of int64, shape of `factors`
        Rounded half to even from ``factor * 2**shift``.
    shift : int
        At least 1, at most 62; common to the layer.

    Raises
    ------
    ConfigError
        If a factor is negative or not finite.
    """
    factors = np.asarray(factors, dtype=np.float64)
    top = float(factors.max()) if factors.size else 0.0
    if not math.isfinite(top) or (factors.size and float(factors.min()) < 0):
        raise ConfigError(f"requantisation factors must be finite and not negative, not {factors!r}")
    if top == 0:
        return np.zeros(factors.shape, dtype=np.int64), 1
    bits = min(REQUANT_BITS[acc_bits], 62 - max(largest, 1).bit_length())
    # frexp: top = fraction * 2**exponent with fraction in [0.5, 1); a fraction that rounds up to 1 needs
    # one bit less of shift.
    _, exponent = math.frexp(top)
    shift = min(bits - exponent, 62)
    if round(math.ldexp(top, shift)) >= 1 << bits:
        shift -= 1
    if shift < 1:
        raise ConfigError(f"requantisation factor must be below {2.0 ** (bits - 1):g}, not {top:g}")
    return np.rint(np.ldexp(factors, shift)).astype(np.int64), shift


def requantise(accumulators: Int64, multipliers: Int64, shift: int, low: int, high: int) -> Int64:
    """Scale accumulators to operands: ``clip((acc * M + 2**(shift-1)) >> shift, low, high)``.

    Parameters
    ----------
    accumulators : ndarray of int64
        Sums with their bias.
    multipliers : ndarray of int64, broadcastable to the accumulators
    shift : int
        At least 1. The shift is arithmetic: it rounds towards minus infinity, so halves round up.
    low, high : int
        Inclusive limits; a ReLU is ``low = 0``.

    Returns
    -------
    ndarray of int64, shape of `accumulators`
    """
    scaled = (accumulators * multipliers + (1 << (shift - 1))) >> shift
    return np.asarray(np.clip(scaled, low, high), dtype=np.int64)


# exp(r) on |r| <= ln(2)/2 as a Taylor polynomial of degree 14 (error below 2**-60 relative); ln(2) is split as
# in Cody and Waite, "Software Manual for the Elementary Functions" (1980), chapter 6: k * _LN2_HIGH is exact.
_LOG2_E = 1.4426950408889634
_LN2_HIGH = 0.693359375
_LN2_LOW = -2.121944400546905827679e-4
_EXP_COEFFICIENTS = tuple(1.0 / math.factorial(power) for power in range(14, -1, -1))
#: Below this, exp(x) is below 2**-995 and is taken as 0, so that no subnormal number occurs.
_EXP_FLOOR = -690.0


def _exp(x: Float64) -> Float64:
    """Return exp(x) for x <= 0 from +, -, x and ldexp alone."""
    clipped = np.maximum(x, _EXP_FLOOR)
    k = np.floor(clipped * _LOG2_E + 0.5)
    r = clipped - k * _LN2_HIGH
    r = r - k * _LN2_LOW
    total = np.full(x.shape, _EXP_COEFFICIENTS[0])
    for coefficient in _EXP_COEFFICIENTS[1:]:
        total = total * r
        total = total + coefficient
    return np.where(x < _EXP_FLOOR, 0.0, np.ldexp(total, k.astype(np.int32)))


def softmax(scores: Float64) -> Float64:
    """Class probabilities, the same bits on every machine.

    Only correctly rounded operations are used (+, -, x, /, ldexp), in a fixed order, and no library function
    for exp: the 0.95 of a tolerable outcome then falls the same way on every processor.

    Parameters
    ----------
    scores : ndarray of float64, shape (..., classes)

    Returns
    -------
    ndarray of float64, shape (..., classes)
        Sums to 1 within rounding; the sum is accumulated from class 0 upwards.
    """
    scores = np.asarray(scores, dtype=np.float64)
    exponentials = _exp(scores - scores.max(axis=-1, keepdims=True))
    total = np.zeros(scores.shape[:-1])
    for index in range(scores.shape[-1]):
        total = total + exponentials[..., index]
    return np.asarray(exponentials / total[..., None], dtype=np.float64)
