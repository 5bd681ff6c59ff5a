"""Windows of convolutions and pooling, from the attributes that ONNX gives them.

The rules are those of the operators Conv, MaxPool and AveragePool in the ONNX specification, opset 22.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from axft_spec.errors import ModelError

__all__ = ["Windows", "find_windows"]

Int64 = NDArray[np.int64]

_SAME = ("SAME_UPPER", "SAME_LOWER")


@dataclass(frozen=True, slots=True, kw_only=True)
class Windows:
    """Where the windows of a two-dimensional operator lie.

    Members
    -------
    kernel, strides, dilations, out_size : (int, int)
        Along rows and columns.
    pads : (int, int, int, int)
        Top, left, bottom, right; enough for the last window, also where it reaches beyond what the file pads.
    filled : (ndarray, ndarray)
        For every window along rows, along columns: its elements that lie on the map.
    reached : (ndarray, ndarray)
        The same, elements on the file's own padding included.
    auto_pad : str
        As in the file.
    """

    kernel: tuple[int, int]
    strides: tuple[int, int]
    dilations: tuple[int, int]
    pads: tuple[int, int, int, int]
    out_size: tuple[int, int]
    filled: tuple[Int64, Int64]
    reached: tuple[Int64, Int64]
    auto_pad: str

    @property
    def same(self) -> bool:
        """Whether the file leaves the padding to the size of the map."""
        return self.auto_pad in _SAME

    def divisors(self, include_pad: bool) -> Int64:
        """Return the elements that an average counts in each window, shape `out_size`."""
        rows, columns = self.reached if include_pad else self.filled
        return rows[:, None] * columns[None, :]


def _pair(attributes: Mapping[str, Any], name: str, default: tuple[int, int]) -> tuple[int, int]:
    values = tuple(int(value) for value in attributes.get(name, default))
    if len(values) != 2 or min(values) < 1:
        raise ModelError(f"{name} must be two positive numbers (two-dimensional operators only), not {values}")
    return values[0], values[1]


def find_windows(attributes: Mapping[str, Any], size: tuple[int, int], kernel: tuple[int, int]) -> Windows:
    """Return the windows on a map.

    Parameters
    ----------
    attributes : mapping
        The node's: strides, dilations, pads, auto_pad, ceil_mode.
    size : (int, int)
        Height and width of the map.
    kernel : (int, int)

    Raises
    ------
    ModelError
        If the attributes are not two-dimensional, or no window fits.
    """
    strides, dilations = _pair(attributes, "strides", (1, 1)), _pair(attributes, "dilations", (1, 1))
    pads = tuple(int(pad) for pad in attributes.get("pads", (0, 0, 0, 0)))
    if len(pads) != 4 or min(pads) < 0:
        raise ModelError(f"pads must be four numbers of at least 0, not {pads}")
    auto_pad = _text(attributes.get("auto_pad", "NOTSET"))
    axes = [
        _axis(
            size[i],
            (dilations[i] * (kernel[i] - 1) + 1, strides[i]),
            (pads[i], pads[i + 2]),
            auto_pad,
            bool(attributes.get("ceil_mode", 0)),
        )
        for i in (0, 1)
    ]
    counts = [_count(size[i], kernel[i], dilations[i], strides[i], axes[i]) for i in (0, 1)]
    (rows, columns) = axes
    return Windows(
        kernel=kernel,
        strides=strides,
        dilations=dilations,
        pads=(rows.before, columns.before, rows.needed, columns.needed),
        out_size=(rows.out, columns.out),
        filled=(counts[0][0], counts[1][0]),
        reached=(counts[0][1], counts[1][1]),
        auto_pad=auto_pad,
    )


def _text(value: bytes | str) -> str:
    return value.decode() if isinstance(value, bytes) else value


@dataclass(frozen=True, slots=True, kw_only=True)
class _Axis:
    """Padding before and after as in the file, after as needed, and the number of windows."""

    before: int
    after: int
    needed: int
    out: int


def _axis(size: int, window: tuple[int, int], pads: tuple[int, int], auto_pad: str, ceil_mode: bool) -> _Axis:
    reach, stride = window
    if auto_pad in _SAME:
        out = -(-size // stride)
        total = max((out - 1) * stride + reach - size, 0)
        small, large = total // 2, total - total // 2
        before, after = (small, large) if auto_pad == "SAME_UPPER" else (large, small)
    elif auto_pad in ("NOTSET", "VALID"):
        before, after = pads if auto_pad == "NOTSET" else (0, 0)
        span = size + before + after - reach
        out = (-(-span // stride) if ceil_mode else span // stride) + 1
        if ceil_mode and (out - 1) * stride >= size + before:
            # A window that would begin in the padding after the map does not exist.
            out -= 1
    else:
        raise ModelError(f"auto_pad must be NOTSET, SAME_UPPER, SAME_LOWER or VALID, not {auto_pad!r}")
    if out < 1:
        raise ModelError(f"a window of {reach} does not fit into {size} + {before} + {after}")
    needed = max((out - 1) * stride + reach - size - before, after)
    return _Axis(before=before, after=after, needed=needed, out=out)


def _count(size: int, kernel: int, dilation: int, stride: int, axis: _Axis) -> tuple[Int64, Int64]:
    """Return, for every window, its elements on the map, and those on the map or the file's padding."""
    first = np.arange(axis.out)[:, None] * stride - axis.before
    places = first + np.arange(kernel)[None, :] * dilation
    filled = ((places >= 0) & (places < size)).sum(axis=1)
    reached = (places < size + axis.after).sum(axis=1)
    return filled.astype(np.int64), reached.astype(np.int64)
