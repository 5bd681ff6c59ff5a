"""The vectorised lowerings against their definitions."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.nn.lowering import assemble_conv, im2col_columns, lower_conv, pad, toeplitz_weights
from axft_spec import lowering as definition
from axft_spec.lowering import LOWERINGS, ConvShape
from support.networks import random_conv_shape


@pytest.mark.parametrize("lowering", LOWERINGS)
@pytest.mark.parametrize("seed", range(60))
def test_lower_conv_equals_definition(lowering: str, seed: int) -> None:
    """Any strides, pads, dilations and groups: the same GEMMs in the same order, the same maps from them."""
    rng = np.random.default_rng(seed)
    shape = random_conv_shape(rng)
    images = rng.integers(-128, 128, (3, shape.in_channels, shape.height, shape.width))
    weights = rng.integers(-128, 128, (shape.out_channels, shape.group_inputs, *shape.kernel))
    gemms = list(lower_conv(images, weights, shape, lowering))
    maps = assemble_conv([a @ w for _, a, w in gemms], shape, lowering)
    for number, image in enumerate(images):
        expected = list(definition.lower_conv(image, weights, shape, lowering))
        assert [index for index, _, _ in gemms] == [index for index, _, _ in expected]
        for (_, a, w), (_, expected_a, expected_w) in zip(gemms, expected, strict=True):
            assert a[number].tolist() == expected_a.tolist()
            assert w.tolist() == expected_w.tolist()
        psums = [a @ w for _, a, w in expected]
        assert maps[number].tolist() == definition.conv_by_gemms(psums, shape, lowering).tolist()


def test_toeplitz_weights_by_hand() -> None:
    """Two outputs, a kernel of 1 x 2, stride 2 on a padded width of 5: a row moves by 2 per position."""
    shape = ConvShape(
        in_channels=1, height=1, width=4, out_channels=2, kernel=(1, 2), strides=(1, 2), pads=(0, 0, 0, 1)
    )
    matrix = toeplitz_weights(np.array([[[1, 2]], [[3, 4]]]), shape)
    assert matrix.shape == (5, 2, 2)
    assert matrix[:, 0].T.tolist() == [[1, 2, 0, 0, 0], [0, 0, 1, 2, 0]]
    assert matrix[:, 1].T.tolist() == [[3, 4, 0, 0, 0], [0, 0, 3, 4, 0]]


def test_im2col_columns_keeps_the_type() -> None:
    """Floats stay floats, so that BLAS can take them."""
    shape = ConvShape(in_channels=1, height=3, width=3, out_channels=1, kernel=(2, 2))
    assert im2col_columns(np.zeros((1, 1, 3, 3), np.float32), shape, 0).dtype == np.float32


def test_pad_without_border_copies_nothing() -> None:
    """Most layers have no padding."""
    maps = np.zeros((1, 2, 3, 4))
    assert pad(maps, (0, 0, 0, 0)) is maps
    assert pad(maps, (1, 2, 3, 4), fill=7)[0, 0, 0].tolist() == [7.0] * 10
