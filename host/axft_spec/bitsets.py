"""Sets of bits that a multi-bit fault arms: how many there are, and which one has which number."""

from __future__ import annotations

import math
from collections.abc import Sequence

from axft_spec.errors import FaultError, check_int, unknown_name

__all__ = ["PATTERNS", "check_pattern", "count_sets", "count_sets_within", "nth_set"]

#: How the bits of one fault lie: next to each other in one value, anywhere in one value, or anywhere in one PE.
PATTERNS = ("adjacent", "word", "pe")


def check_pattern(pattern: str, bits: int) -> None:
    """Check the two numbers that define which sets of bits there are.

    Raises
    ------
    ConfigError
        If `bits` is not at least 1.
    FaultError
        If there is no such pattern; the message lists them.
    """
    check_int("bits of a fault", bits, 1)
    if pattern not in PATTERNS:
        raise FaultError(unknown_name("pattern of bits", pattern, PATTERNS))


def count_sets(places: int, bits: int, pattern: str) -> int:
    """Return how many sets of `bits` bits there are among `places` of them."""
    if pattern == "adjacent":
        return max(0, places - bits + 1)
    return math.comb(places, bits)


def nth_set(number: int, places: int, bits: int, pattern: str) -> tuple[int, ...]:
    """Return the set with a number, as places in ascending order.

    Adjacent sets are numbered by their lowest place. Others are numbered by the combinatorial number system: the set
    ``c1 < c2 < ... < ck`` has the number ``C(c1, 1) + C(c2, 2) + ... + C(ck, k)`` (D. E. Knuth, The Art of Computer
    Programming 4A, section 7.2.1.3, theorem L). For one bit, both number the places themselves.

    Raises
    ------
    IndexError
        If there is no such number.
    """
    count = count_sets(places, bits, pattern)
    if not 0 <= number < count:
        raise IndexError(f"number of a set must be between 0 and {count - 1}, not {number}")
    if pattern == "adjacent":
        return tuple(range(number, number + bits))
    chosen = []
    place = places
    for size in range(bits, 0, -1):
        place -= 1
        while math.comb(place, size) > number:
            place -= 1
        number -= math.comb(place, size)
        chosen.append(place)
    return tuple(reversed(chosen))


def count_sets_within(allowed: Sequence[bool], bits: int, pattern: str) -> int:
    """Return how many sets lie entirely in the places that are allowed."""
    if pattern == "adjacent":
        return sum(all(allowed[low : low + bits]) for low in range(len(allowed) - bits + 1))
    return math.comb(sum(allowed), bits)
