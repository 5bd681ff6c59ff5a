"""What is said of answers."""

from __future__ import annotations

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest

from axft_host.labs.answers import Unanswered, array, function, is_open, names, number, several, statements, text


@pytest.mark.parametrize(
    "answer", [12, 12.0, np.int32(12), np.float64(12), np.array(12), np.array([12]), Fraction(24, 2), Decimal(12)]
)
def test_number_accepts_every_kind_of_number(answer: object) -> None:
    """Whatever a student's computation ends in."""
    assert number(answer, 12) is None


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        (11, "too small"),
        (13, "too large"),
        (-12, "sign"),
        ("12", "quotation marks"),
        (True, "a number is asked for"),
        ([12, 13], "one number"),
        (np.array([1, 2]), "not 2 of them"),
        (12j, "real"),
        (float("nan"), "NaN"),
        (len, "call it"),
        ({}, "dict"),
        (1200, "percent"),
        (np.array(["a"]), "one number"),
    ],
)
def test_number_says_what_is_wrong(answer: object, said: str) -> None:
    """And never the right answer."""
    message = number(answer, 12)
    assert message is not None and said in message
    assert str(answer) == "12" or "12" not in message.replace(str(answer), "")


def test_number_knows_expected_mistakes_and_fractions() -> None:
    """A hint goes to who made that very mistake; percent and fractions are told apart."""
    assert number(14, 12, hints=[(14, "two too many")]) == "two too many"
    assert number(0.5, 50, percent=True) == "this is a fraction, and percent are asked for"
    assert number(12.04, 12, tolerance=0.05) is None
    assert number(12.06, 12, tolerance=0.05) is not None
    assert number(3, 12, otherwise="Count again.") == "3 is not right. Count again."


def test_number_above_1_is_no_fraction() -> None:
    """Which is said where a fraction is expected, and neither of counts nor of what no percentage can be."""
    above = "this is above 1, and a fraction is asked for: is it in percent?"
    assert number(50, 0.125) == number(1.5, 0.125) == number(100, 0.125, otherwise="Why?") == above
    assert number(12.5, 0.125) == "this is in percent, and a fraction is asked for"
    assert number(101, 0.125) == "101 is too large"
    assert number(1, 0.125) == "1 is too large"
    assert number(-50, 0.125) == "-50 is too small"
    assert number(50, 0.125, percent=True) == "50 is too large"
    assert number(2, 1) == number(2, 0) == "2 is too large"
    assert number(50, 0.125, hints=[(50, "that is how many")]) == "that is how many"


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ([[1, 2, 3]], "exchanged"),
        ([1, 2], "shape must be (3, 1), not (2,)"),
        ([[1], [2], [4]], "1 of 3 entries is wrong, the first at [2, 0]"),
        ([[0], [1], [2]], "3 of 3 entries are wrong, the first at [0, 0]"),
        ("abc", "str"),
        ([[1], [2, 3]], "not all of this are numbers"),
        ([["a"], ["b"], ["c"]], "not all of this are numbers"),
        (max, "builtin"),
    ],
)
def test_array_says_what_is_wrong(answer: object, said: str) -> None:
    """Shape first, then the place of the first wrong entry."""
    message = array(answer, [[1], [2], [3]])
    assert message is not None and said in message


def test_array_knows_expected_mistakes() -> None:
    """A hint goes to who made that very mistake."""
    hints = [([100, 200], "in percent"), ([2, 1], "the other way round")]
    assert array([2, 1], [1, 2], hints=hints) == "the other way round"
    assert array([1, 2], [1, 2], hints=[([1, 2], "never")]) is None
    assert array([1, 3], [1, 2], hints=hints, otherwise="Why?") == "1 of 2 entries is wrong, the first at [1]. Why?"


def test_array_accepts_lists_arrays_and_tables() -> None:
    """Also with what rounding leaves."""
    for answer in ([[0.1 + 0.2], [2]], np.array([[0.3], [2.0]]), pd.DataFrame({"a": [0.3, 2]})):
        assert array(answer, [[0.3], [2]]) is None


def test_text_accepts_any_case_and_lists_the_words() -> None:
    """A word that is none of them is told from one that is wrong."""
    options = ("masked", "critical")
    assert text(" Masked ", "masked", options=options) is None
    assert text("critical", "masked", options=options, hints={"critical": "why?"}) == "why?"
    assert text("critical", "masked", options=options) == "critical is not right"
    assert text("benign", "masked", options=options) == "the answer must be one of masked, critical, not 'benign'"
    assert "quotation" in (text(3, "masked", options=options) or "")


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (..., True),
        (None, True),
        ([..., ...], True),
        ((..., None), True),
        ({"a": ..., "b": [...]}, True),
        ([..., 1], False),
        ({"a": ..., "b": 0}, False),
        ([], False),
        ({}, False),
        ("", False),
        (0, False),
        (np.zeros(2), False),
    ],
)
def test_answer_is_open_if_all_of_it_is(answer: object, expected: bool) -> None:
    """Zero, nothing in a list and no text are answers."""
    assert is_open(answer) is expected


