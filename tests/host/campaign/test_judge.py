"""Outcomes by the compiled function are those of `classify`."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("numba", reason="the compiled function needs numba")

from axft_host.campaign.judge import Judge
from axft_host.campaign.outcome import SCORES, Outcome, classify, top_class


def pairs(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return golden and faulty accumulators: equal ones, small and large changes, ties, nothing above 0."""
    golden = rng.integers(-400, 400, (60, 5))
    golden[50:] = -np.abs(golden[50:])
    golden[40:45, 3] = golden[40:45, 1]
    scale = rng.choice([0, 1, 10, 300], (40, 60, 1))
    return golden, golden + rng.integers(-1, 2, (40, 60, 5)) * scale


@pytest.mark.parametrize("score", SCORES)
def test_outcomes_equal_classify(score: str) -> None:
    """Of all classes, and how many are classified correctly."""
    rng = np.random.default_rng(4)
    golden, faulty = pairs(rng)
    labels = rng.integers(0, 5, len(golden))
    outcomes, correct = np.zeros(faulty.shape[:2], dtype=np.uint8), np.zeros(len(faulty), dtype=np.int64)
    judge = Judge(golden, labels, score, 0.01)
    for images in (slice(0, 32), slice(32, 64)):
        judge.outcomes(images, np.ascontiguousarray(faulty[:, images]), outcomes[:, images], correct)
    expected = classify(golden, faulty, score=score, score_scale=0.01)
    assert outcomes.tolist() == expected.tolist()
    assert set(np.unique(expected)) == {Outcome.MASKED, Outcome.TOLERABLE, Outcome.CRITICAL}
    assert correct.tolist() == (top_class(faulty) == labels).sum(axis=1).tolist()


def test_close_ones_are_decided_by_classify(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ratio within the machine's error of 0.95 is left to the arithmetic that is the same everywhere."""
    # exp(-d) with d = ln(20 / 19): the top probability falls from 1 / (1 + 0) to 0.95, as nearly as float64 has it.
    golden = np.array([[0, -(10**15)]])
    faulty = np.array([[[0, -round(np.log(19) * 10**12)]]])
    asked = []

    def stand_in(before: np.ndarray, after: np.ndarray, **_: object) -> np.ndarray:
        asked.append((before.tolist(), after.tolist()))
        return np.array([Outcome.TOLERABLE], dtype=np.uint8)

    monkeypatch.setattr("axft_host.campaign.judge.classify", stand_in)
    outcomes = np.zeros((1, 1), dtype=np.uint8)
    Judge(golden, np.zeros(1, dtype=np.int64), "softmax", 1e-12).outcomes(
        slice(0, 1), faulty, outcomes, np.zeros(1, dtype=np.int64)
    )
    assert asked == [(golden.tolist(), faulty[0].tolist())]
    assert outcomes.tolist() == [[Outcome.TOLERABLE]]
