"""Windows by hand; what any attributes give is compared with onnxruntime in test_onnx_import."""

from __future__ import annotations

import pytest

from axft_host.nn.onnx_geometry import find_windows
from axft_spec.errors import ModelError


def test_padding_on_one_side_counts_if_it_is_to_count() -> None:
    """Two rows below a map of 4: windows of 3 reach 0, 0, 1 and 2 rows of it."""
    windows = find_windows({"pads": [0, 0, 2, 0]}, (4, 1), (3, 1))
    assert windows.out_size == (4, 1)
    assert windows.divisors(include_pad=True).ravel().tolist() == [3, 3, 3, 3]
    assert windows.divisors(include_pad=False).ravel().tolist() == [3, 3, 2, 1]


def test_ceil_mode_adds_a_window_that_reaches_beyond_the_padding() -> None:
    """Rows 0 to 4, windows of 2, stride 2: the third one has one row, the rest of it counts for nothing."""
    windows = find_windows({"strides": [2, 1], "ceil_mode": 1}, (5, 1), (2, 1))
    assert windows.out_size == (3, 1)
    assert windows.pads == (0, 0, 1, 0)
    assert windows.divisors(include_pad=True).ravel().tolist() == [2, 2, 1]
    assert find_windows({"strides": [2, 1]}, (5, 1), (2, 1)).out_size == (2, 1)


def test_ceil_mode_does_not_begin_a_window_in_the_padding() -> None:
    """Rows 0 to 3, one of padding behind: a third window of stride 2 would begin at row 4."""
    windows = find_windows({"strides": [2, 1], "pads": [0, 0, 1, 0], "ceil_mode": 1}, (4, 1), (2, 1))
    assert windows.out_size == (2, 1)


@pytest.mark.parametrize(("auto_pad", "pads"), [("SAME_UPPER", (0, 1, 1, 1)), ("SAME_LOWER", (1, 1, 0, 1))])
def test_auto_pad_puts_the_odd_row_on_the_side_it_names(auto_pad: str, pads: tuple[int, ...]) -> None:
    """Rows: 6, stride 2, 3 windows of 3 need one row; columns: 5, stride 2, need one on each side."""
    windows = find_windows({"auto_pad": auto_pad.encode(), "strides": [2, 2]}, (6, 5), (3, 3))
    assert windows.out_size == (3, 3)
    assert windows.pads == pads


@pytest.mark.parametrize(
    ("attributes", "message"),
    [
        ({"strides": [1]}, r"strides must be two positive numbers \(two-dimensional"),
        ({"dilations": [1, 0]}, "dilations must be two positive numbers"),
        ({"pads": [1, 1]}, r"pads must be four numbers of at least 0, not \(1, 1\)"),
        ({"pads": [0, 0, -1, 0]}, "pads must be four numbers"),
        ({"auto_pad": "SAME"}, "auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID, not 'SAME'"),
        ({"dilations": [3, 1]}, r"a window of 4 does not fit into 3 \+ 0 \+ 0"),
    ],
)
def test_attributes_that_make_no_windows_are_refused(attributes: dict[str, object], message: str) -> None:
    """The message says what is allowed."""
    with pytest.raises(ModelError, match=message):
        find_windows(attributes, (3, 3), (2, 2))
