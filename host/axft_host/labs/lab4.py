"""Tasks of lab 4: how many faults. What is expected comes from the package's statistics and the notebook's census."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_host.campaign.effective import wilson_interval
from axft_host.campaign.statistics import exact_interval, sample_size
from axft_host.labs.answers import Hints, function, number, several, statements
from axft_host.labs.session import Lab
from axft_host.labs.tasks import Tasks

__all__ = ["task"]

Floats = NDArray[np.float64]

task = Tasks("4")

#: Quantiles of the normal distribution, as the lab's text rounds them, and the confidence levels that they stand for.
_LEVELS = {1.96: 0.95, 2.576: 0.99}

#: So large a fault space is as good as endless.
_ENDLESS = 10**12


@task("4.1", "a function of N, e, t and p")
def _size(answer: Any, lab: Lab) -> str | None:
    cases: list[tuple[tuple[Any, ...], Any]] = [
        ((population, margin, quantile), sample_size(population, margin, _LEVELS[quantile]))
        for population, margin, quantile in ((12544, 0.02, 1.96), (1024, 0.05, 2.576), (25088, 0.01, 2.576))
    ]
    # The rounded quantiles move a sample by a fault at most; a number that was not rounded up is told apart.
    wrong = function(answer, cases, tolerance=1.0, otherwise="Is e squared, and t? And is N in it?")
    if wrong is None:
        share = [((12544, 0.01, 1.96, 0.1), sample_size(12544, 0.01, 0.95, 0.1))]
        wrong = function(answer, share, tolerance=1.0, otherwise="The others are right, with p = 0.5")
    if wrong is not None:
        return wrong
    for arguments, expected in cases:
        given = float(answer(*arguments))
        if given != math.ceil(given):
            return "a number of faults is a whole one: round up"
        if given < expected:
            return "a smaller sample has a larger margin than was asked for: round up, not to the nearest number"
    return None


@task("4.2", "a list of two percentages")
def _published(answer: Any, lab: Lab) -> str | None:
    needed = 100 * sample_size(12544, 0.01, 0.99) / 12544
    margin = 100 * 1.96 * math.sqrt(0.25 / 2401)
    assert sample_size(_ENDLESS, margin / 100 * 1.0001, 0.95) <= 2401
    hints: tuple[Hints, Hints] = (
        [
            (needed / 100, "in percent"),
            (100 * sample_size(12544, 0.01, 0.95) / 12544, "that is for 95%"),
            (100 * sample_size(25088, 0.01, 0.99) / 25088, "that is for 16 bits"),
            (19.0, "that is what is published; what does the formula ask for?"),
            (float(sample_size(12544, 0.01, 0.99)), "as a percentage of N"),
        ],
        [
            (margin / 100, "in percent"),
            (100 * 2.576 * math.sqrt(0.25 / 2401), "that is at 99%"),
            (1.0, "that is the margin that is named; which one does 2,401 have?"),
            (1.96, "that is the quantile t, and the margin e is asked for"),
            (100 * 1.96 * math.sqrt(0.25 / 2401 * (12544 - 2401) / 12543), "that is for N = 12,544; let N grow"),
        ],
    )
    return several(answer, ("percent_needed", "margin_met"), (needed, margin), hints, tolerance=(0.1, 0.03))


@task("4.3", "a function of p, n and z that returns two numbers")
def _wilson(answer: Any, lab: Lab) -> str | None:
    cases: list[tuple[tuple[Any, ...], Any]] = []
    for rate, count in ((0.5, 10), (0.1, 60), (0.0, 60), (0.02, 2400)):
        made = wilson_interval(rate, count, 0.95)
        cases.append(((rate, count), np.array([made.low, made.high])))
    wrong = function(answer, cases, tolerance=1e-5, otherwise="The denominator divides the middle, and the rest")
    if wrong is not None:
        return _known_interval(answer) or wrong
    made = wilson_interval(0.1, 60, 0.99, quantile=2.576)
    other = [((0.1, 60, 2.576), np.array([made.low, made.high]))]
    return function(answer, other, tolerance=1e-5, otherwise="Is z what the function was called with?")


def _known_interval(answer: Any) -> str | None:
    """Return a hint if a function that is not Wilson's interval is one that is often written instead."""
    rate, count = 0.1, 60
    right = wilson_interval(rate, count, 0.95)
    half = 1.96 * math.sqrt(rate * (1 - rate) / count)
    mistakes = {
        "the low end first, then the high one": (right.high, right.low),
        "that is p +- z standard errors; Wilson's interval has another middle, and a denominator": (
            rate - half,
            rate + half,
        ),
    }
    for hint, ends in mistakes.items():
        # It was called before, but with other numbers, and may raise for these.
        with contextlib.suppress(Exception):
            if function(answer, [((rate, count), np.array(ends))], tolerance=1e-5) is None:
                return hint
    return None


