"""The definitions of the lowerings against a direct convolution, and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from axft_spec.errors import ConfigError
from axft_spec.lowering import LOWERINGS, ConvShape, GemmShape, conv_by_gemms, conv_gemms, lower_conv

SHAPES = [
    ConvShape(in_channels=1, height=4, width=5, out_channels=2, kernel=(3, 2)),
    ConvShape(in_channels=2, height=5, width=4, out_channels=3, kernel=(3, 3), pads=(1, 2, 0, 1), strides=(2, 1)),
    ConvShape(in_channels=4, height=6, width=6, out_channels=2, kernel=(2, 3), groups=2, dilations=(2, 2)),
    ConvShape(in_channels=3, height=3, width=3, out_channels=3, kernel=(3, 3), groups=3, pads=(1, 1, 1, 1)),
]


def _direct(x: np.ndarray, w: np.ndarray, s: ConvShape) -> np.ndarray:
    padded = np.zeros((s.in_channels, s.height + s.pads[0] + s.pads[2], s.width + s.pads[1] + s.pads[3]), dtype=int)
    padded[:, s.pads[0] : s.pads[0] + s.height, s.pads[1] : s.pads[1] + s.width] = x
    out = np.zeros((s.out_channels, s.out_height, s.out_width), dtype=int)
    for (oc, oy, ox), _ in np.ndenumerate(out):
        first = oc // (s.out_channels // s.groups) * w.shape[1]
        for (ic, ky, kx), _ in np.ndenumerate(w[oc]):
            y, col = oy * s.strides[0] + ky * s.dilations[0], ox * s.strides[1] + kx * s.dilations[1]
            out[oc, oy, ox] += w[oc, ic, ky, kx] * padded[first + ic, y, col]
    return out


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("shape", SHAPES, ids=range(len(SHAPES)))
def test_gemms_of_lowering_add_up_to_the_convolution(shape: ConvShape, lowering: str) -> None:
    """Whatever strides, pads, dilations and groups."""
    rng = np.random.default_rng(1)
    x = rng.integers(0, 128, (shape.in_channels, shape.height, shape.width))
    w = rng.integers(-128, 128, (shape.out_channels, shape.group_inputs, *shape.kernel))
    gemms = list(lower_conv(x, w, shape, lowering))
    count, gemm = conv_gemms(shape, lowering)
    assert [index for index, _, _ in gemms] == list(range(count))
    assert {(a.shape, b.shape) for _, a, b in gemms} == {((gemm.m, gemm.k), (gemm.k, gemm.n))}
    result = conv_by_gemms([a @ b for _, a, b in gemms], shape, lowering)
    assert result.tolist() == _direct(x, w, shape).tolist()


def test_toeplitz_matrices_by_hand() -> None:
    """A 1 x 2 kernel on a 2 x 3 image padded left: rows are image rows, the kernel is shifted to its column."""
    shape = ConvShape(in_channels=1, height=2, width=3, out_channels=1, kernel=(1, 2), pads=(0, 1, 0, 0))
    x = np.array([[[1, 2, 3], [4, 5, 6]]])
    w = np.array([[[[7, 8]]]])
    ((index, a, b),) = lower_conv(x, w, shape, "toeplitz")
    assert index == 0
    assert a.tolist() == [[0, 1, 2, 3], [0, 4, 5, 6]]
    assert b.tolist() == [[7, 0, 0], [8, 7, 0], [0, 8, 7], [0, 0, 8]]


def test_im2col_matrices_by_hand() -> None:
    """The same convolution: rows are pixels, columns output channels."""
    shape = ConvShape(in_channels=1, height=2, width=3, out_channels=1, kernel=(1, 2), pads=(0, 1, 0, 0))
    x = np.array([[[1, 2, 3], [4, 5, 6]]])
    w = np.array([[[[7, 8]]]])
    ((index, a, b),) = lower_conv(x, w, shape, "im2col")
    assert index == 0
    assert a.tolist() == [[0, 1], [1, 2], [2, 3], [0, 4], [4, 5], [5, 6]]
    assert b.tolist() == [[7], [8]]


def test_lenet_layers_have_the_documented_gemms() -> None:
    """The first convolution of LeNet-5 under both lowerings."""
    shape = ConvShape(in_channels=1, height=28, width=28, out_channels=6, kernel=(5, 5), pads=(2, 2, 2, 2))
    assert conv_gemms(shape, "im2col") == (1, GemmShape(m=784, k=25, n=6))
    assert conv_gemms(shape, "toeplitz") == (6, GemmShape(m=28, k=160, n=28))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kernel": (5, 5)}, "a kernel must fit into its padded input"),
        ({"groups": 2}, "groups must divide the channels, not 2 for 1 in, 1 out"),
        ({"strides": (0, 1)}, "sizes of a convolution must be positive"),
    ],
)
def test_conv_shape_rejects(options: dict[str, object], message: str) -> None:
    """Impossible shapes are refused where they are made."""
    with pytest.raises(ConfigError, match=message):
        ConvShape(**{"in_channels": 1, "height": 3, "width": 3, "out_channels": 1, "kernel": (2, 2), **options})


def test_unknown_lowering_is_named() -> None:
    """The message lists the lowerings."""
    with pytest.raises(ConfigError, match=r"unknown lowering 'toeplits' \(did you mean toeplitz\?\)"):
        conv_gemms(SHAPES[0], "toeplits")
