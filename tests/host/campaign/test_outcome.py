"""Outcomes against a slow definition, and on the edges of the rules."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from axft_host.campaign.outcome import (
    Outcome,
    classify,
    pack_outcomes,
    top_class,
    unpack_outcomes,
)
from axft_spec.errors import ConfigError


def outcome(golden: list[int], faulty: list[int], score: str = "raw", scale: float = 1.0) -> Outcome:
    """Return the outcome of one pair."""
    codes = classify(np.array([golden]), np.array([faulty]), score=score, score_scale=scale)
    assert codes.shape == (1,)
    return Outcome(int(codes[0]))


@pytest.mark.parametrize("score", ["softmax", "raw"])
def test_equal_accumulators_are_masked(score: str) -> None:
    """Whatever the scores say."""
    assert outcome([-5, -7, -7], [-5, -7, -7], score) is Outcome.MASKED


@pytest.mark.parametrize(
    ("golden", "faulty", "expected"),
    [
        ([100, 0], [95, 0], Outcome.TOLERABLE),  # exactly 0.95 is tolerable
        ([100, 0], [94, 0], Outcome.CRITICAL),
        ([100, 0], [100, 1], Outcome.TOLERABLE),  # the ratio is 1, but the vectors differ
        ([100, 0], [500, 0], Outcome.TOLERABLE),  # no upper limit
        ([100, 0], [100, 101], Outcome.CRITICAL),  # another class
        ([100, 100], [99, 100], Outcome.CRITICAL),  # a tie goes to the lowest index
        ([100, 100], [100, 99], Outcome.TOLERABLE),
        ([0, -1], [0, -2], Outcome.CRITICAL),  # a top score that is not positive has no 95%
        ([-10, -20], [-9, -20], Outcome.CRITICAL),
        ([2**40, 0], [95 * 2**40 // 100, 0], Outcome.CRITICAL),  # floor(0.95 x) is below 0.95 x
        ([2**40, 0], [95 * 2**40 // 100 + 1, 0], Outcome.TOLERABLE),
    ],
)
def test_raw_score_keeps_95_percent_in_integers(golden: list[int], faulty: list[int], expected: Outcome) -> None:
    """The rule is one of integers, exact at its edge."""
    assert outcome(golden, faulty) is expected


def test_softmax_score_compares_probabilities_not_accumulators() -> None:
    """A uniform shift changes every accumulator and no probability."""
    assert outcome([10, 0, 0], [1000, 990, 990], "softmax", 0.1) is Outcome.TOLERABLE
    assert outcome([1000, 990, 990], [10, 0, 0], "raw") is Outcome.CRITICAL


def naive(golden: list[int], faulty: list[int], scale: float) -> Outcome | None:
    """Classify with math.exp and fractions; None if too close to 0.95 for that to decide."""

    def top(values: list[int]) -> tuple[int, Fraction]:
        weights = [Fraction(math.exp((value - max(values)) * scale)) for value in values]
        return values.index(max(values)), max(weights) / sum(weights)

    (class_before, before), (class_after, after) = top(golden), top(faulty)
    if golden == faulty:
        return Outcome.MASKED
    ratio = after / before
    if abs(ratio - Fraction(95, 100)) < Fraction(1, 10**9):
        return None
    return Outcome.TOLERABLE if class_before == class_after and ratio > Fraction(95, 100) else Outcome.CRITICAL


def test_softmax_outcomes_equal_a_slow_definition() -> None:
    """Over many faults and images at once, in all three classes."""
    rng = np.random.default_rng(3)
    golden = rng.integers(-200, 200, (50, 4))
    noise = rng.integers(-60, 60, (20, 50, 4)) * rng.integers(0, 2, (20, 50, 1))
    codes = classify(golden, golden + noise, score="softmax", score_scale=0.02)
    seen = set()
    for fault in range(20):
        for image in range(50):
            expected = naive(golden[image].tolist(), (golden + noise)[fault, image].tolist(), 0.02)
            if expected is not None:
                assert codes[fault, image] == expected
                seen.add(expected)
    assert seen == {Outcome.MASKED, Outcome.TOLERABLE, Outcome.CRITICAL}


def test_unknown_score_is_refused() -> None:
    """The message lists what is allowed."""
    with pytest.raises(ConfigError, match=r"^unknown score 'logits'; allowed: softmax, raw$"):
        outcome([1, 2], [1, 3], "logits")


def test_top_class_takes_the_lowest_index_on_ties() -> None:
    """Also when all are equal."""
    assert top_class(np.array([[3, 7, 7], [1, 1, 1], [0, -1, 5]])).tolist() == [1, 0, 2]


def test_packed_outcomes_have_the_documented_layout() -> None:
    """Image i is in bits 2 (i mod 4) and up of byte i // 4; the rest is 0."""
    assert pack_outcomes(np.array([1, 0, 2, 3, 2], dtype=np.uint8)) == bytes([0b11_10_00_01, 0b00_00_00_10])


@pytest.mark.parametrize("images", [1, 3, 4, 5, 1000])
def test_unpacking_returns_what_was_packed(images: int) -> None:
    """For any number of images."""
    codes = np.random.default_rng(images).integers(0, 4, images).astype(np.uint8)
    packed = pack_outcomes(codes)
    assert len(packed) == -(-images // 4)
    assert np.array_equal(unpack_outcomes(packed, images), codes)
