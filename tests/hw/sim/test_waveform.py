"""Recordings of a simulated device, against the cycle-accurate reference and against a reader of value change dumps."""

from __future__ import annotations

import re

import numpy as np
import pytest

from axft_host.backends.rtl import SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_hw.sim.simulation import Simulation
from axft_hw.sim.waveform import Waveform, record
from axft_spec import reference
from axft_spec.config import find_preset
from axft_spec.errors import BackendError, ConfigError
from axft_spec.faults import Site, parse_fault
from axft_spec.hardware import HardwareConfig

ROWS = COLS = 3
STEPS = 5
FAULT = parse_fault("weight:r1:c1:b6:sa1")
PES = [(row, col) for row in range(ROWS) for col in range(COLS)]


@pytest.fixture(scope="module")
def device() -> Accelerator:
    """Return the driver of a small simulated device."""
    hardware = HardwareConfig(array=find_preset("8P").config.resized(ROWS, COLS), sites=(Site.WEIGHT,))
    return Accelerator(SimulatedPort(Simulation(hardware)), hardware)


def operands() -> tuple[np.ndarray, np.ndarray]:
    """Return activations and weights of one tile."""
    rng = np.random.default_rng(5)
    return rng.integers(0, 128, (ROWS, STEPS)), rng.integers(-128, 128, (STEPS, COLS))


def recorded(device: Accelerator, names: list[str]) -> Waveform:
    """Return a recording of one tile with the fault."""
    activations, weights = operands()
    with record(device.port.simulation, names) as wave:
        device.gemm(device.hardware.array, activations[None], weights, FAULT)
    return wave


def of(row: int, col: int, register: str) -> str:
    """Return the name of a PE's register."""
    return f"core.array.pe_{row}_{col}.{register}"


def test_registers_hold_what_the_reference_has_in_every_cycle(device: Accelerator) -> None:
    """Weights and activations in the cycle of their step, the sum two clock periods later: a product is registered."""
    wave = recorded(
        device, [of(*pe, name) for pe in PES for name in ("valid_east", "weight", "activation_east", "psum")]
    )
    begin = int(wave.cycles[np.flatnonzero(wave.values[of(0, 0, "valid_east")])[0]])
    run = reference.run_tile(device.hardware.array, *operands(), FAULT, trace=True)
    assert run.activated > 0
    for cycle, state in enumerate(run.states):
        for row, col in PES:
            weight, activation, psum = state[row][col]
            now = int(np.flatnonzero(wave.cycles == begin + cycle)[0])
            valid = weight is not None and activation is not None
            assert bool(wave.values[of(row, col, "valid_east")][now]) == valid
            if valid:
                assert wave.signed(of(row, col, "weight"))[now] == weight
                assert wave.signed(of(row, col, "activation_east"))[now] == activation
            assert wave.signed(of(row, col, "psum"))[now + 2] == psum


def test_recording_changes_nothing_and_no_cycle_is_missing(device: Accelerator) -> None:
    """The same results in as many clock cycles, and every one of them recorded."""
    simulation = device.port.simulation
    activations, weights = operands()

    def run() -> tuple[np.ndarray, int]:
        device.reset()
        before = simulation.cycle
        psums, _ = device.gemm(device.hardware.array, activations[None], weights, FAULT)
        return psums, simulation.cycle - before

    plain, cycles = run()
    with record(simulation, ["core.sequencer.enable"]) as wave:
        watched, watched_cycles = run()
    assert (watched == plain).all()
    assert watched_cycles == cycles
    assert (np.diff(wave.cycles) == 1).all()
    assert len(wave.cycles) > cycles  # the reset's, too
    again, _ = run()
    assert len(wave.cycles) == len(wave.values["core.sequencer.enable"])
    assert (again == plain).all()


def test_other_device_of_the_same_model_is_not_recorded(device: Accelerator) -> None:
    """Two machines share the code of their model, and not the recording."""
    other = Accelerator(SimulatedPort(Simulation(device.hardware)), device.hardware)
    with record(device.port.simulation, ["core.sequencer.enable"]) as wave:
        other.reset()
    assert len(wave.cycles) == 0


def test_vcd_has_the_values_at_their_times(device: Accelerator) -> None:
    """Read back line by line, as a viewer does it."""
    names = [of(0, 0, "psum"), of(1, 2, "weight"), "core.sequencer.enable"]
    wave = recorded(device, names)
    text = wave.to_vcd()
    codes: dict[str, str] = {}
    scopes: list[str] = []
    for words in map(str.split, text.partition("$enddefinitions $end")[0].splitlines()):
        if words[0] == "$scope":
            scopes.append(words[2])
        elif words[0] == "$upscope":
            scopes.pop()
        elif words[0] == "$var":
            codes[words[3]] = ".".join([*scopes, words[4]])
    assert sorted(codes.values()) == sorted(["clk", *names])
    held: dict[str, int] = {}
    seen: dict[int, dict[str, int]] = {}
    for line in text.partition("$enddefinitions $end\n")[2].splitlines():
        if line[0] == "#":
            now = int(line[1:])
        elif line[0] == "b":
            value, code = line[1:].split()
            held[codes[code]] = int(value, 2)
        else:
            assert re.fullmatch(r"[01]\S", line)
            if line[0] == "0":  # the middle of a period: all of its changes are behind
                seen[now // 10] = dict(held)
    assert sorted(seen) == wave.cycles.tolist()
    for name in names:
        assert [seen[cycle][name] for cycle in wave.cycles.tolist()] == wave.values[name].tolist()


def test_part_keeps_both_ends(device: Accelerator) -> None:
    """Cycles first and last are among them."""
    wave = recorded(device, [of(0, 0, "psum")])
    first = int(wave.cycles[3])
    part = wave.part(first, first + 4)
    assert part.cycles.tolist() == list(range(first, first + 5))
    assert part.values[of(0, 0, "psum")].tolist() == wave.values[of(0, 0, "psum")][3:8].tolist()


def test_more_cycles_than_room_is_said(device: Accelerator) -> None:
    """Nothing is cut off silently."""
    with (
        pytest.raises(BackendError, match=r"clock cycles passed, and only 10 were to be kept; ask for more cycles"),
        record(device.port.simulation, ["core.sequencer.enable"], cycles=10),
    ):
        device.reset()
        device.reset()


def test_unknown_wide_and_stored_signals_are_refused(device: Accelerator) -> None:
    """Each with what is wrong with it."""
    simulation = device.port.simulation
    with (
        pytest.raises(ConfigError, match=r"unknown flip-flop 'pe_0_0.psum' .*core.array.pe_0_0.psum"),
        record(simulation, ["pe_0_0.psum"]),
    ):
        pass
    wide = next(name for name, entry in simulation.model.flip_flops.items() if entry.width > 63)
    with pytest.raises(ConfigError, match=f"at most 63 bits, not {wide}"), record(simulation, [wide]):
        pass
    memory = next(name for name, entry in simulation.model.directory.items() if entry.kind == "memory")
    with pytest.raises(ConfigError, match=f"{memory} is a memory"), record(simulation, [memory]):
        pass
