"""What comes out of synthesis, in the form that nextpnr gets, computes what the reference computes, with faults.

`python -m support.post_synthesis` runs many more cases.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import pytest

from axft_host.device.self_test import self_test
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.hardware import HardwareConfig
from support.gate_engine import GateEngine
from support.netlist_bench import LANES, NetlistBench, Tally
from support.netlist_device import NetlistBackend, device_circuit, netlist_accelerator
from support.netlists import array_netlist, fitted
from support.post_synthesis import array_circuit, device_gemms, device_networks, mutants
from support.seven_series import Circuit, circuit_of
from support.yosys_cells import record_of_icarus, why_not


def hardware_of(preset: str) -> HardwareConfig:
    """Return a preset's array of 4 x 4 with all fault sites."""
    return HardwareConfig(array=find_preset(preset).config.resized(4, 4))


@cache
def device_34p() -> Circuit:
    """Return the whole design for 34P."""
    return device_circuit(hardware_of("34P"))


def random_inputs(circuit: Circuit, rng: np.random.Generator, cycles: int) -> tuple[list[str], np.ndarray]:
    """Return random values for all inputs but the clock, with few resets, and the inputs' names in their order."""
    names = [name for name, (direction, _) in circuit.ports.items() if direction == "input" and name != "clk"]
    rare = ("rst", "reset", "clear", "pe_clear", "drain", "pe_drain")
    odds = {name: 0.02 if name in rare else 0.9 if "valid" in name or "enable" in name else 0.5 for name in names}
    columns = [rng.random((cycles, len(circuit.ports[name][1]))) < odds[name] for name in names]
    return names, np.concatenate(columns, axis=1).astype(np.uint8)


@pytest.mark.parametrize("preset", ["34P", "8P", "Baseline"])
def test_element_and_array_equal_reference(preset: str) -> None:
    """Random GEMMs with random faults: partial sums, activations, what the scan chain holds; and without a fault."""
    hardware = hardware_of(preset)
    bench = NetlistBench(hardware, array_circuit(hardware), seed=2)
    for compare in (bench.element, bench.array):
        tally = Tally()
        compare(tally)
        assert tally.differences == []
        assert (tally.gemms, tally.faults) == (2 * LANES, LANES)
        # One for the chain, one for each activation, one for each partial sum, and more of each.
        assert tally.values > LANES * hardware.pe_scan_bits
        assert tally.activated > LANES // 3


def test_mutants_of_the_netlist_are_detected() -> None:
    """One wrong bit of one look-up table: the same comparison notices it, in every machine but the one without.

    Not all of them: many bits stand for inputs that never occur, and some for such as are rare.
    """
    hardware = hardware_of("34P")
    bench, healthy = mutants(hardware, array_circuit(hardware), seed=1, batches=16)
    assert healthy.differences == []
    detected = [mutant for mutant in bench.mutants if mutant.detected]
    print(f"{len(detected)} of {len(bench.mutants)} detected, {sum(m.used for m in bench.mutants)} used")
    assert len(detected) >= 16
    assert all(mutant.used for mutant in detected)


def test_fitting_the_carry_chains_changes_nothing() -> None:
    """The netlist with and without, on random inputs: every output in every cycle."""
    module = array_netlist(hardware_of("8P"))
    plain, fit = circuit_of(module), circuit_of(fitted(array_netlist(hardware_of("8P"))))
    _, stimulus = random_inputs(plain, np.random.default_rng(3), 400)
    records = []
    for circuit in (plain, fit):
        nets = {direction: [] for direction in ("input", "output")}
        for name, (direction, bits) in circuit.ports.items():
            nets[direction] += bits if name != "clk" else []
        records.append(GateEngine(circuit, 1).run(nets["input"], stimulus, nets["output"]))
    assert np.array_equal(*records)
    assert (records[0] != records[0][0]).any(axis=0).mean() > 0.9


@pytest.mark.skipif(bool(why_not()), reason=why_not())
def test_netlist_is_the_same_for_icarus_and_yosyss_models(tmp_path: Path) -> None:
    """Array and element on another simulator, with other models of the cells: every output in every cycle."""
    module = fitted(array_netlist(hardware_of("34P")))
    circuit = circuit_of(module)
    names, stimulus = random_inputs(circuit, np.random.default_rng(4), 300)
    shown = [name for name, (direction, _) in circuit.ports.items() if direction == "output"]
    ours = GateEngine(circuit, 1).run(
        [net for name in names for net in circuit.ports[name][1]],
        stimulus,
        [net for name in shown for net in circuit.ports[name][1]],
    )
    ports = module["ports"]
    theirs = record_of_icarus(
        module,
        [bit for name in names for bit in ports[name]["bits"]],
        [bit for name in shown for bit in ports[name]["bits"]],
        stimulus,
        tmp_path,
    )
    assert np.array_equal(ours, theirs)
    assert (ours != ours[0]).any(axis=0).mean() > 0.8


def test_whole_device_equals_reference() -> None:
    """Behind its AXI port: registers, buffers, scan chain, every site; GEMMs with faults; small networks."""
    hardware = hardware_of("34P")
    accelerator, model = netlist_accelerator(hardware, device_34p())
    assert [check.name for check in self_test(accelerator) if not check.passed] == []
    backend, gemms, networks = NetlistBackend(accelerator), Tally(), Tally()
    device_gemms(backend, 1, range(8), gemms)
    device_networks(backend, 1, range(5), networks)
    assert gemms.differences == networks.differences == []
    assert gemms.activated >= 3
    assert networks.activated >= 1
    assert gemms.values > 1000
    # Nothing depends on what a block RAM leaves open, or on what is undefined at power-up, which is random.
    assert model.engine.collisions == 0
    assert len(device_34p().rams) >= 4


def test_broken_device_is_noticed() -> None:
    """With every bit of a look-up table inverted, the driver's checks fail, or nothing answers; not for each table."""
    hardware = hardware_of("34P")
    accelerator, model = netlist_accelerator(hardware, device_34p())
    luts = [table for table in device_34p().luts if len(table.bits) == 32]
    noticed = 0
    for number in np.random.default_rng(5).permutation(len(luts))[:3]:
        for bit in range(32):
            model.engine.flip(luts[number], bit)
        try:
            accelerator.reset()
            noticed += not all(check.passed for check in self_test(accelerator))
        except BackendError:
            noticed += 1
        model.power_up()
    assert noticed >= 1
    accelerator.reset()
    assert all(check.passed for check in self_test(accelerator))