def test_several_numbers_may_have_a_tolerance_each() -> None:
    """In their order."""
    assert several([1.4, 2.04], ("a", "b"), (1, 2), ([], []), tolerance=(0.5, 0.05)) is None
    assert several([1.4, 2.4], ("a", "b"), (1, 2), ([], []), tolerance=(0.5, 0.05)) == "b: 2.4 is too large"
    assert several([1, ...], ("a", "b"), (1, 2), ([], [])) == "b is not answered yet"


def test_several_numbers_may_have_a_reason_each() -> None:
    """Or one for all."""
    for told, said in (("Why?", "Why?"), (("Which?", "Why?"), "Why?"), (("Why?", ""), "")):
        wrong = several([1, 3], ("a", "b"), (1, 2), ([], []), otherwise=told)
        assert wrong == (f"b: 3 is not right. {said}" if said else "b: 3 is too large")


def test_zeros_and_ones_are_counted_and_not_pointed_to() -> None:
    """To say where a wrong one is would be to say what is right there."""
    for answer in ([1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 1, 0]):
        assert (
            array(answer, [0, 0, 0, 1]) == f"{1 if answer[3] else 2} of 4 entries {'is' if answer[3] else 'are'} wrong"
        )
    assert array([True, True], np.array([True, False]), otherwise="Why?") == "1 of 2 entries is wrong. Why?"


def test_statements_say_how_many_and_never_which() -> None:
    """Whichever are wrong, what is said of as many of them is the same."""
    truths = {"a": True, "b": False, "c": True}
    for answer in ("ac", "CA", "a, c", {"a", "c"}, ["c", "a"]):
        assert statements(answer, truths, "it") is None
    for answers, said in (
        (("abc", "a", "c"), "1 of the 3 statements needs"),
        (("", "ab", "bc", "b"), "most of the 3 statements need"),
    ):
        assert {statements(answer, truths, "it") for answer in answers} == {f"{said} another look. Think of it"}
    assert statements("b", truths, "x", noun="rows") == "most of the 3 rows need another look. Think of x"
    four = truths | {"d": False}
    assert statements("ad", four, "x") == statements("bc", four, "x") == statements("", four, "x")
    assert (statements("", four, "x") or "").startswith("2 of the 4 statements need")
    assert statements("bd", four, "x") == statements("b", four, "x"), "the complement of what holds"
    assert "none with the letter 'd'" in (statements("d", truths, "it") or "")
    assert "not int" in (statements(3, truths, "it") or "")


def test_names_say_how_many_and_never_which() -> None:
    """Given too much, and missing; sets, lists and an index of a table are read alike."""
    expected, allowed = {"a", "b"}, {"a", "b", "c", "d"}
    for answer in ({"b", "a"}, ["a", "b"], pd.Index(["a", "b"]), (" a", "b")):
        assert names(answer, expected, allowed, "Why?") is None
    assert {names({"a", "b", one}, expected, allowed, "Why?") for one in "cd"} == {
        "1 of the names given does not belong there. Why?"
    }
    assert (
        names({"c", "d"}, expected, allowed, "Why?")
        == "most of the names given do not belong there, and most of the others are missing. Why?"
    )
    assert names([], expected, allowed, "Why?") == "2 of the others are missing. Why?"
    for right in (set(), {"a"}):
        assert names(allowed, right, allowed, "Why?") == "most of the names given do not belong there. Why?"
    for right in (allowed, {"a", "b", "c"}):
        assert names(set(), right, allowed, "Why?") == "most of the others are missing. Why?"
    assert names(set(), set(), allowed, "Why?") is None
    assert "no 'e' among the names" in (names({"a", "e"}, expected, allowed, "Why?") or "")
    for answer in ("ab", 3, {"a": 1}):
        assert "a set of names is asked for" in (names(answer, expected, allowed, "Why?") or "")


def test_function_is_called_and_never_raises() -> None:
    """What it raises, returns nothing of, or gets wrong is said with the call."""
    cases = [((2, 3), 6), ((np.int64(4), 5), 20)]

    def product(a: int, b: int) -> int:
        return a * b

    def nothing(a: int, b: int) -> None:
        product(a, b)

    assert function(product, cases) is None
    assert function(nothing, cases) == "nothing(2, 3) returned nothing: is there a `return` on every path?"
    assert function(lambda a, b: a + b, cases, otherwise="Sum?") == "<lambda>(2, 3): 5 is too small. Sum?"
    with pytest.raises(Unanswered, match=r"\(2, 3\) returned three dots"):
        function(lambda a, b: ..., cases)
    with pytest.raises(Unanswered):
        function(lambda a, b: (..., ...), [((2, 3), [2, 3])])
    assert "raised ZeroDivisionError" in (function(lambda a, b: 1 // 0, cases) or "")
    assert "raised TypeError" in (function(lambda a: a, cases) or "")
    assert "without parentheses" in (function(6, cases) or "")
    assert function(lambda: 3, [((), [1, 2])], otherwise="Why?") == "<lambda>(): the shape must be (2,), not ()"
    assert (function(lambda: [1, 3], [((), [1, 2])], otherwise="Why?") or "").endswith("the first at [1]. Why?")
