"""Sets of bits: each is numbered once, and the numbering is pinned."""

from __future__ import annotations

import itertools
import math

import pytest

from axft_spec.bitsets import PATTERNS, check_pattern, count_sets, count_sets_within, nth_set
from axft_spec.errors import AxftError


@pytest.mark.parametrize("bits", [1, 2, 3, 5])
def test_sets_of_any_places_are_all_combinations(bits: int) -> None:
    """In the order of their last places, as the combinatorial number system has it."""
    listed = [nth_set(number, 6, bits, "word") for number in range(count_sets(6, bits, "word"))]
    assert listed == sorted(itertools.combinations(range(6), bits), key=lambda places: places[::-1])


def test_adjacent_sets_are_runs() -> None:
    """Numbered by their lowest place."""
    assert [nth_set(number, 5, 3, "adjacent") for number in range(3)] == [(0, 1, 2), (1, 2, 3), (2, 3, 4)]
    assert count_sets(5, 3, "adjacent") == 3
    assert count_sets(5, 6, "adjacent") == count_sets(5, 6, "word") == 0


@pytest.mark.parametrize("pattern", PATTERNS)
def test_one_bit_is_its_place(pattern: str) -> None:
    """So that a space of single bits is numbered as ever."""
    assert [nth_set(number, 8, 1, pattern) for number in range(8)] == [(place,) for place in range(8)]


def test_large_sets_need_no_list() -> None:
    """The last of 13,983,816 draws of six out of 49."""
    assert nth_set(math.comb(49, 6) - 1, 49, 6, "pe") == (43, 44, 45, 46, 47, 48)


def test_number_outside_is_refused() -> None:
    """As with a list."""
    with pytest.raises(IndexError, match="between 0 and 9, not 10"):
        nth_set(10, 5, 2, "word")


@pytest.mark.parametrize("pattern", PATTERNS)
def test_sets_within_are_those_that_a_list_has(pattern: str) -> None:
    """Counted one by one."""
    allowed = [True, True, False, True, True, True, False, True]
    for bits in range(1, 5):
        sets = [nth_set(number, 8, bits, pattern) for number in range(count_sets(8, bits, pattern))]
        expected = sum(all(allowed[place] for place in places) for places in sets)
        assert count_sets_within(allowed, bits, pattern) == expected


@pytest.mark.parametrize(
    ("pattern", "bits", "message"),
    [
        ("row", 2, "unknown pattern of bits 'row'.*allowed: adjacent, word, pe"),
        ("word", 0, "bits of a fault must be at least 1"),
    ],
)
def test_patterns_that_do_not_exist_are_refused(pattern: str, bits: int, message: str) -> None:
    """With what there is."""
    with pytest.raises(AxftError, match=message):
        check_pattern(pattern, bits)
