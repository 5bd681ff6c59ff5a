"""Outcomes of many pairs by a compiled function: those of `outcome.classify`, which decides what is close."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.backends.jit import njit
from axft_host.campaign.outcome import CLOSE, TOLERABLE_PERCENT, Outcome, classify, top_class

__all__ = ["Judge"]

Int64 = NDArray[np.int64]

_MASKED, _TOLERABLE, _CRITICAL = (int(outcome) for outcome in (Outcome.MASKED, Outcome.TOLERABLE, Outcome.CRITICAL))
#: Not an outcome: too close to the limit for the machine's exp.
_UNDECIDED = 255
#: exp of less than this does not show in a sum from 1 on.
_NOTHING = -50.0


@njit
def _total(scores: Any, scale: Any, top: Any) -> Any:
    """Return the sum of exp(score - top score): one over the top probability."""
    total = 0.0
    for index in range(len(scores)):
        exponent = (scores[index] - scores[top]) * scale
        if exponent > _NOTHING:
            total += math.exp(exponent)
    return total


@njit
def _judge(
    golden: Any, tops: Any, totals: Any, labels: Any, faulty: Any, scale: Any, raw: Any, outcomes: Any, correct: Any
) -> None:
    """Write the outcome of each fault on each image, and add to the faults' counts of correct images.

    Parameters
    ----------
    golden : ndarray of int64, shape (images, classes)
    tops, labels : ndarray of int64, shape (images,)
    totals : ndarray of float64, shape (images,)
        `_total` of the golden run, and its class.
    faulty : ndarray of int64, shape (faults, images, classes)
    scale : float
    raw : bool
        Whether accumulators are compared, not probabilities.
    outcomes : ndarray of uint8, shape (faults, images)
    correct : ndarray of int64, shape (faults,)
    """
    images, classes = golden.shape
    for fault in range(len(faulty)):
        for image in range(images):
            scores, before = faulty[fault, image], golden[image]
            same, top = True, 0
            for index in range(classes):
                same &= scores[index] == before[index]
                if scores[index] > scores[top]:
                    top = index
            correct[fault] += top == labels[image]
            outcome = _CRITICAL
            if same:
                outcome = _MASKED
            elif top == tops[image]:
                if raw:
                    kept = 100 * scores[top] >= TOLERABLE_PERCENT * before[top] and before[top] > 0
                    outcome = _TOLERABLE if kept else _CRITICAL
                else:
                    if not totals[image]:
                        totals[image] = _total(before, scale, top)
                    ratio = totals[image] / _total(scores, scale, top)
                    outcome = _TOLERABLE if ratio >= TOLERABLE_PERCENT / 100 else _CRITICAL
                    if abs(ratio - TOLERABLE_PERCENT / 100) < CLOSE:
                        outcome = _UNDECIDED
            outcomes[fault, image] = outcome


class Judge:
    """Decides the outcomes of one campaign.

    Parameters
    ----------
    golden : ndarray of int64, shape (images, classes)
        Final accumulators without a fault.
    labels : ndarray of int64, shape (images,)
    score : str
    score_scale : float
        As for `classify`.
    """

    def __init__(self, golden: Int64, labels: Int64, score: str, score_scale: float) -> None:
        self._golden, self._labels = np.ascontiguousarray(golden), np.asarray(labels, dtype=np.int64)
        self._score, self._scale = score, float(score_scale)
        self._tops, self._totals = top_class(golden), np.zeros(len(golden))

    def outcomes(self, images: slice, faulty: Int64, outcomes: NDArray[np.uint8], correct: Int64) -> None:
        """Write outcomes of some images, and add to how many are classified correctly.

        Parameters
        ----------
        images : slice
        faulty : ndarray of int64, shape (faults, these images, classes)
        outcomes : ndarray of uint8, shape (faults, these images)
        correct : ndarray of int64, shape (faults,)
        """
        golden, totals = self._golden[images], self._totals[images]
        tops, labels = self._tops[images], self._labels[images]
        _judge(golden, tops, totals, labels, faulty, self._scale, self._score == "raw", outcomes, correct)
        close = np.nonzero(outcomes == _UNDECIDED)
        if close[0].size:
            outcomes[close] = classify(golden[close[1]], faulty[close], score=self._score, score_scale=self._scale)
