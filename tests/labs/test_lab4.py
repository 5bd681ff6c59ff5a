"""Wrong answers to lab 4, and what is said of them."""

from __future__ import annotations

import math

import numpy as np
import pytest

from support.labs import LabRun, run_lab


@pytest.fixture(scope="module")
def run() -> LabRun:
    """Return the lab, which runs once."""
    return run_lab("4")


def unrounded(N: int, e: float, t: float, p: float = 0.5) -> float:
    """Return the size of a sample as the formula gives it."""
    return N / (1 + e**2 * (N - 1) / (t**2 * p * (1 - p)))


def wilson(p: float, n: int, z: float) -> list[float]:
    """Return the ends of Wilson's interval: the rates q for which (p - q)**2 = z**2 q (1 - q) / n."""
    return sorted(np.roots([1 + z**2 / n, -(2 * p + z**2 / n), p**2]).real.tolist())


@pytest.mark.parametrize(
    ("task", "answer", "said"),
    [
        ("4.1", lambda N, e, t, p=0.5: ..., "… 4.1 open: not answered yet"),
        ("4.1", unrounded, "a whole one: round up"),
        ("4.1", lambda N, e, t, p=0.5: round(unrounded(N, e, t, p)), "round up, not to the nearest number"),
        ("4.1", lambda N, e, t, p=0.5: math.ceil(unrounded(N, e, t)), "The others are right, with p = 0.5"),
        ("4.1", lambda N, e, t, p=0.5: math.ceil(t**2 * p * (1 - p) / e**2), "too large"),
        ("4.1", lambda N, e, t: math.ceil(unrounded(N, e, t)), "but 4 were given"),
        ("4.2", [57, 1.0], "margin_met: that is the margin that is named"),
        ("4.2", [19, 2], "what does the formula ask for?"),
        ("4.2", [56.948, 0.02], "margin_met: in percent"),
        ("4.2", [57, 1.96], "margin_met: that is the quantile t"),
        ("4.2", [57, 2.05], "margin_met: 2.05 is too large"),
        ("4.2", [57, 2], "✓ 4.2 right"),
        ("4.2", [..., ...], "… 4.2 open: not answered yet"),
        ("4.3", lambda p, n, z=1.96: (p - z * (p * (1 - p) / n) ** 0.5, p + z * (p * (1 - p) / n) ** 0.5), "p +- z"),
        ("4.3", lambda p, n, z=1.96: wilson(p, n, z)[::-1], "the low end first"),
        ("4.3", lambda p, n, z=1.96: wilson(p, n, 1.96), "Is z what the function was called with?"),
        ("4.3", lambda p, n: wilson(p, n, 1.96), "raised TypeError"),
        ("4.3", lambda p, n, z=1.96: wilson(p, n, z), "✓ 4.3 right"),
        ("4.3", lambda p, n, z=1.96: [p, p], "[0]"),
        ("4.3", lambda p, n, z=1.96: (..., ...), "… 4.3 open: not answered yet"),
        ("4.3", lambda p, n, z=1.96: (0.0, ...), "not all of this are numbers"),
        ("4.3", lambda p, n, z=1.96: p, "shape must be (2,), not ()"),
        ("4.5", 367, "just not yet"),
        ("4.5", 299, "one-sided"),
        ("4.5", 60, "too small"),
        ("4.8", "abde", "1 of the 6 statements needs another look. Think of what was drawn at random"),
        ("4.8", "bf", "3 of the 6 statements need another look"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(run: LabRun, task: str, answer: object, said: str) -> None:
    """What to think of, and not the answer."""
    assert said in run.say(task, answer)


def test_answers_about_the_census_and_the_looks(run: LabRun) -> None:
    """Tasks 4.4, 4.6 and 4.7 are judged by what the notebook has drawn."""
    names = run.namespace
    share, certain, sample = names["share"], names["certain"], names["uncertain_sample"]
    effects = [names["deff_critical"], names["deff_masked"]]
    assert "deff_critical: the other way round" in run.say("4.4", [1 / effects[0], effects[1], 127], share=share)
    assert "how many pairs" in run.say("4.4", [*effects, 60 / effects[0]], share=share)
    for trials in (names["effective_trials"], round(names["effective_trials"])):
        assert "✓ 4.4 right" in run.say("4.4", [*effects, trials], share=share)
    assert "effective_trials: 126 is too small" in run.say("4.4", [*effects, 126], share=share)
    given = {"sample": sample, "certain": certain}
    assert "that is the rate of the uncertain faults" in run.say("4.6", [sample.mean(), 0.625], **given)
    assert "narrower: that is the weight of the certain" in run.say("4.6", [0.625 * sample.mean(), 0.375], **given)
    looks = {"lows": names["lows"], "highs": names["highs"], "truth": names["true_rate"]}
    last = names["wrong_at_the_end"]
    every = ((names["lows"] > looks["truth"]) | (names["highs"] < looks["truth"])).mean()
    assert "that is the share of all looks" in run.say("4.7", [last, every], **looks)
    assert "that is the share that holds" in run.say("4.7", [1 - last, every], **looks)


def test_the_lab_shows_what_its_text_says(run: LabRun) -> None:
    """Pairs mislead, faults are safe, effective trials are about right, looking often is not."""
    names = run.namespace
    assert names["coverage"](names["DRAWN"] * names["IMAGES"]) < 0.5
    assert names["coverage"](names["DRAWN"]) > 0.97
    assert 0.92 < names["coverage"](names["own"]) < 0.98
    assert names["wrong_at_any_look"] > 2 * names["wrong_at_the_end"]
    assert names["excluded"].any(axis=1).mean() <= 0.05
