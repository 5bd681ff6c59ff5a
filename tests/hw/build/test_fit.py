"""Whether a design fits: the counts, what is said about it, and the array that would."""

from __future__ import annotations

import pytest

from axft_hw.build import fit as module
from axft_hw.build.area import Area
from axft_hw.build.fit import Scaling, check_fits, crowded, excess, largest_array, least_used, refusal
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig

ARRAY_28 = HardwareConfig(array=find_preset("8P").config.resized(28, 28), sites=(Site.WEIGHT,))

#: 8P with the site weight, from the table of docs/reference/area.md: 79 LUT and 65 FF and 18 CARRY4 a PE, and what 8x8
#: has beside its PEs.
AROUND = {"LUT": 2144.0, "FF": 1591.0, "CARRY4": 127.0, "BRAM36": 5.0, "DSP": 0.0}
SCALING = Scaling(around=AROUND, element={"LUT": 79.0, "FF": 65.0, "CARRY4": 18.0, "BRAM36": 0.0, "DSP": 0.0})


def test_estimate_is_near_the_design_itself() -> None:
    """The table has 65,293 LUT, 52,976 FF and 14,231 CARRY4 at 28x28."""
    used = SCALING.used(28, 28)
    for name, found in {"LUT": 65293, "FF": 52976, "CARRY4": 14231}.items():
        assert used[name] == pytest.approx(found, rel=0.03)


def test_parts_of_a_design_are_told_apart_by_their_modules() -> None:
    """Six elements, each with an observer in it, and something around them; of tables, the sites count."""
    modules = {
        "axft_zynq": {"array": 1, "LUT6": 10, "RAMB18E1": 1},
        "array": {"axft_zynq.processing_element": 6, "FDRE": 4},
        "axft_zynq.processing_element": {"LUT5": 3, "observer": 1, "CARRY4": 2},
        "observer": {"LUT6": 2},
    }
    sites = {"axft_zynq": 9, "axft_zynq.processing_element": 4}
    scaling = Scaling.of_modules(modules, sites, 6)
    assert scaling.element == {"LUT": 4, "FF": 0, "CARRY4": 2, "BRAM36": 0, "DSP": 0}
    assert scaling.around == {"LUT": 9, "FF": 4, "CARRY4": 0, "BRAM36": 0.5, "DSP": 0}


def test_two_small_tables_share_a_site() -> None:
    """Three of five inputs take two, and those of one input none."""
    area = Area(
        luts_by_inputs=(9, 0, 0, 1, 2, 7), memory_luts=4, flip_flops=3, carry4=2, bram36=0.5, dsps=1
    )  # fmt: skip
    assert least_used(area) == {"LUT": 7 + 2 + 4, "FF": 3, "CARRY4": 2, "BRAM36": 0.5, "DSP": 1}


@pytest.mark.parametrize(
    ("asked", "share", "best"),
    [((28, 28), 1.0, (25, 25)), ((64, 16), 1.0, (51, 12)), ((28, 28), 0.85, (23, 23)), ((1, 1), 1.0, None)],
)
def test_largest_array_has_the_same_shape(asked: tuple[int, int], share: float, best: tuple[int, int] | None) -> None:
    """53,200 LUT are enough for 646 elements of 79 each: for 25x25, not 26x26, and for 51x12, not 52x13."""
    found = largest_array(SCALING, *asked, share)
    assert found == best
    if best is not None:
        assert not excess(SCALING.used(*best), share)
        assert excess(SCALING.used(best[0] + 1, best[1] + 1), share)


def test_message_says_by_how_much_and_what_would(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every resource that is not enough; what would leaves 15 % of the device free."""
    used = SCALING.used(28, 28)
    assert refusal(ARRAY_28, used, SCALING, "takes") == (
        "the design does not fit: 28x28 takes 64,080 LUT sites, 10,880 more than the 53,200 of xc7z020clg400-1; takes "
        "14,239 CARRY4, 939 more than the 13,300 of xc7z020clg400-1; about 23x23 would (an estimate: counted, "
        "not placed), or one with fewer fault sites"
    )
    monkeypatch.setattr(Scaling, "of", lambda hardware: SCALING)
    lines: list[str] = []
    with pytest.raises(BackendError, match=r"28x28 would take 64,080 LUT sites, 10,880 more .* about 23x23 would"):
        check_fits(ARRAY_28, lines.append)
    assert lines == ["estimate, by an array of 4x4 ...", "estimate: 64,080 LUT sites, 120 %"]


def test_small_arrays_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """The synthesis itself is as fast as the estimate."""
    monkeypatch.setattr(module, "module_cells", None)
    small = HardwareConfig(array=find_preset("34P").config.resized(16, 16))
    check_fits(small, lambda line: None)


def test_full_device_explains_a_router_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """Only a full one."""
    monkeypatch.setattr(Scaling, "of", lambda hardware: SCALING)
    assert crowded(ARRAY_28, 50000) == (
        "; the design takes 50,000 LUT sites, 94 % of xc7z020clg400-1; about 23x23 would take 85 % (an estimate)"
    )
    assert crowded(ARRAY_28, 20000) == ""


def test_baseline_at_12x12_is_not_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PE of 518 look-up tables in 295 sites (docs/reference/area.md): 144 fit with what is around them.

    The cells are those of yosys 0.70 for a 4x4 array, what is around in one module.
    """
    cells = {
        "axft_zynq": {"processing_element": 16, "LUT6": 2046, "FDRE": 1606, "CARRY4": 125, "RAMB36E1": 5},
        "processing_element": {"LUT2": 396, "LUT3": 19, "LUT4": 67, "LUT5": 35, "LUT6": 1, "CARRY4": 67, "FDRE": 121},
    }
    sites = {"axft_zynq": 1886, "processing_element": 295}
    monkeypatch.setattr(module, "zynq_rtlil", lambda hardware: "")
    monkeypatch.setattr(module, "module_cells", lambda rtlil: (cells, sites))
    baseline = find_preset("Baseline").config
    scaling = Scaling.of(HardwareConfig(array=baseline))
    assert not excess(scaling.used(12, 12), 0.85)
    with pytest.raises(BackendError, match=r"64x64 would take .*; about 12x12 would"):
        check_fits(HardwareConfig(array=baseline.resized(64, 64)), lambda line: None)