def _design_effect(shares: Floats, images: int) -> float:
    mean = float(shares.mean())
    return float(shares.var()) * images / (mean * (1 - mean))


@task("4.4", "a list of three numbers")
def _effects(answer: Any, lab: Lab, share: Mapping[str, Floats]) -> str | None:
    images = 40
    effects = {name: _design_effect(np.asarray(share[name]), images) for name in ("critical", "masked")}
    trials = 60 * images / effects["critical"]
    rate = float(np.mean(share["critical"]))
    hints: list[Hints] = [
        [
            (effect / images, "multiply by the number of images: var(x) is divided by p (1 - p) / m"),
            (1 / effect, "the other way round"),
            (effect / images**2, "p (1 - p) is divided by m, not multiplied"),
        ]
        for effect in effects.values()
    ]
    hints[0] = [*hints[0], (float(np.std(share["critical"])) * images / (rate * (1 - rate)), "var, not the deviation")]
    return several(
        answer,
        ("deff_critical", "deff_masked", "effective_trials"),
        (effects["critical"], effects["masked"], trials),
        (*hints, [(60 / effects["critical"], "pairs divided by deff; how many pairs are 60 faults x 40 images?")]),
        # Trials are counted, so that a rounded number of them is right, too.
        tolerance=(0.05, 0.05, 0.5),
    )


@task("4.5", "a whole number of faults")
def _none_found(answer: Any, lab: Lab) -> str | None:
    needed = math.floor(math.log(0.025) / math.log(0.99)) + 1
    # The exact interval of a sample from an endless population, at that number and one fault before.
    assert exact_interval(0, needed, 10**9, 0.95).high < 0.01 < exact_interval(0, needed - 1, 10**9, 0.95).high
    hints = [
        (needed - 1, "just not yet: below 1% is asked for"),
        (299, "that is for 0.05, one-sided; a two-sided 95% interval has 0.025 on either side"),
        (300, "that is the rule of three, which is one-sided; use the bound above"),
        (math.log(0.025) / math.log(0.99), "a whole number"),
    ]
    return number(answer, needed, hints=hints)


@task("4.6", "a list of two fractions")
def _certain(answer: Any, lab: Lab, sample: Floats, certain: NDArray[np.bool_]) -> str | None:
    part = float(1 - np.mean(certain))
    mean = float(np.mean(sample))
    hints: list[Hints] = [
        [
            (mean, "that is the rate of the uncertain faults; what is the critical rate of the certain ones?"),
            (mean * (1 - part), "that is the weight of the certain faults"),
            (mean * part + 1 - part, "certain faults are certainly masked: how many of their pairs are critical?"),
        ],
        [
            (1 - part, "that is the weight of the certain faults, whose rate has no error at all"),
            (1.0, "the certain part has no error; what does the rest weigh?"),
            (math.sqrt(part), "the rate is scaled by the weight of the uncertain faults, and so are its ends"),
            (1 / part, "the other way round"),
        ],
    ]
    return several(answer, ("estimated_rate", "narrower"), (mean * part, part), hints, tolerance=1e-4)


@task("4.7", "a list of two fractions")
def _looks(answer: Any, lab: Lab, lows: Floats, highs: Floats, truth: float) -> str | None:
    wrong = (np.asarray(lows) > truth) | (np.asarray(highs) < truth)
    last, ever = float(wrong[:, -1].mean()), float(wrong.any(axis=1).mean())
    hints: tuple[Hints, Hints] = (
        [
            (1 - last, "that is the share that holds"),
            (float(wrong[-1].mean()), "that is the last campaign; campaigns are along axis 0, looks along axis 1"),
            (float((np.asarray(lows)[:, -1] > truth).mean()), "an interval may lie below the truth, too"),
            (float((np.asarray(highs)[:, -1] < truth).mean()), "an interval may lie above the truth, too"),
        ],
        [
            (float(wrong.mean()), "that is the share of all looks; is there at least one in a campaign?"),
            (1 - ever, "that is the share that holds at all looks"),
            (float(wrong.any()), "for each campaign: along axis 1"),
        ],
    )
    return several(answer, ("wrong_at_the_end", "wrong_at_any_look"), (last, ever), hints, tolerance=1e-6)


@task("4.8", 'letters of statements, as in "ac",')
def _conclude(answer: Any, lab: Lab) -> str | None:
    truths = dict(zip("abcdef", (False, True, False, True, True, False), strict=True))
    hint = (
        "what was drawn at random and what was fixed, which number the width depends on, and what decides when a "
        "campaign stops"
    )
    return statements(answer, truths, hint)
