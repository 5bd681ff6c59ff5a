"""What a fault did to an image: masked, tolerable or critical.

``docs/reference/semantics.md`` defines the classes. A pair (image, fault) is masked when the final accumulators are
those of the golden run, decided on integers. Otherwise it is tolerable when the top-1 class (argmax of the
accumulators, lowest index on ties) is the same and the top score has kept at least 95% of its value, and
critical when not.
"""

from __future__ import annotations

from enum import Enum, IntEnum

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ConfigError, unknown_name
from axft_spec.numeric import softmax

__all__ = [
    "CLOSE",
    "SCORES",
    "TOLERABLE_PERCENT",
    "Outcome",
    "Status",
    "check_score",
    "classify",
    "pack_outcomes",
    "top_class",
    "top_probability",
    "unpack_outcomes",
]

Int64 = NDArray[np.int64]
UInt8 = NDArray[np.uint8]

#: What can be compared: class probabilities (the default), or the raw final accumulators.
SCORES = ("softmax", "raw")

#: A tolerable outcome keeps at least this share of the top score, in percent.
TOLERABLE_PERCENT = 95

#: Ratios of quick probabilities that are nearer to the limit are computed again, the same way on every machine.
CLOSE = 1e-9


class Outcome(IntEnum):
    """What became of one pair (image, fault). The values are the codes in a store.

    Members
    -------
    MASKED
        The final accumulators are those of the golden run.
    TOLERABLE
        The same top-1 class, and at least 95% of its score.
    CRITICAL
        Another class, or less.
    NONE
        No result: the fault's run hung or crashed.
    """

    MASKED = 0
    TOLERABLE = 1
    CRITICAL = 2
    NONE = 3


class Status(str, Enum):
    """What became of the run of one fault over all images.

    Members
    -------
    OK
        Every image was masked.
    SDC
        Silent data corruption: at least one image was tolerable or critical.
    HANG
        Alive, but no result inside the observation window.
    CRASH
        Stopped, rebooted or gone.
    """

    OK = "ok"
    SDC = "sdc"
    HANG = "hang"
    CRASH = "crash"


def check_score(score: str) -> str:
    """Return the name of a score if it is one.

    Raises
    ------
    ConfigError
        If it is not; the message lists the scores.
    """
    if score not in SCORES:
        raise ConfigError(unknown_name("score", score, SCORES))
    return score


def top_class(accumulators: Int64) -> Int64:
    """Return the top-1 class: the index of the largest accumulator, the lowest one on ties.

    Parameters
    ----------
    accumulators : ndarray of int64, shape (..., classes)

    Returns
    -------
    ndarray of int64, shape (...)
    """
    return np.asarray(np.argmax(accumulators, axis=-1), dtype=np.int64)


def top_probability(accumulators: Int64, score_scale: float) -> NDArray[np.float64]:
    """Return the largest class probability.

    Parameters
    ----------
    accumulators : ndarray of int64, shape (..., classes)
    score_scale : float
        An accumulator times this is a logit.

    Returns
    -------
    ndarray of float64, shape (...)
    """
    scores = np.asarray(accumulators, dtype=np.float64) * score_scale
    return np.asarray(softmax(scores).max(axis=-1), dtype=np.float64)


def classify(golden: Int64, faulty: Int64, *, score: str, score_scale: float) -> UInt8:
    """Compare faulty runs with the golden run.

    Parameters
    ----------
    golden : ndarray of int64, shape (images, classes)
        Final accumulators without a fault.
    faulty : ndarray of int64, shape (..., images, classes)
        Final accumulators under one or more faults.
    score : str
        ``softmax``: the top probability must keep 95%, in float64. ``raw``: the top accumulator must, in
        integers, ``100 max(Y~) >= 95 max(Y)``, and max(Y) must be positive.
    score_scale : float
        An accumulator times this is a logit.

    Returns
    -------
    ndarray of uint8, shape (..., images)
        Codes of `Outcome`.

    Raises
    ------
    ConfigError
        If there is no such score.
    """
    check_score(score)
    outcomes = np.zeros(faulty.shape[:-1], dtype=np.uint8)
    changed = (faulty != golden).any(axis=-1)
    before, after = np.broadcast_to(golden, faulty.shape)[changed], faulty[changed]
    codes = np.full(len(after), Outcome.CRITICAL, dtype=np.uint8)
    # Only pairs with the same class depend on the scores.
    same = np.flatnonzero(top_class(after) == top_class(before))
    keeps = _keeps_raw if score == "raw" else _keeps_probability
    codes[same[keeps(before[same], after[same], score_scale)]] = Outcome.TOLERABLE
    outcomes[changed] = codes
    return outcomes


def _keeps_probability(golden: Int64, faulty: Int64, score_scale: float) -> NDArray[np.bool_]:
    """Compare top probabilities: those of `softmax` where it matters, and of the machine's exp where that is plain."""
    ratio = _quick_probability(faulty, score_scale) / _quick_probability(golden, score_scale)
    kept = ratio >= TOLERABLE_PERCENT / 100
    # The two differ by parts in 10**14 at most.
    close = np.flatnonzero(np.abs(ratio - TOLERABLE_PERCENT / 100) < CLOSE)
    exact = top_probability(faulty[close], score_scale) / top_probability(golden[close], score_scale)
    kept[close] = exact >= TOLERABLE_PERCENT / 100
    return np.asarray(kept)


def _quick_probability(accumulators: Int64, score_scale: float) -> NDArray[np.float64]:
    scores = accumulators * np.float64(score_scale)
    return np.asarray(1 / np.exp(scores - scores.max(axis=-1, keepdims=True)).sum(axis=-1))


def _keeps_raw(golden: Int64, faulty: Int64, score_scale: float) -> NDArray[np.bool_]:
    before, after = golden.max(axis=-1), faulty.max(axis=-1)
    return np.asarray((100 * after >= TOLERABLE_PERCENT * before) & (before > 0))


def pack_outcomes(outcomes: UInt8) -> bytes:
    """Pack outcome codes, two bits each.

    Image i is in bits ``2 (i mod 4)`` and ``2 (i mod 4) + 1`` of byte ``i // 4``, the lower bit first; bits
    beyond the last image are 0.

    Parameters
    ----------
    outcomes : ndarray of uint8, shape (images,)
    """
    bits = np.stack([outcomes & 1, outcomes >> 1], axis=-1).reshape(-1)
    return np.packbits(bits, bitorder="little").tobytes()


def unpack_outcomes(packed: bytes, images: int) -> UInt8:
    """Unpack what `pack_outcomes` has packed.

    Returns
    -------
    ndarray of uint8, shape (images,)
    """
    bits = np.unpackbits(np.frombuffer(packed, dtype=np.uint8), count=2 * images, bitorder="little")
    pairs = bits.reshape(images, 2)
    return np.asarray(pairs[:, 0] | pairs[:, 1] << 1, dtype=np.uint8)
