"""The emitted multipliers, gate by gate, against the published truth tables."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest
from numpy.typing import NDArray

from axft_hw.multiplier import BrokenArray, Multiplier
from axft_spec.config import ArrayConfig
from axft_spec.errors import ConfigError
from axft_spec.hardware import HardwareConfig
from axft_spec.multipliers import EXACT, PARTS, truth_table
from axft_spec.multipliers import Multiplier as Parameters
from support.gate_netlist import Gates, gates_of
from support.published import TRUTH_TABLES

#: Pairs evaluated together: few enough that every gate's values stay in the processor's cache.
CHUNK = 1 << 16


@pytest.fixture(scope="module")
def netlists() -> dict[str, Gates]:
    """Every part at 12 bits, and in PEs of 8-bit operands with either operand order; exact PEs of 16 bits."""
    components = {}
    for name, part in PARTS.items():
        components[f"part_{name}_12"] = BrokenArray(part.multiplier, 12, 12)
        for operand_a in ("weight", "activation"):
            array = ArrayConfig(rows=1, cols=1, width=8, multiplier=part.multiplier, operand_a=operand_a)
            components[f"part_{name}_{operand_a}"] = Multiplier(HardwareConfig(array=array))
    for width in (8, 16):
        array = ArrayConfig(rows=1, cols=1, width=width, multiplier=EXACT)
        components[f"exact_{width}"] = Multiplier(HardwareConfig(array=array))
    return gates_of(components)


def products(gates: Gates, names: tuple[str, str], omits: tuple[int, int], width: int) -> NDArray[np.int32]:
    """Return all products of `width`-bit operands, without their low zeros: first operand outer, from the lowest."""
    side = 1 << width
    chunk = min(CHUNK, side * side)
    table = np.empty(side * side, dtype="<i4")
    for start in range(0, side * side, chunk):
        pairs = np.arange(start, start + chunk, dtype=np.int64)
        first, second = (pairs >> width) - side // 2, (pairs & (side - 1)) - side // 2
        values = {names[0]: first >> omits[0], names[1]: second >> omits[1]}
        table[start : start + chunk] = gates.evaluate(**values)["product"]
    return table.reshape(side, side)


@pytest.mark.parametrize("name", PARTS)
def test_part_at_12_bits_has_published_truth_table(name: str, netlists: dict[str, Gates]) -> None:
    """All 2**24 products are the library's, by digest; those of 8-bit operands in a PE are part of that table."""
    part = PARTS[name].multiplier
    omits = part.omit_a, part.omit_b
    table = products(netlists[f"part_{name}_12"], ("a", "b"), omits, 12) << part.zero_bits
    assert hashlib.sha256(table.tobytes()).hexdigest() == TRUTH_TABLES[name]
    middle = slice(2048 - 128, 2048 + 128)
    for order in (("weight", "activation"), ("activation", "weight")):
        narrow = products(netlists[f"part_{name}_{order[0]}"], order, omits, 8) << part.zero_bits
        assert np.array_equal(narrow, table[middle, middle])


def test_exact_8_bit_multiplier_gives_all_products(netlists: dict[str, Gates]) -> None:
    """All 65,536 products."""
    operands = np.arange(-128, 128)
    assert np.array_equal(
        products(netlists["exact_8"], ("weight", "activation"), (0, 0), 8), np.multiply.outer(operands, operands)
    )


def test_exact_16_bit_multiplier_gives_corners_and_random_products(netlists: dict[str, Gates]) -> None:
    """Every pair of numbers next to a power of two, and a million others."""
    near = {sign * (1 << bit) + offset for bit in range(16) for sign in (-1, 1) for offset in (-1, 0, 1)}
    corners = np.array(sorted(value for value in near if -(1 << 15) <= value < 1 << 15))
    weights, activations = (each.ravel() for each in np.meshgrid(corners, corners))
    rng = np.random.default_rng(1)
    others = rng.integers(-(1 << 15), 1 << 15, (2, (1 << 20) - len(weights)))
    weights, activations = np.append(weights, others[0]), np.append(activations, others[1])
    got = netlists["exact_16"].evaluate(weight=weights, activation=activations)["product"]
    assert np.array_equal(got, weights * activations)


def test_small_multipliers_give_all_products_of_the_family() -> None:
    """Every way to leave bits out of operands of 5 and 6 bits: all products are the specification's."""
    family = {
        f"m{width}_{omit_a}_{omit_b}_{vbreak}": (
            Parameters(name="any", omit_a=omit_a, omit_b=omit_b, vbreak=vbreak),
            width,
        )
        for width in (5, 6)
        for omit_a in range(3)
        for omit_b in range(3)
        for vbreak in (0, *range(omit_a + omit_b + 1, width))
    }
    netlists = gates_of({name: BrokenArray(parameters, width, width) for name, (parameters, width) in family.items()})
    for name, (parameters, width) in family.items():
        omits = parameters.omit_a, parameters.omit_b
        table = products(netlists[name], ("a", "b"), omits, width) << parameters.zero_bits
        assert np.array_equal(table, truth_table(parameters, width)), name


def test_multiplier_refuses_operands_of_which_the_sign_is_left_out() -> None:
    """The message has all five numbers."""
    with pytest.raises(ConfigError, match=r"operands of 4 and 8 bits .* ignores 0 and 0 low bits, .* break at 4"):
        BrokenArray(Parameters(name="any", vbreak=4), 4, 8)


def test_pe_of_8_bit_operands_has_few_gates_left_of_34p(netlists: dict[str, Gates]) -> None:
    """What a part leaves out is not there: fewer gates than half of the exact multiplier's."""
    assert len(netlists["part_34P_weight"]) < len(netlists["exact_8"]) / 2
