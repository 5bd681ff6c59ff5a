"""Lab 5: what is said of wrong answers, and that its figures are those of the package."""

from __future__ import annotations

import pytest

from axft_host.labs.lab5 import METHODS, difference, printed_table
from support.labs import run_lab

GIVEN = {"5.7": {"table": "table"}, "5.8": {"differences": "differences"}, "5.10": {"result": "mine"}}


def said(task: str, answer: object) -> str:
    """Return what the check says, with what the notebook hands over."""
    run = run_lab("5")
    return run.say(task, answer, **{name: run.namespace[value] for name, value in GIVEN.get(task, {}).items()})


@pytest.mark.parametrize(
    ("task", "answer", "part"),
    [
        ("5.1", {"2TE", "2PT"}, "2PT misses 100 by no more than the rounding"),
        ("5.1", set(), "a row is missing"),
        ("5.1", {"8P", "2TE"}, "8P does sum to 100"),
        ("5.1", "2TE", "a set of names"),
        ("5.2", 0.81, "everything else"),
        ("5.2", 19, "in percent, and a fraction"),
        ("5.3", [7143, 9986], "larger space comes first"),
        ("5.3", [6946, 5440], "95 %"),
        ("5.3", 9986, "shape"),
        ("5.3", [9986, ...], "not all of this are numbers"),
        ("5.4", 0.02, "percent are asked for"),
        ("5.4", 1, "2,401 faults do not give it"),
        ("5.5", [0, 0, 0, 100 / 12, 200 / 12, 25, 50], "a weight has 8"),
        ("5.5", [0, 0, 0, 0.125, 0.25, 0.375, 0.75], "fractions"),
        ("5.6", "34P", "above its bound"),
        ("5.7", "raw outputs", "moves it by 0.0 points"),
        ("5.7", "base", "compared with this one"),
        ("5.8", {"base"}, "is the printed difference between"),
        ("5.9", "abdf", "1 of the 6 statements needs another look. Think of which choices"),
        ("5.10", {**dict.fromkeys(METHODS, ...), list(METHODS)[-1]: 1}, "configuration is not stated"),
        ("5.10", {"config": "34P"}, "missing: array"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, part: str) -> None:
    """One line, which does not hold the answer."""
    line = said(task, answer)
    assert line.startswith(f"✗ {task} wrong: ") and part in line, line
    assert "could not be read" not in line


def test_methods_must_be_those_of_the_result() -> None:
    """An entry that is another campaign's is named."""
    methods = dict(run_lab("5").namespace["methods"])
    assert said("5.10", methods) == "✓ 5.10 right"
    for key, wrong in (
        ("kind", "flip"),
        ("duration", "transient"),
        ("lowering", "toeplitz"),
        ("unit", "pair"),
        ("space", 12_543),
        ("reach", "this PE"),
    ):
        assert f"wrong: {key}: " in said("5.10", methods | {key: wrong})


def test_difference_is_that_of_campaign_compare() -> None:
    """The same mean and interval as `axft-hw campaign compare` computes from the stores."""
    from axft_host.campaign.contrast import contrasts

    results = run_lab("5").namespace["results"]
    a, b = results["34P", "base"], results["8P", "base"]
    ((one,), _) = contrasts([a.directory, b.directory], "critical")
    made = difference(a, b)
    assert made["difference"] == pytest.approx(100 * one.test.difference)
    assert made["low"] == pytest.approx(100 * one.interval.low)
    assert made["high"] == pytest.approx(100 * one.interval.high)


def test_printed_table_is_the_published_one() -> None:
    """Two rows, digit by digit, from the study."""
    table = printed_table()
    assert table.loc["34P"].tolist()[2:] == [55, 98.24, 19, 74.16, 23.01, 2.83]
    assert table.loc["2TE"].tolist()[2:] == [55.6, 9.8, 19, 3.94, 27.5, 68.76]
