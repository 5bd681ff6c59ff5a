"""The multiplier family against published truth tables and figures, and against its own definition."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from axft_spec.errors import ConfigError
from axft_spec.multipliers import EXACT, PARTS, Multiplier, error_figures, find_multiplier, find_part, truth_table

#: EvoApproxLib v1.2022: mean absolute error (4 decimals as published, else exact), worst case, error probability in %,
#: and the SHA-256 of the part's complete table (int32, little endian, A outer, both from -2048 upwards), made from
#: the library's own C models.
PUBLISHED = {
    "2PP": (0.0, 0, 0.0, "96c5cf2f47bb00d1f4b67da836f6bdaffa3ce8bd9454ce7afd968bfd36e6efc8"),
    "2PQ": (0.25, 1, 0.25, "b639779e6732b8998b89db779a91511b8a5db991b1d6d8241deb1ce8cff1f1b7"),
    "2PR": (1.25, 5, 0.5, "0bb8de1e8dfd044ff4964df0848132642fdef25e2647d40459b4f37975f878d7"),
    "2PS": (4.25, 17, 0.6875, "4316cf1a6fd9ae60a0dc0f1bdae46821944d11a52c6532ad08ebc7d652272e31"),
    "2PT": (12.25, 49, 0.8125, "80c03af66491a14f6d41dcfe6846b984cae00b180645528574bb4a0428af190c"),
    "2QD": (512.0, 2048, 0.4998779296875, "abd3a65fda742ed6a0aa20269925e689f693ffe3919992d7b25ce8fe0b7a11fc"),
    "2QE": (
        512.2501220703125,
        2049,
        0.6248779296875,
        "ddf6fbd05d1a6a7773dfa25cd828f18d5b36091c95aebc9b21e7874de97d1b87",
    ),
    "2QH": (
        524.377685546875,
        2145,
        0.9061279296875,
        "6ba2f0bf7ce460f6e023690c45365e166fc8326edf79634b350a12afcf02e7d7",
    ),
    "2R5": (
        1540.3145141601562,
        6209,
        0.92169189453125,
        "92f948b17a911d2b3d7c46d5e228bfe576d67b140a1fd6e21b7ae23ef06a447b",
    ),
    "2RP": (3584.0, 14336, 0.874786376953125, "6a0f85e055066f77199cb7674e0065521a39029ca97f81d86606addb80e1469c"),
    "2TE": (32256.0, 129024, 0.9841346740722656, "1b0b8fac761abcf48f6a10bd7e5dc330046535c428947936d20f594fc6f878dc"),
    "34K": (
        853.3333740234375,
        4095,
        0.749755859375,
        "3b10935bf43d9499e8046a964b325fbaf1d16154fa4a5c1e27db4ac6e8b8f610",
    ),
    "34M": (
        2396.444851398468,
        12279,
        0.9371337890625,
        "586ab60748b155625987142460ab07b950ce7e7220169b08aaefc00bd2329f7a",
    ),
    "34P": (
        5438.225669622421,
        28623,
        0.98394775390625,
        "b166938a8cc74a3279c895bc50b703e36864914b09bc5c1abd577236d86470fb",
    ),
}


@pytest.mark.parametrize("name", PARTS)
def test_truth_table_equals_published_part(name: str) -> None:
    """All 2**24 products of the part are those of the library's model."""
    table = truth_table(PARTS[name].multiplier, 12)
    assert table.dtype == np.dtype("<i4")
    assert hashlib.sha256(table.tobytes()).hexdigest() == PUBLISHED[name][3]


@pytest.mark.parametrize("name", PARTS)
def test_error_figures_equal_published(name: str) -> None:
    """MAE, WCE and EP over all pairs are the published ones."""
    figures = error_figures(PARTS[name].multiplier, 12)
    mae, wce, ep, _ = PUBLISHED[name]
    assert figures.mae == pytest.approx(mae, rel=1e-9)
    assert figures.wce == wce
    assert figures.ep == pytest.approx(ep, rel=1e-9)


def _sum_of_partial_products(multiplier: Multiplier, a: int, b: int, width: int) -> int:
    total = 0
    for i in range(multiplier.omit_a, width):
        for j in range(multiplier.omit_b, width):
            if i + j >= multiplier.vbreak:
                sign = -1 if (i == width - 1) != (j == width - 1) else 1
                total += sign * (a >> i & 1) * (b >> j & 1) << (i + j)
    return total


@pytest.mark.parametrize("width", [2, 3, 4, 5])
@pytest.mark.parametrize("vbreak", range(10))
def test_compute_equals_kept_partial_products_for_any_member(width: int, vbreak: int) -> None:
    """Members whose vertical break reaches the sign bits, which no published part does, follow the definition too."""
    values = range(-(1 << (width - 1)), 1 << (width - 1))
    for omit_a, omit_b in ((0, 0), (1, 0), (0, 1), (1, 1), (0, width), (width, 2)):
        multiplier = Multiplier(name="any", omit_a=omit_a, omit_b=omit_b, vbreak=vbreak)
        expected = [[_sum_of_partial_products(multiplier, a, b, width) for b in values] for a in values]
        assert truth_table(multiplier, width).tolist() == expected


@pytest.mark.parametrize("name", PARTS)
def test_zero_bits_and_largest_product_hold_for_all_8_bit_operands(name: str) -> None:
    """The low bits said to be 0 are, the next one is not, and no product exceeds the bound."""
    multiplier = PARTS[name].multiplier
    operands = np.arange(-128, 128)
    products = multiplier.compute(operands[:, None], operands, 12)
    assert not np.any(products & ((1 << multiplier.zero_bits) - 1))
    assert np.any(products & (1 << multiplier.zero_bits))
    assert np.abs(products).max() <= multiplier.largest_product(8)
    assert products.min() >= -(1 << 15) and products.max() < 1 << 15


def test_find_part_takes_long_name_in_any_case() -> None:
    """Both names of the library work."""
    assert find_part("MUL12S_34p") is PARTS["34P"]
    assert find_multiplier("exact") is EXACT


def test_find_part_names_near_parts() -> None:
    """An unknown part is an error that lists the parts."""
    with pytest.raises(ConfigError, match=r"unknown multiplier '34X' \(did you mean .*\); allowed: 2PP, 2PQ"):
        find_part("34X")


def test_multiplier_rejects_negative_parameter() -> None:
    """Parameters have limits."""
    with pytest.raises(ConfigError, match="vbreak must be between 0 and 15, not -1"):
        Multiplier(name="x", vbreak=-1)


def test_truth_table_rejects_large_width() -> None:
    """A table that would fill the memory is refused."""
    with pytest.raises(ConfigError, match="width of a table must be between 2 and 13, not 16"):
        truth_table(EXACT, 16)
