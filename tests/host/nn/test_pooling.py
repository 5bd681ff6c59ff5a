"""Pooling against loops over windows."""

from __future__ import annotations

import numpy as np
import pytest

from axft_host.nn.network import MaxPool
from axft_host.nn.pooling import max_pool, sum_pool


def random_pool(rng: np.random.Generator) -> tuple[MaxPool, tuple[int, int]]:
    """Draw windows that fit exactly into a padded map; return them with the map's size."""
    kernel, strides, dilations, out_size = (tuple(int(x) for x in rng.integers(1, 4, 2)) for _ in range(4))
    pads = tuple(int(x) for x in rng.integers(0, 2, 4))
    height, width = (
        (out_size[i] - 1) * strides[i] + dilations[i] * (kernel[i] - 1) + 1 - pads[i] - pads[i + 2] for i in (0, 1)
    )
    pool = MaxPool(name="pool", kernel=kernel, strides=strides, pads=pads, dilations=dilations, out_size=out_size)
    return pool, (height, width)


@pytest.mark.parametrize("seed", range(60))
def test_pooling_equals_loops_over_windows(seed: int) -> None:
    """Padding never wins a maximum, also among negative values, and counts as 0 in a sum."""
    rng = np.random.default_rng(seed)
    pool, (height, width) = random_pool(rng)
    while height < 1 or width < 1:
        pool, (height, width) = random_pool(rng)
    maps = rng.integers(-50, 0, (2, 3, height, width))
    largest, total = max_pool(maps, pool), sum_pool(maps, pool)
    for row in range(pool.out_size[0]):
        for col in range(pool.out_size[1]):
            places = [
                (
                    row * pool.strides[0] + y * pool.dilations[0] - pool.pads[0],
                    col * pool.strides[1] + x * pool.dilations[1] - pool.pads[1],
                )
                for y in range(pool.kernel[0])
                for x in range(pool.kernel[1])
            ]
            inside = [maps[:, :, y, x] for y, x in places if 0 <= y < height and 0 <= x < width]
            assert total[:, :, row, col].tolist() == (np.sum(inside, axis=0) if inside else np.zeros((2, 3))).tolist()
            if inside:
                assert largest[:, :, row, col].tolist() == np.max(inside, axis=0).tolist()


def test_pooling_leaves_its_input_alone() -> None:
    """A window of one element must not be a view."""
    pool = MaxPool(name="p", kernel=(1, 1), strides=(1, 1), pads=(0, 0, 0, 0), dilations=(1, 1), out_size=(2, 2))
    maps = np.arange(4).reshape(1, 1, 2, 2)
    sum_pool(maps, pool)[...] = 9
    assert maps.ravel().tolist() == [0, 1, 2, 3]
