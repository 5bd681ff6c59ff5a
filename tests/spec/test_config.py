"""Configurations and presets."""

from __future__ import annotations

import numpy as np
import pytest

from axft_spec.config import PRESETS, ArrayConfig, find_preset, parse_array
from axft_spec.errors import ConfigError
from axft_spec.multipliers import Multiplier, find_multiplier


@pytest.mark.parametrize("name", [name for name in PRESETS if name != "Baseline"])
def test_energy_reduction_meets_study_within_a_tenth_of_a_point(name: str) -> None:
    """The fitted formula gives the study's printed column."""
    preset = PRESETS[name]
    assert preset.paper.energy_reduction is not None
    assert 100 * preset.energy_reduction == pytest.approx(preset.paper.energy_reduction, abs=0.1)


def test_presets_are_the_rows_of_the_study_in_order() -> None:
    """Seven rows, all on a 28 x 28 array; the baseline alone has 16 bits."""
    assert list(PRESETS) == ["Baseline", "8P", "2PT", "2QH", "2R5", "34P", "2TE"]
    assert {(p.config.rows, p.config.cols) for p in PRESETS.values()} == {(28, 28)}
    assert [p.config.width for p in PRESETS.values()] == [16, 8, 8, 8, 8, 8, 8]


@pytest.mark.parametrize("name", PRESETS)
def test_config_survives_json(name: str) -> None:
    """A configuration comes back equal, with the same digest."""
    config = PRESETS[name].config
    again = ArrayConfig.from_json(config.to_json())
    assert again == config
    assert again.digest() == config.digest()


def test_from_json_rejects_unknown_key() -> None:
    """A key too many is an error that names the keys."""
    value = {**ArrayConfig().to_json(), "depth": 3}
    with pytest.raises(ConfigError, match="array configuration must have the keys"):
        ArrayConfig.from_json(value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rows": 0}, "rows must be between 1 and 64, not 0"),
        ({"cols": 65}, "cols must be between 1 and 64, not 65"),
        ({"width": 12}, "width must be 8 or 16, not 12"),
        ({"operand_a": "weigth"}, r"unknown operand A 'weigth' \(did you mean weight\?\); allowed: weight, activation"),
        (
            {"multiplier": Multiplier(name="x", omit_b=8)},
            "omit_a, omit_b and vbreak must be below the operands' width of 8, not 8",
        ),
        (
            {"width": 16, "multiplier": find_multiplier("34P")},
            r"16-bit operands need an exact multiplier, not 34P \(its operands have 12 bits\)",
        ),
    ],
)
def test_config_rejects(options: dict[str, object], message: str) -> None:
    """What is not allowed is named, with what is."""
    with pytest.raises(ConfigError, match=f"^{message}$"):
        ArrayConfig(**options)  # type: ignore[arg-type]


def test_multiply_swaps_operands_with_operand_a() -> None:
    """A part that ignores bits of A ignores those of the weight, or of the activation."""
    part = find_multiplier("2TE")  # ignores the low six bits of A
    by_weight = ArrayConfig(multiplier=part, operand_a="weight")
    by_activation = ArrayConfig(multiplier=part, operand_a="activation")
    weight, activation = np.array([65, 127, -1]), np.array([65, 3, 64])
    assert by_weight.multiply(weight, activation).tolist() == [64 * 65, 64 * 3, -64 * 64]
    assert by_activation.multiply(weight, activation).tolist() == [65 * 64, 0, -64]
    assert (by_weight.omit_weight, by_weight.omit_activation) == (6, 0)
    assert (by_activation.omit_weight, by_activation.omit_activation) == (0, 6)


def test_find_preset_names_near_ones() -> None:
    """An unknown configuration is an error that lists them all."""
    assert find_preset("34p").name == "34P"
    with pytest.raises(ConfigError, match=r"unknown configuration '35P' \(did you mean 34P"):
        find_preset("35P")


@pytest.mark.parametrize("text", ["28", "28x", "0x28", "28x65", "ax3", "-1x3", "3x3x3"])
def test_parse_array_rejects(text: str) -> None:
    """Only ROWSxCOLS in range is an array."""
    with pytest.raises(ConfigError, match="between 1 and 64"):
        parse_array(text)


def test_parse_array_reads_rows_then_columns() -> None:
    """Rows come first."""
    assert parse_array("5X3") == (5, 3)
