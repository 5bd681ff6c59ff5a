"""Wrong answers to lab 2, and what is said of them."""

from __future__ import annotations

import numpy as np
import pytest

from support.labs import run_lab


@pytest.mark.parametrize(
    ("task", "answer", "said"),
    [
        ("2.1", lambda a, b: int(a / 8) * 8 * int(b / 8) * 8, "product_34p"),
        ("2.1", lambda a, b: a * b >> 3 << 3, "when its three low bits are cleared"),
        ("2.1", lambda a, b: str(a * b), "text"),
        ("2.2", [15.75, 1743, 0.98], "mae: that is the mean with its sign"),
        ("2.2", [339.9437, -1743, 0.98], "wce: look at the sign"),
        ("2.2", [339.9437, 1743, 97.75390625], "ep: this is in percent"),
        ("2.2", 339.9, "3 numbers are asked for: mae, wce, ep"),
        ("2.3", 0.0625, "that is the ratio of the MAEs themselves"),
        ("2.3", 256, "that is the ratio of the largest products"),
        ("2.4", 15.75, "over negative activations, too"),
        ("2.4", 208.25, "which way do these errors point?"),
        ("2.5", 0.5, "that is the exact part"),
        ("2.5", 59.5, "this is in percent, and a fraction is asked for"),
        ("2.6", lambda w, omit: w >> omit << omit, "this floors"),
        ("2.6", lambda w, omit: (w + (1 << omit) // 2) >> omit << omit, "which is no 8-bit number"),
        ("2.6", lambda w, omit: np.clip(np.rint(w / 2**omit) * 2**omit, -128, 127), "no multiple of 2"),
        ("2.6", np.arange(3), "a function is asked for"),
        ("2.7", [-3.5, 0], "mean_floored: a good guess; now measure it"),
        ("2.7", [3.5167291667, 0], "mean_floored: look at the sign"),
        ("2.9", "abdf", "1 of the 6 statements needs another look. Think of what each number belongs to"),
        ("2.9", "be", "3 of the 6 statements need another look"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, said: str) -> None:
    """What to think of, and not the answer."""
    told = run_lab("2").say(task, answer)
    assert " wrong: " in told
    assert said in told.replace("<lambda>", "product_34p")


def test_spread_taken_for_bias_is_told() -> None:
    """Task 2.8, from the errors of the notebook."""
    run = run_lab("2")
    errors = run.namespace["errors"]
    shares = [values.var() / (values.astype(float) ** 2).mean() for values in errors["floored"].values()]
    assert "the share of the variance" in run.say("2.8", shares, errors=errors)
    assert "could not be read (TypeError)" in run.say("2.8", shares)


def test_either_way_of_rounding_halves_is_right() -> None:
    """Task 2.6: up, or to even as the toolkit does."""

    def to_even(w: np.ndarray, omit: int) -> np.ndarray:
        return np.clip(np.rint(w / 2**omit), -128 >> omit, 127 >> omit) * 2**omit

    assert "2.6 right" in run_lab("2").say("2.6", to_even)
