"""Tasks of lab 2: approximate multipliers. Expected values come from the specification and the notebook's errors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.workload import WorkloadOptions, prepare_network
from axft_host.labs.answers import Hints, function, number, several, statements
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks
from axft_spec.config import PRESETS
from axft_spec.multipliers import error_figures, find_multiplier, truth_table
from axft_spec.numeric import quantise_signed

__all__ = ["task"]

Int64 = NDArray[np.int64]

task = Tasks("2")

_PART = find_multiplier("34P")
_OPERANDS = np.arange(-128, 128)


def _errors() -> Int64:
    return truth_table(_PART, 8).astype(np.int64) - _OPERANDS[:, None] * _OPERANDS


@task("2.1", "a function of a and b")
def _product(answer: Any, lab: Lab) -> str | None:
    pairs = ((9, 15), (127, 127), (64, 3), (-8, 16), (-9, 15), (100, -1), (-128, -128), (-5, -77))
    cases = [((a, b), int(_PART.compute(a, b, 12))) for a, b in pairs]
    return function(answer, cases, otherwise="Which value is left of an operand when its three low bits are cleared?")


@task("2.2", "a list of three numbers")
def _figures(answer: Any, lab: Lab) -> str | None:
    found, errors = error_figures(_PART, 8), _errors()
    hints: list[Hints] = [
        [(float(errors.mean()), "that is the mean with its sign; errors of both signs cancel in it")],
        [(int(errors.min()), "that is the most negative error; look at the other end, too, and at absolute values")],
        [(1 - found.ep, "that is the share of products that are right"), (found.ep * 65536, "a share of all pairs")],
    ]
    return several(answer, ("mae", "wce", "ep"), (found.mae, found.wce, found.ep), hints, tolerance=1e-3)


@task("2.3", "one number")
def _factor(answer: Any, lab: Lab) -> str | None:
    narrow, wide = error_figures(_PART, 8).mae, error_figures(_PART, 12).mae
    ratio = (narrow / 2**14) / (wide / 2**22)
    hints = [
        (narrow / wide, "that is the ratio of the MAEs themselves; each is to be divided by its largest product first"),
        (wide / narrow, "that is the ratio of the MAEs themselves, the other way round"),
        (1 / ratio, "the other way round"),
        (2**8, "that is the ratio of the largest products"),
    ]
    return number(answer, ratio, tolerance=0.1, hints=hints)


@task("2.4", "one number")
def _bias(answer: Any, lab: Lab) -> str | None:
    errors = _errors()
    right = float(errors[:, 128:].mean())
    hints = [
        (float(errors.mean()), "that is the mean over negative activations, too"),
        (float(errors[128:].mean()), "those are weights without negative ones; B, axis 1, is the activation"),
        (float(errors[128:, 128:].mean()), "weights may be negative"),
        (-right, "which way do these errors point?"),
        (float(np.abs(errors[:, 128:]).mean()), "with its sign"),
        (float(errors[:, 129:].mean()), "zero is an activation, too"),
    ]
    return number(answer, right, tolerance=0.01, hints=hints)


@task("2.5", "a fraction")
def _best(answer: Any, lab: Lab) -> str | None:
    most = max(preset.energy_reduction for preset in PRESETS.values())
    hints = [
        (0.5, "that is the exact part"),
        (most, "that is the best of the published parts; let P be 0"),
        (0.69, "19% of what is left after halving, not of the whole"),
    ]
    return number(answer, 1 - 0.5 * (1 - 0.19), tolerance=5e-4, hints=hints)


@task("2.6", "a function of w and omit")
def _rounding(answer: Any, lab: Lab) -> str | None:
    if not callable(answer):
        return function(answer, [])
    weights = _OPERANDS.astype(np.int64)
    for omit in (1, 3, 6):
        step = 1 << omit
        # Both neighbours of a half are right, so that weights in the middle are left out.
        sure = weights[(weights % step != step // 2) | (weights + step // 2 > 127)]
        expected = quantise_signed(sure / 128, 1.0, 8, step=step)
        wrong = function(answer, [((sure, omit), expected)])
        if wrong is not None:
            return f"omit {omit}: {_which(answer, sure, omit, expected) or wrong}"
    return None


def _which(answer: Any, weights: Int64, omit: int, expected: Int64) -> str:
    """Return the first weight that is rounded wrongly, and how it is wrong; nothing if that cannot be told."""
    try:
        given = np.asarray(answer(weights, omit), dtype=np.float64)
    except Exception:  # whatever the student's code raises was told already
        return ""
    if given.shape != expected.shape:
        return ""
    place = int(np.flatnonzero(given != expected)[0])
    found, said = given[place], f"{weights[place]} becomes {given[place]:g}, which is"
    if found % (1 << omit):
        return f"{said} no multiple of {1 << omit}"
    if not -128 <= found <= 127:
        return f"{said} no 8-bit number; the largest multiple that is one is smaller"
    if np.array_equal(given, weights >> omit << omit):
        return f"{said} the multiple below, not the nearest: this floors"
    return f"{said} not the nearest multiple that is an 8-bit number"


@task("2.7", "a list of two numbers")
def _means(answer: Any, lab: Lab) -> str | None:
    plain, kept = (
        prepare_network(WorkloadOptions(config=name)).network.multiplying_layers[2].weights for name in ("8P", "34P")
    )
    floored = float(((plain >> 3 << 3) - plain).mean())
    nearest = float((kept - plain).mean())
    hints: list[Hints] = [
        [(-floored, "look at the sign: what is left, less what there was"), (-3.5, "a good guess; now measure it")],
        [(float(np.abs(kept - plain).mean()), "that is the mean of absolute values"), (0.0, "nearly; measure it")],
    ]
    return several(answer, ("mean_floored", "mean_nearest"), (floored, nearest), hints, tolerance=1e-3)


@task("2.8", "a list of two fractions")
def _shares(answer: Any, lab: Lab, errors: Mapping[str, Mapping[str, Int64]]) -> str | None:
    names, expected, hints = ("share_in_products", "share_in_sums"), [], []
    for what in ("product", "sum of 400"):
        values = np.asarray(errors["floored"][what], dtype=np.float64)
        mean, square, variance = values.mean(), (values**2).mean(), values.var()
        expected.append(float(mean**2 / square))
        hints.append(
            [
                (float(mean / square**0.5), "that is mean over root of the mean square; shares are of squares"),
                (-float(abs(mean) / square**0.5), "that is mean over root of the mean square; shares are of squares"),
                (float(variance / square), "that is the share of the variance: the spread"),
                (float(mean**2 / variance), "that is bias over variance; the whole is the sum of both"),
            ]
        )
    return several(answer, names, expected, hints, tolerance=1e-3)


@task("2.9", 'letters of statements, as in "ac",')
def _conclude(answer: Any, lab: Lab) -> str | None:
    truths = dict(zip("abcdef", (False, True, False, True, False, True), strict=True))
    hint = (
        "what each number belongs to: a part alone, or a part with a network, its rounding and its images; and "
        "what a constant does to a mean and to a spread"
    )
    return statements(answer, truths, hint)
