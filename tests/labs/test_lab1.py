"""Wrong answers to lab 1, and what is said of them."""

from __future__ import annotations

import pytest

from support.labs import run_lab

NOTHING = [[0, 0, 0], [0, 1, 0], [0, 0, 0]]
SOUTH = [[0, 0, 0], [0, 1, 0], [0, 1, 0]]
EAST = [[0, 0, 0], [0, 1, 1], [0, 0, 0]]


@pytest.mark.parametrize(
    ("task", "answer", "said"),
    [
        ("1.1", [[1] * 3] * 3, "1 of 9 entries is wrong. A PE is busy from"),
        ("1.1", [[1, 1, 1], [1, 1, 1]], "shape must be (3, 3), not (2, 3)"),
        ("1.2", lambda t, r, c, K: t - r - c, "too small"),
        ("1.2", lambda t, r, c, K: max(-1, t - r - c), "when has the last operand passed?"),
        ("1.2", lambda t, r, c, K: None, "is there a `return` on every path"),
        ("1.2", 3, "a function is asked for"),
        ("1.3", lambda K, R, C: K + R + C, "too large"),
        ("1.3", lambda K, R, C: K, "How long after PE(0, 0) does the last PE begin"),
        ("1.4", lambda m, n, K, R, C: K / (K + R + C - 2), "All PEs of the array count"),
        ("1.5", 448, "do the others reach any that this one does not?"),
        ("1.5", 784, "Which layer has 28 output channels"),
        ("1.5", "460", "leave out the quotation marks"),
        ("1.6", [NOTHING] * 4, "a dict with the keys"),
        (
            "1.6",
            dict.fromkeys(("weight", "activation", "weight_operand", "psum"), NOTHING),
            "weight: 1 of 9 entries is wrong; who gets",
        ),
        ("1.6", {"weight": SOUTH, "activation": EAST, "weight_operand": SOUTH, "psum": NOTHING}, "leave the PE?"),
        ("1.6", {"weight": SOUTH, "activation": EAST, "weight_operand": NOTHING, "psum": ...}, "psum is not answered"),
        ("1.7", [3, 5, 3], "hit_step: that is the cycle"),
        ("1.7", [2, 3, 3], "cycle_at_row_2: in that cycle the weight is still at row 0"),
        ("1.7", [2, 5, 1], "outputs_at_risk: the flipped weight travels on"),
        ("1.7", 2, "3 numbers are asked for"),
        ("1.8", "abcdf", "1 of the 6 statements needs another look. Think of who owns an output"),
        ("1.8", "be", "most of the 6 statements need another look"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, said: str) -> None:
    """What to think of, and not the answer."""
    assert said in run_lab("1").say(task, answer)


def test_a_prediction_from_the_text_is_right() -> None:
    """Task 1.6 is judged by the reference model; what the table of sites says must agree with it."""
    answer = {"weight": SOUTH, "activation": EAST, "weight_operand": NOTHING, "psum": NOTHING}
    assert "1.6 right" in run_lab("1").say("1.6", answer)
