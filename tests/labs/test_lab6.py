"""Lab 6: what is said of wrong answers, and what its devices and figures show."""

from __future__ import annotations

import pytest

from axft_host.labs import devices, drawings
from axft_spec.errors import BackendError, ConfigError
from support.labs import run_lab

GIVEN = {
    "6.1": {"device": "device"},
    "6.4": {"device": "broken"},
    "6.7": {"wave": "wave", "golden": "golden"},
    "6.8": {"golden": "golden"},
    "6.10": {"counted": "counted"},
}


def said(task: str, answer: object) -> str:
    """Return what the check says, with what the notebook hands over."""
    run = run_lab("6")
    given = {name: run.namespace[value] for name, value in GIVEN.get(task, {}).items()}
    if task == "6.9":
        given = {name: run.namespace["counted"][name] for name in ("none", "weight")}
    return run.say(task, answer, **given)


def linear(works: object, length: int) -> int:
    """Look at one position after another."""
    return next((place for place in range(length) if not works(place)), length)  # type: ignore[operator]


def endless(works: object, length: int) -> int:
    """Never come to an end."""
    while True:
        works(0)  # type: ignore[operator]


def beyond(works: object, length: int) -> int:
    """Ask for a position that is not there."""
    works(length)  # type: ignore[operator]
    return length


@pytest.mark.parametrize(
    ("task", "answer", "part"),
    [
        ("6.1", lambda row, col, bit: (row * 4 + col) * 8 + bit, "How many positions has a PE"),
        ("6.1", lambda row, col, bit: (col * 4 + row) * 5 + bit - 3, "(0, 1, 3)"),
        ("6.2", 3920, "number of positions"),
        ("6.2", 6272, "no position"),
        ("6.2", 7844, "only arming"),
        ("6.3", linear, "are enough"),
        ("6.3", endless, "does not end"),
        ("6.3", beyond, "has no position 80"),
        ("6.3", lambda works, length: 0, "a chain of 80 positions whose first 26 work"),
        ("6.4", (1, 3, 2), "which bit of a weight is at the first position"),
        ("6.4", (3, 1), "shape"),
        ("6.5", "abd", "1 of the 5 statements needs another look. Think of which steps use the chain"),
        ("6.6", [3, 4], "not yet added"),
        ("6.6", [2, 4], "PE(1, 2)"),
        ("6.7", {"core.array.pe_1_2.weight"}, "never differs"),
        ("6.7", {"core.array.pe_1_2.psum"}, "others do in an earlier clock period"),
        ("6.7", {"core.array.pe_1_2.product"}, "1 more can be found"),
        ("6.7", {"pe_1_2.product"}, "not a signal"),
        ("6.8", 6, "bit 6 of the weight"),
        ("6.8", 4, "is 1 already"),
        ("6.10", [34, 34, 34], "entries are wrong"),
        ("6.11", "abc", "1 of the 5 statements needs another look. Think of what a count of cells leaves out"),
    ],
)
def test_wrong_answer_is_told_what_is_wrong(task: str, answer: object, part: str) -> None:
    """One line, which does not hold the answer."""
    line = said(task, answer)
    assert line.startswith(f"✗ {task} wrong: ") and part in line, line
    assert "could not be read" not in line


def test_predictions_with_a_known_mistake_are_told_which() -> None:
    """Six times a weight's bits; the sites without the PE; and the sides of arrays that are full, or no sides."""
    counted = run_lab("6").namespace["counted"]
    none, weight = counted["none"], counted["weight"]
    flip_flops, luts = weight.flip_flops - none.flip_flops, weight.luts - none.luts
    assert "how wide" in said("6.9", [none.flip_flops + 6 * flip_flops, none.luts + 6 * luts])
    assert "PE itself is missing" in said("6.9", [48 * flip_flops / 5, 48 * luts / 5])
    assert "numbers of PEs" in said("6.10", [int(0.85 * 53_200 / area.luts) for area in counted.values()])
    assert "85 %" in said("6.10", [int((53_200 / area.luts) ** 0.5) for area in counted.values()])


def test_bit_of_a_product_costs_more_than_twice_a_weights() -> None:
    """The lab says so, where its line through two points fails."""
    counted = run_lab("6").namespace["counted"]
    product = devices.pe_area("product")
    bits = {"weight": 5, "product": 10}
    none = counted["none"].luts
    assert (product.luts - none) / bits["product"] > 2 * (counted["weight"].luts - none) / bits["weight"]


def test_position_of_the_break_is_found_by_the_self_test_too() -> None:
    """`works` and the device's own bisection agree."""
    from axft_host.device.self_test import locate_break

    device, works = devices.broken_chain()
    site = locate_break(device)
    assert site is not None
    position = device.scan_map.position(site)
    assert position is not None
    assert works(position - 1) and not works(position)


def test_devices_that_cannot_be_had_stop_the_lab_with_a_message() -> None:
    """No traceback for a name that is none."""
    for ask in (
        lambda: devices.simulated(config="9P"),
        lambda: devices.pe_area("wieght"),
        lambda: devices.patient("E"),
    ):
        with pytest.raises(SystemExit) as stop:
            ask()
        assert "\n" not in str(stop.value) and "allowed" in str(stop.value)
    board = type("Device", (), {"port": object()})()
    with pytest.raises(BackendError, match="flip-flops of a board cannot be seen"):
        devices.simulation_of(board)


def test_aligned_needs_a_tile() -> None:
    """A recording of nothing has no first step."""
    from axft_hw.sim.waveform import record

    device = devices.simulated()
    with record(devices.simulation_of(device), ["core.array.pe_0_0.valid_east"]) as wave:
        device.reset()
    with pytest.raises(ConfigError, match="never valid"):
        devices.aligned(wave, 0, 3)


def test_figures_tell_what_they_show() -> None:
    """Alternative texts hold the numbers."""
    names = run_lab("6").namespace
    assert drawings.chain(names["seen"].hardware, [33]).alt == (
        "Scan chain of 80 positions, 5 in each PE, row by row from PE(0, 0) to PE(3, 3); armed in PE(1, 2)."
    )
    picture = drawings.waves(names["wave"], {"core.array.pe_1_2.psum": "psum"}, names["golden"])
    assert picture.alt == "Waveform of psum, clock periods -1 to 13. Different from the golden run: psum."
    assert picture.png().startswith(b"\x89PNG")
