"""Matrix products with approximate multipliers against products one by one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from axft_host.nn import kernels
from axft_host.nn.kernels import WeightPlanes, approximate_matmul
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError
from axft_spec.multipliers import EXACT, PARTS, Multiplier
from axft_spec.numeric import wrap


def configs() -> list[ArrayConfig]:
    """Return every part in both orders, and the exact 16-bit multiplier."""
    parts = [part.multiplier for part in PARTS.values()]
    narrow = [ArrayConfig(multiplier=part, operand_a=a) for part in parts for a in ("weight", "activation")]
    return [*narrow, ArrayConfig(width=16)]


def one_by_one(activations: np.ndarray, weights: np.ndarray, config: ArrayConfig) -> np.ndarray:
    """Return psums from the specification's multiplication, added and wrapped."""
    products = config.multiply(weights[None, ...], activations[..., None])
    return np.asarray(wrap(products.sum(axis=-2), config.acc_bits))


def operands(rng: np.random.Generator, config: ArrayConfig, shape: tuple[int, ...]) -> np.ndarray:
    """Return random operands, every fourth of them an extreme."""
    half = 1 << (config.width - 1)
    values = rng.integers(-half, half, shape)
    return np.where(rng.random(shape) < 0.25, rng.choice([-half, half - 1, -1, 0], shape), values)


@pytest.mark.parametrize("config", configs(), ids=lambda c: f"{c.width}-{c.multiplier.name}-{c.operand_a}")
def test_approximate_matmul_equals_products_one_by_one(config: ArrayConfig) -> None:
    """Every part, both operand orders, extremes included."""
    rng = np.random.default_rng(1)
    for _ in range(20):
        m, k, n = (int(size) for size in rng.integers(1, 12, 3))
        activations, weights = operands(rng, config, (2, m, k)), operands(rng, config, (k, n))
        expected = np.stack([one_by_one(image, weights, config) for image in activations])
        assert approximate_matmul(activations, weights, config).tolist() == expected.tolist()


@given(
    omits=st.tuples(st.integers(0, 7), st.integers(0, 7)),
    vbreak=st.integers(0, 7),
    operand_a=st.sampled_from(["weight", "activation"]),
    seed=st.integers(0, 2**32),
)
def test_approximate_matmul_equals_products_for_any_member_of_the_family(
    omits: tuple[int, int], vbreak: int, operand_a: str, seed: int
) -> None:
    """Also members that are no published part."""
    multiplier = Multiplier(name="any", omit_a=omits[0], omit_b=omits[1], vbreak=vbreak)
    config = ArrayConfig(multiplier=multiplier, operand_a=operand_a)
    rng = np.random.default_rng(seed)
    activations, weights = operands(rng, config, (3, 5)), operands(rng, config, (5, 4))
    expected = one_by_one(activations, weights, config)
    assert approximate_matmul(activations, weights, config).tolist() == expected.tolist()


@pytest.mark.parametrize("name", ["2PP", "2R5", "34P"])
def test_approximate_matmul_wraps_long_sums_as_the_accumulator_does(name: str) -> None:
    """3,000 products of the largest magnitude pass 24 bits several times, and float32's 2**24 too."""
    config = ArrayConfig(multiplier=PARTS[name].multiplier)
    activations, weights = np.full((1, 3000), -128), np.full((3000, 2), -128)
    weights[:, 1] = 127
    assert abs(int(config.multiply(-128, -128)) * 3000) > 2**25
    assert (
        approximate_matmul(activations, weights, config).tolist() == one_by_one(activations, weights, config).tolist()
    )


def test_prepare_chooses_float32_only_while_no_sum_can_pass_its_integers() -> None:
    """1,024 products of 2**14 are 2**24; one more product and float64 is needed."""
    config = ArrayConfig(multiplier=EXACT)
    assert WeightPlanes.prepare(np.full((1, 1024), -128), config).matrix.dtype == np.float32
    assert WeightPlanes.prepare(np.full((1, 1025), -128), config).matrix.dtype == np.float64
    assert WeightPlanes.prepare(np.full((1, 1025), 1), config).matrix.dtype == np.float32


def test_prepare_knows_whether_a_psum_can_wrap() -> None:
    """512 products of 2**14 are 2**23, the first number that 24 bits do not hold."""
    assert not WeightPlanes.prepare(np.full((1, 511), -128), ArrayConfig()).may_wrap
    assert WeightPlanes.prepare(np.full((1, 512), -128), ArrayConfig()).may_wrap


def test_columns_is_rows_transposed() -> None:
    """Both orientations give the same sums."""
    config = ArrayConfig(multiplier=PARTS["2QH"].multiplier)
    rng = np.random.default_rng(2)
    planes = WeightPlanes.prepare(operands(rng, config, (4, 7)), config)
    activations = operands(rng, config, (3, 5, 7))
    assert planes.columns(activations.swapaxes(1, 2)).swapaxes(1, 2).tolist() == planes.rows(activations).tolist()


def test_prepare_refuses_sums_that_float64_cannot_hold(monkeypatch: pytest.MonkeyPatch) -> None:
    """The limit itself would take gigabytes to reach."""
    monkeypatch.setattr(kernels, "_EXACT_FLOAT64", 2**20)
    with pytest.raises(ConfigError, match="k = 100 is too long"):
        WeightPlanes.prepare(np.full((1, 100), -128), ArrayConfig())
