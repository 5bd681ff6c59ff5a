"""Judging answers: each function returns None for a right answer, else what is wrong with it, without the right one.

Where an answer is a choice of two (yes or no, 0 or 1), to say which one is wrong is to say what is right: there, only
how many are wrong is said.

They are used by the tasks of the labs. Any of them may raise for an answer that nobody has thought of; `Lab.check`
turns that into a message.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "Hints",
    "Unanswered",
    "array",
    "function",
    "is_open",
    "names",
    "number",
    "require_result",
    "several",
    "statements",
    "text",
]

#: Beyond this many characters an answer is not repeated to who gave it.
_LONG = 60

_NO_NUMBERS: tuple[tuple[type | tuple[type, ...], str], ...] = (
    ((str, bytes), "this is text, and a number is asked for: leave out the quotation marks"),
    ((bool, np.bool_), "this is true or false, and a number is asked for"),
    ((complex, np.complexfloating), "a real number is asked for, and this is a complex one"),
)

Hints = Iterable[tuple[float, str]]


class Unanswered(Exception):  # noqa: N818  # no error: the task is open
    """Raised by a judge that finds a function still returning three dots; its message is for the student."""


def _said(answer: object) -> str:
    said = repr(answer.item() if isinstance(answer, np.generic) else answer)
    return said if len(said) <= _LONG else said[: _LONG - 1] + "…"


def is_open(answer: object) -> bool:
    """Return whether nothing is answered yet: None, three dots, or a list, tuple or dict of nothing else."""
    if isinstance(answer, Mapping):
        answer = list(answer.values())
    if isinstance(answer, list | tuple):
        return bool(answer) and all(is_open(one) for one in answer)
    return answer is None or answer is ...


def require_result(call: str, given: object) -> str | None:
    """Return what is wrong with a student's function that gave nothing; None if it gave something.

    Raises
    ------
    Unanswered
        If it gave three dots, alone or several of them: the function is as the lab has it.
    """
    if given is None:
        return f"{call} returned nothing: is there a `return` on every path?"
    if is_open(given):
        raise Unanswered(f"{call} returned three dots: an answer belongs there")
    return None


def _number(answer: object) -> float | str:
    """Return a real number, or what is wrong with it as one."""
    for kinds, wrong in _NO_NUMBERS:
        if isinstance(answer, kinds):
            return wrong
    if callable(answer):
        return "this is a function, and a number is asked for: call it, with parentheses"
    try:
        values = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError):
        return f"one number is asked for, not {type(answer).__name__} {_said(answer)}"
    if values.size != 1:
        return f"one number is asked for, not {values.size} of them"
    value = float(values.reshape(()))
    return "this is not a number (NaN): was something divided by zero?" if math.isnan(value) else value


def number(
    answer: object,
    expected: float,
    *,
    tolerance: float = 0.0,
    hints: Hints = (),
    otherwise: str = "",
    percent: bool = False,
) -> str | None:
    """Judge one number.

    Parameters
    ----------
    answer : object
        What the student gave.
    expected : float
    tolerance : float
        Largest difference that is still right; besides it, rounding in the last digits of a float is never wrong.
    hints : iterable of (float, str)
        Wrong answers that are to be expected, and what to tell who gives them.
    otherwise : str
        What to tell about any other wrong number; whether it is too large or too small, if empty.
    percent : bool
        Whether a share was asked for in percent, so that a fraction is told from it.
    """
    given = _number(answer)
    if isinstance(given, str):
        return given

    def near(value: float) -> bool:
        return math.isclose(given, value, rel_tol=1e-9, abs_tol=max(tolerance, 1e-12))

    if near(expected):
        return None
    for value, hint in hints:
        # A mistake that happens to lead to the right number is right, and was let through above.
        if near(value):
            return hint
    said = _usual_slip(given, expected, tolerance, percent=percent)
    return said or f"{_said(answer)} is {otherwise and 'not right. '}{otherwise or _which(given, expected)}"


def _which(given: float, expected: float) -> str:
    return "too large" if given > expected else "too small"


def _usual_slip(given: float, expected: float, tolerance: float, *, percent: bool) -> str:
    def near(value: float, target: float) -> bool:
        return expected != 0 and math.isclose(value, target, rel_tol=1e-6, abs_tol=tolerance)

    if percent and near(100 * given, expected):
        return "this is a fraction, and percent are asked for"
    if not percent and near(given / 100, expected):
        return "this is in percent, and a fraction is asked for"
    # Counts of 0 and of 1 are no fractions.
    if not percent and 0 < expected < 1 < given <= 100:
        return "this is above 1, and a fraction is asked for: is it in percent?"
    return "look at the sign" if near(given, -expected) else ""


def several(
    answer: object,
    names: Sequence[str],
    expected: Sequence[float],
    hints: Sequence[Hints],
    *,
    tolerance: float | Sequence[float] = 0.0,
    otherwise: str | Sequence[str] = "",
) -> str | None:
    """Judge some numbers that are answered together; the first wrong one is spoken of, by its name.

    Parameters
    ----------
    answer : object
        A list, a tuple or an array.
    names : sequence of str
        What the numbers are called in the notebook.
    expected : sequence of float
    hints : sequence of iterable of (float, str)
        For each of them, as for `number`.
    tolerance : float or sequence of float
        As for `number`; one for all, or one for each.
    otherwise : str or sequence of str
        As for `number`; one for all, or one for each.
    """
    if isinstance(answer, np.ndarray):
        answer = answer.tolist()
    if not isinstance(answer, list | tuple) or len(answer) != len(names):
        return f"{len(names)} numbers are asked for: {', '.join(names)}"
    each = [tolerance] * len(names) if isinstance(tolerance, int | float) else tolerance
    told = [otherwise] * len(names) if isinstance(otherwise, str) else otherwise
    for name, one, right, known, allowed, why in zip(names, answer, expected, hints, each, told, strict=True):
        if is_open(one):
            return f"{name} is not answered yet"
        wrong = number(one, right, tolerance=allowed, hints=known, otherwise=why)
        if wrong is not None:
            return f"{name}: {wrong}"
    return None


def array(
    answer: object,
    expected: Any,
    *,
    tolerance: float = 0.0,
    hints: Iterable[tuple[Any, str]] = (),
    otherwise: str = "",
) -> str | None:
    """Judge an array of numbers: its shape first, then how many entries are wrong, and where the first of them is.

    Where it is is not said if all that is expected are zeros and ones: such an entry is right if it is the other one.

    Parameters
    ----------
    answer : object
        What the student gave: an array, a list, a table.
    expected : array_like
    tolerance : float
        As for `number`.
    hints : iterable of (array_like, str)
        Wrong answers that are to be expected, and what to tell who gives them.
    otherwise : str
        Added to what is said of wrong entries.
    """
    expected = np.asarray(expected)
    if isinstance(answer, str | bytes) or callable(answer):
        return f"numbers of shape {expected.shape} are asked for, not {type(answer).__name__} {_said(answer)}"
    try:
        given = np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError):
        return f"numbers of shape {expected.shape} are asked for, and not all of this are numbers"
    if given.shape != expected.shape:
        exchanged = ": are rows and columns exchanged?" if given.shape == expected.shape[::-1] else ""
        return f"the shape must be {expected.shape}, not {given.shape}{exchanged}"

    def near(values: Any) -> NDArray[np.bool_]:
        return np.isclose(given, np.asarray(values, np.float64), rtol=1e-9, atol=max(tolerance, 1e-12))

    wrong = ~near(expected)
    if not wrong.any():
        return None
    known = next((hint for values, hint in hints if near(values).all()), None)
    if known is not None:
        return known
    count = int(wrong.sum())
    said = f"{count} of {wrong.size} entries {'is' if count == 1 else 'are'} wrong"
    if not np.isin(expected, (0, 1)).all():
        said += f", the first at [{', '.join(str(int(place)) for place in np.argwhere(wrong)[0])}]"
    return f"{said}. {otherwise}" if otherwise else said


def text(
    answer: object, expected: str, *, options: Sequence[str], hints: Mapping[str, str] | None = None
) -> str | None:
    """Judge one word out of some.

    Parameters
    ----------
    answer : object
    expected : str
    options : sequence of str
        All words that may be given; capitals do not matter.
    hints : mapping of str to str
        For words that are wrong, why.
    """
    if not isinstance(answer, str):
        return f"one of these words is asked for, in quotation marks: {', '.join(options)}"
    given = {option.lower(): option for option in options}.get(answer.strip().lower())
    if given is None:
        return f"the answer must be one of {', '.join(options)}, not {_said(answer)}"
    return None if given == expected else (hints or {}).get(given, f"{given} is not right")


def statements(answer: object, truths: Mapping[str, bool], hint: str, *, noun: str = "statements") -> str | None:
    """Judge which of some lettered statements hold.

    How many are judged wrongly is said, and never which: of two possible answers, the other one would be right. Of
    more than half, not even how many: if all of them are wrong, the others are right. The hint is the same whatever
    the answer, so that it does not point to one of them, either.

    Parameters
    ----------
    answer : object
        The letters of those that hold: ``"ac"``, or a set or a list of letters.
    truths : mapping of str to bool
        Every letter, and whether its statement holds.
    hint : str
        What to think of before deciding again.
    noun : str
        What the letters stand for, in the plural.
    """
    letters = sorted(truths)
    asked = f'letters of {noun} are asked for, such as "{letters[0]}{letters[-1]}"'
    if isinstance(answer, str):
        given = {one for one in answer.lower() if one.isalnum()}
    elif isinstance(answer, set | frozenset | list | tuple) and all(isinstance(one, str) for one in answer):
        given = {one.strip().lower() for one in answer}
    else:
        return f"{asked}, not {type(answer).__name__} {_said(answer)}"
    if unknown := sorted(given - set(letters)):
        return f"{asked}; there is none with the letter {unknown[0]!r}"
    wrong = sum(truths[letter] != (letter in given) for letter in letters)
    if not wrong:
        return None
    if 2 * wrong > len(letters):
        return f"most of the {len(letters)} {noun} need another look. Think of {hint}"
    return f"{wrong} of the {len(letters)} {noun} {'needs' if wrong == 1 else 'need'} another look. Think of {hint}"


def names(answer: object, expected: Collection[str], allowed: Collection[str], hint: str) -> str | None:
    """Judge a set of names: how many of them do not belong to it and how many are missing, and never which.

    Where it is more than half of those given, or of the others, it is not said how many: if it were all of them, that
    would say which.

    Parameters
    ----------
    answer : object
        What the student gave: a set, a list, an index of a table.
    expected : collection of str
    allowed : collection of str
        All names that may be given.
    hint : str
        What to think of before deciding again.
    """
    if isinstance(answer, str | bytes | Mapping) or not isinstance(answer, Iterable):
        return f"a set of names is asked for (that of no names is set()), not {type(answer).__name__} {_said(answer)}"
    given = {str(name).strip() for name in answer}
    if unknown := sorted(given - set(allowed)):
        return f"there is no {_said(unknown[0])} among the names to choose from"
    extra, missing = len(given - set(expected)), len(set(expected) - given)
    if not extra and not missing:
        return None
    said = []
    if extra:
        count = _count(extra, len(given))
        said.append(f"{count} of the names given do{'es' if extra == 1 else ''} not belong there")
    if missing:
        count = _count(missing, len(set(allowed) - given))
        said.append(f"{count} of the others {'is' if missing == 1 else 'are'} missing")
    return f"{', and '.join(said)}. {hint}"


def _count(wrong: int, whole: int) -> int | str:
    """Return how many are wrong as it may be told."""
    return "most" if wrong > 1 and 2 * wrong > whole else wrong


def function(
    answer: object,
    cases: Iterable[tuple[tuple[Any, ...], Any]],
    *,
    tolerance: float = 0.0,
    otherwise: str = "",
) -> str | None:
    """Judge a function by calling it.

    Parameters
    ----------
    answer : object
        The student's function.
    cases : iterable of (tuple, value)
        Arguments, and what must come back: a number or an array of numbers.
    tolerance : float
    otherwise : str
        Added to what is said of a wrong value.

    Raises
    ------
    Unanswered
        If it returns three dots.
    """
    if not callable(answer):
        return (
            f"a function is asked for, not {type(answer).__name__} {_said(answer)}: give its name, without parentheses"
        )
    for arguments, expected in cases:
        call = f"{getattr(answer, '__name__', 'function')}({', '.join(map(_said, arguments))})"
        try:
            given = answer(*arguments)
        except Exception as error:  # whatever the student's code raises
            return f"{call} raised {type(error).__name__}: {error}"
        if (nothing := require_result(call, given)) is not None:
            return nothing
        if np.ndim(expected):
            wrong = array(given, expected, tolerance=tolerance, otherwise=otherwise)
        elif (wrong := number(given, expected, tolerance=tolerance)) is not None and otherwise:
            wrong = f"{wrong}. {otherwise}"
        if wrong is not None:
            return f"{call}: {wrong}"
    return None
