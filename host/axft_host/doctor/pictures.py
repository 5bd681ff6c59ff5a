"""Images that every machine can make: digits of seven segments, so that a board needs no data set to be tested."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import check_int

__all__ = ["MOST_PICTURES", "pictures"]

#: How many there are: the digits, each at four places.
MOST_PICTURES = 40

#: Segments of each digit, in the usual order: a (top), b, c (right), d (bottom), e, f (left), g (middle).
_DIGITS = ("abcdef", "bc", "abdeg", "abcdg", "bcfg", "acdfg", "acdefg", "abc", "abcdefg", "abcdfg")

#: Rows and columns of each segment's rectangle: first, behind the last.
_SEGMENTS = {
    "a": (5, 8, 9, 19),
    "b": (5, 15, 17, 20),
    "c": (13, 23, 17, 20),
    "d": (20, 23, 9, 19),
    "e": (13, 23, 8, 11),
    "f": (5, 15, 8, 11),
    "g": (13, 15, 9, 19),
}

_SHIFTS = ((0, 0), (1, 1), (-1, 1), (2, -2))


def pictures(count: int) -> NDArray[np.uint8]:
    """Return the first pictures: 0 to 9, then the same at other places. They are made of integers alone.

    Parameters
    ----------
    count : int
        1 to `MOST_PICTURES`.

    Returns
    -------
    ndarray of uint8, shape (count, 1, 28, 28)

    Raises
    ------
    ConfigError
        If there are not so many.
    """
    check_int("images", count, 1, MOST_PICTURES)
    images = np.zeros((count, 1, 28, 28), dtype=np.uint8)
    for number in range(count):
        shift, digit = divmod(number, len(_DIGITS))
        sharp = np.zeros((28, 28), dtype=np.int64)
        for segment in _DIGITS[digit]:
            top, bottom, left, right = _SEGMENTS[segment]
            sharp[top:bottom, left:right] = 255
        # Soft edges, as strokes of a pen have: weights 1 2 1 in both directions.
        rows = np.roll(sharp, 1, axis=0) + 2 * sharp + np.roll(sharp, -1, axis=0)
        soft = (np.roll(rows, 1, axis=1) + 2 * rows + np.roll(rows, -1, axis=1)) // 16
        images[number, 0] = np.roll(soft, _SHIFTS[shift], axis=(0, 1))
    return images
