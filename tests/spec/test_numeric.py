"""Integer formats, requantisation, softmax."""

from __future__ import annotations

from decimal import Decimal, getcontext
from fractions import Fraction

import numpy as np
import pytest

from axft_spec.errors import ConfigError
from axft_spec.numeric import (
    choose_requantisation,
    quantise_pixels,
    quantise_signed,
    requantise,
    softmax,
    wrap,
)


def test_wrap_is_twos_complement() -> None:
    """Numbers wrap at the ends of the register, arrays and plain integers alike."""
    assert [wrap(v, 8) for v in (127, 128, -128, -129, 255, 256)] == [127, -128, -128, 127, -1, 0]
    assert wrap(np.array([1 << 23, -(1 << 23) - 1]), 24).tolist() == [-(1 << 23), (1 << 23) - 1]


@pytest.mark.parametrize(("width", "top"), [(8, 127), (16, 32767)])
def test_quantise_pixels_rounds_half_up(width: int, top: int) -> None:
    """Every pixel goes to the nearest level of p/255 x top."""
    pixels = np.arange(256, dtype=np.uint8)
    expected = [int(Fraction(p * top, 255) + Fraction(1, 2)) for p in range(256)]
    assert quantise_pixels(pixels, width).tolist() == expected


def test_quantise_signed_rounds_half_to_even_and_clips() -> None:
    """Halves go to the even number; the positive end is clipped, the negative is not."""
    values = np.array([-1.0, 1.0, 0.5 / 128, 1.5 / 128, -2.5 / 128])
    assert quantise_signed(values, 1.0, 8).tolist() == [-128, 127, 0, 2, -2]


def test_quantise_signed_by_steps_gives_nearest_multiple_in_range() -> None:
    """With a step of 8, the largest weight is 120, and ties go to the even multiple."""
    values = np.array([-1.0, 1.0, 4 / 128, 12 / 128, 11 / 128])
    assert quantise_signed(values, 1.0, 8, step=8).tolist() == [-128, 120, 0, 16, 8]


def test_quantise_of_zero_range_gives_zeros() -> None:
    """A tensor of zeros has no scale; it stays zero."""
    assert quantise_signed(np.zeros(3), 0.0, 8).tolist() == [0, 0, 0]


@pytest.mark.parametrize("acc_bits", [24, 40])
def test_requantise_equals_rational_arithmetic(acc_bits: int) -> None:
    """Acc x M / 2**s, halves up, clipped."""
    rng = np.random.default_rng(3)
    factors = 2.0 ** rng.uniform(-20, -2, 20)
    accumulators = rng.integers(-(1 << (acc_bits - 1)), 1 << (acc_bits - 1), 20)
    multipliers, shift = choose_requantisation(factors, acc_bits, 1 << (acc_bits - 1))
    expected = []
    for acc, factor in zip(accumulators.tolist(), multipliers.tolist(), strict=True):
        rounded = (Fraction(acc * factor, 1 << shift) + Fraction(1, 2)).__floor__()
        expected.append(min(max(rounded, 0), 127))
    assert requantise(accumulators, multipliers, shift, 0, 127).tolist() == expected


@pytest.mark.parametrize(("acc_bits", "limit"), [(24, 31), (40, 22)])
def test_choose_uses_all_bits_of_the_multiplier_and_no_more(acc_bits: int, limit: int) -> None:
    """The largest multiplier has exactly the bits the format gives it, and stands for its factor."""
    for factor in (1e-4, 0.3, 0.999999999999, 7.5, 1.0):
        multipliers, shift = choose_requantisation(np.array(factor), acc_bits, 1 << (acc_bits - 1))
        assert 1 << (limit - 1) <= int(multipliers) < 1 << limit
        assert float(multipliers) / 2.0**shift == pytest.approx(factor, rel=2.0 ** (1 - limit))


def test_choose_gives_up_precision_before_overflow() -> None:
    """Accumulators of many summed channels leave fewer bits for the multiplier."""
    largest = 1 << 40
    multipliers, _ = choose_requantisation(np.array(0.3), 24, largest)
    assert int(multipliers) * largest + (1 << 61) < 1 << 63
    assert int(multipliers) >= 1 << 19


@pytest.mark.parametrize("factor", [-0.1, float("nan"), float("inf"), 1e12])
def test_choose_rejects_impossible_factor(factor: float) -> None:
    """Factors that no integer can stand for are an error."""
    with pytest.raises(ConfigError, match="requantisation factor"):
        choose_requantisation(np.array(factor), 24, 1 << 23)


def test_softmax_is_within_a_few_ulp_of_exact() -> None:
    """Against 50-digit decimal arithmetic."""
    getcontext().prec = 50
    rng = np.random.default_rng(5)
    for scale in (0.1, 3.0, 30.0, 300.0):
        scores = rng.normal(0, scale, 10)
        exponentials = [Decimal(float(s - scores.max())).exp() for s in scores]
        total = sum(exponentials)
        for got, exact in zip(softmax(scores), exponentials, strict=True):
            expected = float(exact / total)
            assert got == pytest.approx(expected, rel=4e-15, abs=1e-290)


def test_softmax_bits_are_pinned() -> None:
    """The very bits, so that another machine or numpy that differs is found."""
    scores = np.array([[0.0, 1.5, -2.25, 10.0, 9.99], [700.0, 0.0, -5.0, 699.5, 1.0]])
    digits = [[float(value).hex() for value in row] for row in softmax(scores)]
    assert digits == [
        [
            "0x1.7eb297e556898p-16",
            "0x1.acc86f3192626p-14",
            "0x1.42b03250d4cf2p-19",
            "0x1.013f4886572d7p-1",
            "0x1.fd600649e5ce4p-2",
        ],
        ["0x1.3eb2fd4d34391p-1", "0x0.0p+0", "0x0.0p+0", "0x1.829a0565978dfp-2", "0x0.0p+0"],
    ]
