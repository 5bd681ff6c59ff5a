"""The array, multipliers and workloads seen from inside, against numpy and hand calculation."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

import axft
from axft_host.backends.emulator import Emulator
from axft_spec.errors import ConfigError, FaultError
from support.command_line import invoke

EXACT = axft.Config("8P", array="3x4")


def operands(seed: int = 4, k: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """Return random operands of 8 bits for an array of 3 x 4."""
    rng = np.random.default_rng(seed)
    return rng.integers(-128, 128, (3, k)), rng.integers(-128, 128, (k, 4))


def test_traced_sums_are_the_matrix_product() -> None:
    """And grow, step by step, as the definition of a cycle says."""
    a, w = operands()
    run = axft.trace(EXACT, a, w)
    assert np.array_equal(run.psums, a @ w)
    assert len(run) == 5 + 3 + 4 - 2
    for cycle, row, col in np.ndindex(run.psum.shape):
        step = cycle - row - col
        assert run.valid[cycle, row, col] == (0 <= step < 5)
        done = min(max(step + 1, 0), 5)
        assert run.psum[cycle, row, col] == a[row, :done] @ w[:done, col]
    assert not run.differs.any()


def test_traced_fault_changes_its_column_below_and_nothing_else() -> None:
    """A flipped bit of a weight line adds or takes 2**5 activations, from its row on."""
    a, w = operands()
    run = axft.trace(EXACT, a, w, "weight:r1:c2:b5:flip")
    assert run.activated == 5
    flipped = w.copy()
    flipped[:, 2] ^= 32
    expected = a @ w
    expected[1:, 2] = a[1:] @ flipped[:, 2]
    assert np.array_equal(run.psums, expected)
    assert not run.differs[:, 0].any()
    assert run.pe(1, 2)["cycle"].tolist() == [3, 4, 5, 6, 7]
    assert run.pe(1, 2)["weight"].tolist() == w[:, 2].tolist()


def test_trace_says_what_does_not_fit() -> None:
    """Operands, faults and windows."""
    a, w = operands()
    with pytest.raises(ConfigError, match="must fit into 2 x 2"):
        axft.trace(axft.Config("8P", array="2x2"), a, w)
    with pytest.raises(FaultError, match="column between 0 and 3"):
        axft.trace(EXACT, a, w, "weight:r1:c9:b5:flip")
    with pytest.raises(FaultError, match="tile 0, not 1"):
        axft.trace(EXACT, a, w, "weight:r1:c1:b5:flip@l0:g0:t1:y0+1")


def test_player_shows_every_cycle() -> None:
    """One picture for each, the first one seen; a large array is cut, and says so."""
    a, w = operands()
    page = axft.trace(EXACT, a, w, "weight:r1:c2:b5:flip")._repr_html_()
    assert page.count("<svg") == 10
    assert page.count(" hidden ") == 9
    assert "activated 5 times" in page
    assert re.sub("<[^>]+>", "", page).strip().startswith("cycle 0 (0 to 9)")
    wide = axft.trace(axft.Config("8P", array="9x9"), np.ones((9, 60), int), np.ones((60, 9), int))._repr_html_()
    assert "8 of 9 rows, 8 of 9 columns, 60 of 76 cycles" in wide
    assert "</output> (0 to 59)</p>" in wide, "the slider goes no further than what is shown"


def test_operands_of_tiles_make_up_the_layer() -> None:
    """Their products, tile by tile, are what the emulator computes for the whole GEMM."""
    config = axft.Config("34P", array="7x5")
    table = axft.schedule(config)
    row = table.loc[table["name"] == "conv2"].iloc[0]
    array = config.array_config
    parts = [axft.tile_operands(config, layer=1, tile=tile, image=2) for tile in (0, 3, 4)]
    assert [part.activations.shape for part in parts] == [(7, row.k)] * 3
    # 16 output channels on 5 columns: the fourth tile of a row block has one left.
    assert [part.weights.shape for part in parts] == [(row.k, 5), (row.k, 1), (row.k, 5)]
    whole = axft.tile_operands(axft.Config("34P", array="64x64"), layer=1, image=2)
    product = Emulator().gemm(array.resized(64, 64), whole.activations[None], whole.weights).psums[0]
    run = axft.trace(array, parts[0].activations[:, :], parts[0].weights)
    assert np.array_equal(run.psums, product[:7, :5])


def test_tile_that_is_not_there_is_refused() -> None:
    """With how many there are."""
    with pytest.raises(ConfigError, match="layer must be between 0 and 4, not 5"):
        axft.tile_operands("8P", layer=5)
    with pytest.raises(ConfigError, match="tile must be between 0 and 27, not 28"):
        axft.tile_operands("8P", tile=28)
    with pytest.raises(ConfigError, match="images"):
        axft.tile_operands("8P", image=5000)


def test_schedule_of_the_reference_array_is_the_hand_calculation() -> None:
    """LeNet-5 on 28 x 28: a convolution of 784 pixels and 6 channels keeps 6.8% of the array busy."""
    table = axft.schedule("8P")
    first = table.iloc[0]
    assert (first.gemms, first.m, first.k, first.n, first.tiles) == (1, 784, 25, 6, 28)
    assert first.cycles == 28 * (25 + 28 + 28 - 2)
    assert first.busy == pytest.approx(784 * 25 * 6 / (first.cycles * 784))
    toeplitz = axft.schedule(axft.Config("8P", lowering="toeplitz")).iloc[0]
    assert (toeplitz.gemms, toeplitz.m, toeplitz.n) == (6, 28, 28)


def test_multiplier_of_8_bits_is_known_by_its_definition() -> None:
    """34P ignores three bits of either operand, and is exact otherwise; errors are counted over all pairs."""
    part = axft.multiplier("34P")
    a, b = np.meshgrid(part.operands, part.operands, indexing="ij")
    expected = (a >> 3 << 3) * (b >> 3 << 3)
    assert np.array_equal(part.products, expected)
    assert np.array_equal(part.compute(a, b), expected)
    error = expected - a * b
    assert part.figures.wce == np.abs(error).max()
    assert part.figures.mae == pytest.approx(np.abs(error).mean())
    assert part.mean_error == pytest.approx(error.mean())


@pytest.mark.parametrize(
    ("a", "b", "width", "said"),
    [
        (999, 1, 8, "a must be between -128 and 127 for operands of 8 bits, not 999"),
        (1, 128, 8, "b must be between -128 and 127 for operands of 8 bits, not 128"),
        (1, [[0, 5], [-129, 300]], 8, "b must be between -128 and 127 for operands of 8 bits, not -129"),
        (2**70, 1, 8, f"a must be between -128 and 127 for operands of 8 bits, not {2**70}"),
        (128, 1, 9, None),
        (-128, 127, 8, None),
        ([], 3, 8, None),
    ],
)
def test_multiplier_refuses_operands_that_are_too_wide(a: object, b: object, width: int, said: str | None) -> None:
    """With the range that there is, and the first that is out of it; the ends of the range are in it."""
    part = axft.multiplier("exact", width)
    if said is None:
        assert np.array_equal(part.compute(a, b), np.multiply(a, b))
        return
    with pytest.raises(ConfigError) as refused:
        part.compute(a, b)
    assert str(refused.value) == said


def test_tables_are_those_of_the_command_line() -> None:
    """Row by row."""
    theirs = {row["name"]: row for row in json.loads(invoke("multipliers", "--width", "6", "--json").stdout)}
    mine = axft.multipliers(6)
    assert mine["mae"].to_dict() == {name: row["mae"] for name, row in theirs.items()}
    configs = {row["name"]: row for row in json.loads(invoke("configs", "--json").stdout)}
    assert axft.configs()["fault_space"].to_dict() == {name: row["fault_space"] for name, row in configs.items()}
    assert axft.configs().loc["34P", "paper_critical"] == 2.83


def test_networks_and_images_by_name(place: Path) -> None:
    """Shipped ones, and files."""
    assert axft.load_network("34P").config == axft.Config("34P").array_config
    assert axft.load_network("8P", "small.npz").classes == 3
    assert len(axft.load_images(images=20)) == 20
    assert len(axft.load_images("small-data.npz")) == 12
    found = axft.infer(axft.Config("8P", array="4x3"), model="small.npz", data="small-data.npz")
    words = "infer --config 8P --model small.npz --data small-data.npz --json"
    theirs = json.loads(invoke(*words.split()).stdout)
    assert (found.accuracy, found.images) == (theirs["accuracy"], 12)


def test_boards_by_name() -> None:
    """The words of --board, and what is allowed besides."""
    assert axft.open_backend("emu").name == "emu"
    assert axft.open_backend("rtl", physical="4x4").name == "rtl"
    with pytest.raises(axft.AxftError, match="emu, rtl, pynq, link:URL"):
        axft.open_backend("vhdl")


def test_configuration_says_what_it_is() -> None:
    """Names in any case; values that are not allowed are refused where they are given."""
    config = axft.Config("34p", array="8x8")
    assert (config.config, config.array_config.rows) == ("34P", 8)
    assert config.paper is not None
    assert config.paper.critical == 2.83
    assert config.energy_reduction == pytest.approx(0.55, abs=0.001)
    for wrong in ({"array": "0x8"}, {"lowering": "fft"}, {"rounding": "up"}, {"operand_a": "bias"}):
        with pytest.raises(ConfigError):
            axft.Config("8P", **wrong)


def test_names_are_lazy_and_listed() -> None:
    """Every name is there, and the interpreter's completion knows it."""
    for name in axft.__all__:
        assert getattr(axft, name) is not None
    assert set(dir(axft)) >= set(axft.__all__)
    with pytest.raises(AttributeError, match="injekt"):
        _ = axft.injekt
