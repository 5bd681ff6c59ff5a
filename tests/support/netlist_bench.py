"""Drives the netlist of an array and of a processing element: 64 GEMMs with 64 faults at once, each on its own machine.

A machine shifts a fault into its scan chain, runs its GEMM once for each armed bit and observes that one, with stalls;
then it shifts zeros in, so that the pattern comes out and proves what was armed, and runs another GEMM without a fault.
All that nobody may look at is random. What is expected of it is the reference's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from axft_hw.array import HIT_LATENCY
from axft_hw.pe import FORCE_CODES
from axft_spec import reference
from axft_spec.faults import Fault, FaultSite
from axft_spec.hardware import HardwareConfig
from axft_spec.lowering import GemmShape
from axft_spec.numeric import signed_range
from axft_spec.scanmap import ScanMap
from support.gate_engine import GateEngine
from support.random_cases import random_fault
from support.seven_series import Circuit, Gate

__all__ = ["LANES", "Mutant", "NetlistBench", "Tally"]

LANES = 64
Rng = np.random.Generator
Int64 = NDArray[np.int64]
Rows = NDArray[np.uint8]

_MOST_STEPS = 10
_DENSE = 24  # bits that every second fault has
_STALLS = 0.2

#: What an element calls what the array has many of.
_ELEMENT = {"activations": "activation_west", "row_valid": "valid_west", "weights": "weight_north", "psums": "psum"}


@dataclass(slots=True)
class Tally:
    """What was compared, and what differed."""

    gemms: int = 0
    faults: int = 0
    activated: int = 0
    values: int = 0
    differences: list[str] = field(default_factory=list)
    lanes: set[int] = field(default_factory=set)

    def check(self, lane: int, what: str, expected: object, actual: object) -> None:
        """Compare values, or arrays of them."""
        one, two = np.asarray(expected), np.asarray(actual)
        self.values += one.size
        if not np.array_equal(one, two):
            self.lanes.add(lane)
            self.differences.append(f"lane {lane}: {what}: expected {one.tolist()}, got {two.tolist()}")


@dataclass(slots=True, kw_only=True)
class Mutant:
    """One machine of 64 has one bit of one look-up table inverted.

    Members
    -------
    lane, bit : int
    gate : Gate
    used : bool
        Whether the machine has ever looked at that bit.
    detected : bool
        Whether a value differed.
    """

    lane: int
    bit: int
    gate: Gate
    used: bool = False
    detected: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class _Case:
    """What one machine does."""

    fault: Fault
    activations: Int64
    weights: Int64
    clean_activations: Int64
    clean_weights: Int64


class _Run(NamedTuple):
    """When a tile runs, and the cycles in which it shows its rows of partial sums."""

    start: int
    stop: int
    shown: list[int]


class _Program:
    """Inputs for all cycles: random at first, then what is asked for is written over them."""

    def __init__(self, engine: GateEngine, rng: Rng, prefix: str) -> None:
        self.engine = engine
        self.rng = rng
        self.mutants: list[Mutant] = []
        ports = engine.circuit.ports
        mine = {
            name.removeprefix(prefix): port for name, port in ports.items() if name.startswith("pe_") == bool(prefix)
        }
        self.inputs = {name: nets for name, (direction, nets) in mine.items() if direction == "input"}
        self.outputs = {name: nets for name, (direction, nets) in mine.items() if direction == "output"}
        for name in ("clk", "rst"):
            self.inputs.pop(name, None)

    def begin(self, cycles: int) -> None:
        self.rows: dict[str, Rows] = {
            name: self.rng.integers(0, 2, (cycles, len(nets), LANES), dtype=np.uint8)
            for name, nets in self.inputs.items()
        }
        for name in ("enable", "clear", "drain", "scan_shift", "reset", "observe", "observe_row", "observe_col"):
            if name in self.rows:
                self.rows[name][:] = 0

    def set(self, name: str, cycle: int, lane: int, value: int) -> None:
        row = self.rows[name][cycle, :, lane]
        row[:] = value >> np.arange(len(row), dtype=object) & 1 if len(row) > 62 else _bits(value, len(row))

    def run(self) -> dict[str, Rows]:
        """Run all cycles; return the outputs, shape (cycles, bits, lanes)."""
        nets = [net for each in self.inputs.values() for net in each]
        packed = np.packbits(np.concatenate(list(self.rows.values()), axis=1), axis=2, bitorder="little")
        shown = [net for each in self.outputs.values() for net in each]
        seen = [net for mutant in self.mutants for net in mutant.gate.inputs]
        record = self.engine.run(nets, packed.view(np.uint64)[:, :, 0], shown + seen)
        self._look(record[:, len(shown) :])
        bits = np.unpackbits(record[:, : len(shown), None].copy().view(np.uint8), axis=2, bitorder="little")
        found, first = {}, 0
        for name, each in self.outputs.items():
            found[name] = bits[:, first : first + len(each)]
            first += len(each)
        return found

    def _look(self, record: NDArray[np.uint64]) -> None:
        """Note which mutants' machines have looked at the bit that is wrong in them."""
        first = 0
        for mutant in self.mutants:
            columns = record[:, first : first + len(mutant.gate.inputs)]
            first += columns.shape[1]
            address = ((columns >> np.uint64(mutant.lane)) & np.uint64(1)).astype(np.int64)
            mutant.used |= bool(((address << np.arange(columns.shape[1])).sum(axis=1) == mutant.bit).any())


def _bits(value: int, count: int) -> Rows:
    return (np.int64(value) >> np.arange(count) & 1).astype(np.uint8)


class _Bench:
    """The array, or an element as an array of one."""

    def __init__(self, hardware: HardwareConfig, engine: GateEngine, rng: Rng, *, element: bool) -> None:
        self.element = element
        self.config = hardware.array.resized(1, 1) if element else hardware.array
        self.hardware = HardwareConfig(array=self.config, sites=hardware.sites)
        self.map = ScanMap(self.hardware)
        self.rng = rng
        self.program = _Program(engine, rng, "pe_" if element else "")
        self.names = _ELEMENT if element else {name: name for name in _ELEMENT}
        self.omits = self.config.omit_activation, self.config.omit_weight, self.config.multiplier.zero_bits

    def case(self, *, dense: bool) -> _Case:
        rng, config = self.rng, self.config
        m, n = int(rng.integers(1, config.rows + 1)), int(rng.integers(1, config.cols + 1))
        low, high = signed_range(config.width)
        k, clean_k = (int(each) for each in rng.integers(1, _MOST_STEPS + 1, 2))
        fault = random_fault(rng, config, [(1, GemmShape(m=m, k=k, n=n))], self.hardware.sites)
        if dense:
            places = rng.permutation(len(self.map))[:_DENSE]
            fault = Fault(fault.kind, tuple(sorted(self.map.site_at(int(place)) for place in places)), fault.window)
        return _Case(
            fault=fault,
            activations=rng.integers(low, high + 1, (m, k)),
            weights=rng.integers(low, high + 1, (k, n)),
            clean_activations=rng.integers(low, high + 1, (m, clean_k)),
            clean_weights=rng.integers(low, high + 1, (clean_k, n)),
        )

    def shift(self, start: int, lane_bits: Rows) -> int:
        """Shift patterns, shape (positions, lanes), into the chain, the last position first; return the next cycle."""
        stop = start + len(lane_bits)
        self.program.rows["scan_shift"][start:stop] = 1
        self.program.rows["scan_in"][start:stop, 0] = lane_bits[::-1]
        return stop

    def tile(
        self, start: int, lane: int, activations: Int64, weights: Int64, fault: Fault | None
    ) -> tuple[int, list[int]]:
        """Write one tile; return the cycle behind it, and those in which rows of partial sums are there."""
        put, rng, config = self.program.set, self.rng, self.config
        rows, steps = activations.shape
        moved_activations, moved_weights = activations >> self.omits[0], weights >> self.omits[1]
        cycle = start
        put("clear", cycle, lane, 1)
        cycle += 1
        previous = 0
        for number in range(steps + config.rows + config.cols):
            while rng.random() < _STALLS:
                cycle += 1
            put("enable", cycle, lane, 1)
            put(self.names["row_valid"], cycle, lane, (1 << rows) - 1 if number < steps else 0)
            if number < steps:
                self._lanes("activations", cycle, lane, moved_activations[:, number], config.rows)
                self._lanes("weights", cycle, lane, moved_weights[number], config.cols)
            # What is presented now is in the registers one enabled cycle later: that is cycle t.
            force = _force(fault, number - 1)
            put("force", cycle, lane, force)
            put("force_psum", cycle, lane, previous)
            previous = force
            cycle += 1
        shown = []
        for _ in range(config.rows):
            shown.append(cycle)
            put("drain", cycle, lane, 1)
            if self.element:
                put("psum_south", cycle, lane, 0)
            cycle += 1
        stop = cycle + HIT_LATENCY
        self.program.rows["column_valid"][start:stop, :, lane] = _bits((1 << weights.shape[1]) - 1, config.cols)
        return stop, shown

    def observe(self, start: int, stop: int, lane: int, site: FaultSite) -> None:
        """Observe an armed bit for some cycles."""
        offset = self.map.pe_offset(site)
        if offset is None:
            return
        self.program.rows["observe"][start:stop, offset, lane] = 1
        if not self.element:
            self.program.rows["observe_row"][start:stop, site.row, lane] = 1
            self.program.rows["observe_col"][start:stop, site.col, lane] = 1

    def repeat(self, run: _Run, lane: int, sites: Sequence[FaultSite]) -> list[_Run]:
        """Write what a tile does again behind it, and observe one site each time."""
        runs, length = [], run.stop - run.start
        for number in range(len(sites)):
            start = run.start + number * length
            for rows in self.program.rows.values() if number else ():
                rows[start : start + length, :, lane] = rows[run.start : run.stop, :, lane]
            runs.append(_Run(start, start + length, [cycle + number * length for cycle in run.shown]))
        for each, site in zip(runs, sites, strict=True):
            self.observe(each.start, each.stop, lane, site)
        return runs

    def _lanes(self, name: str, cycle: int, lane: int, values: Int64, count: int) -> None:
        """Present operands; in what has none stays what is there."""
        row = self.program.rows[self.names[name]][cycle, :, lane]
        bits = len(row) // count
        row[: bits * len(values)] = (values[:, None] >> np.arange(bits) & 1).reshape(-1)

    def psums(self, outputs: dict[str, Rows], shown: list[int], lane: int) -> Int64:
        """Return the partial sums that a drain has shown, of all elements."""
        bits = outputs[self.names["psums"]][shown, :, lane].reshape(len(shown), self.config.cols, -1).astype(np.int64)
        width = bits.shape[2]
        values = (bits << np.arange(width)).sum(axis=2)
        values -= bits[:, :, -1] << width
        return values << self.omits[2]

    def whole(self, psums: Int64) -> Int64:
        """Return the partial sums of a tile as those of all elements, of which the ones outside have added nothing."""
        found = np.zeros((self.config.rows, self.config.cols), dtype=np.int64)
        found[: psums.shape[0], : psums.shape[1]] = psums
        return found

    def hits(self, outputs: dict[str, Rows], start: int, stop: int, lane: int) -> int:
        """Return the cycles in which an observed bit differed."""
        hit = outputs["hit"][start:stop, 0, lane]
        if self.element:
            hit = hit & self.program.rows["enable"][start:stop, 0, lane]
        return int(hit.sum())

    def compare(self, tally: Tally) -> None:
        """Run 64 cases and compare them."""
        cases = [self.case(dense=lane % 2 == 1) for lane in range(LANES)]
        positions = len(self.map)
        tile = 4 * (_MOST_STEPS + 3 * (self.config.rows + self.config.cols)) + 64
        self.program.begin(2 * positions + (_DENSE + 1) * tile)
        armed = np.zeros((positions, LANES), dtype=np.uint8)
        for lane, case in enumerate(cases):
            armed[list(self.map.positions(case.fault.sites)), lane] = 1
        start = self.shift(0, armed)
        runs: list[list[_Run]] = []
        for lane, case in enumerate(cases):
            stop, shown = self.tile(start, lane, case.activations, case.weights, case.fault)
            runs.append(self.repeat(_Run(start, stop, shown), lane, case.fault.sites))
        middle = max(mine[-1].stop for mine in runs)
        last = self.shift(middle, np.zeros_like(armed))
        for lane, case in enumerate(cases):
            stop, shown = self.tile(last, lane, case.clean_activations, case.clean_weights, None)
            runs[lane].append(_Run(last, stop, shown))
        end = max(mine[-1].stop for mine in runs)
        self.program.rows = {name: rows[:end] for name, rows in self.program.rows.items()}
        outputs = self.program.run()
        for lane, case in enumerate(cases):
            came_out = outputs["scan_out"][middle:last, 0, lane][::-1]
            tally.check(lane, "scan chain", armed[:, lane], came_out)
            self._check(tally, outputs, lane, case, runs[lane])

    def _check(self, tally: Tally, outputs: dict[str, Rows], lane: int, case: _Case, runs: Sequence[_Run]) -> None:
        expected = reference.gemm(self.config, case.activations, case.weights, case.fault)
        hits = 0
        for number, run in enumerate(runs[:-1]):
            psums = self.psums(outputs, run.shown, lane)
            tally.check(lane, f"{case.fault}, run {number}", self.whole(expected.psums), psums)
            hits += self.hits(outputs, run.start, run.stop, lane)
        tally.check(lane, f"{case.fault}, activated", expected.activated, hits)
        run = runs[-1]
        clean = reference.gemm(self.config, case.clean_activations, case.clean_weights).psums
        tally.check(lane, "without a fault", self.whole(clean), self.psums(outputs, run.shown, lane))
        tally.check(lane, "without a fault, activated", 0, self.hits(outputs, run.start, run.stop, lane))
        tally.gemms += 2
        tally.faults += 1
        tally.activated += bool(expected.activated)


def _force(fault: Fault | None, cycle: int) -> int:
    if fault is None:
        return 0
    window = fault.window
    inside = window is None or window.first_cycle <= cycle < window.first_cycle + window.cycles
    return FORCE_CODES[fault.kind.value] if inside else 0


class NetlistBench:
    """An array and an element of a netlist, see `support.netlists`, on 64 machines.

    Parameters
    ----------
    hardware : HardwareConfig
    circuit : Circuit
    seed : int

    Attributes
    ----------
    mutants : list of Mutant
        In machines 1 and up; none in 0.
    """

    def __init__(self, hardware: HardwareConfig, circuit: Circuit, seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._circuit = circuit
        self._engine = GateEngine(circuit, LANES, seed=seed)
        self._array, self._element = (
            _Bench(hardware, self._engine, self._rng, element=element) for element in (False, True)
        )
        self.mutants: list[Mutant] = []

    def array(self, tally: Tally) -> None:
        """Compare 64 faults on the array, and as many GEMMs without one."""
        self._compare(self._array, tally)

    def element(self, tally: Tally) -> None:
        """Compare the same for the element by itself, an array of one row and one column."""
        self._compare(self._element, tally)

    def mutate(self) -> None:
        """Invert one bit of a random look-up table in every machine but the first."""
        luts = {id(table) for table in self._circuit.luts}
        gates = [gate for gate in self._circuit.gates if id(gate.table) in luts]
        for lane in range(1, LANES):
            gate = gates[int(self._rng.integers(len(gates)))]
            bit = int(self._rng.integers(len(gate.table.bits)))
            self._engine.flip(gate.table, bit, lane)
            self.mutants.append(Mutant(lane=lane, bit=bit, gate=gate))
        self._array.program.mutants = self._element.program.mutants = self.mutants

    def _compare(self, bench: _Bench, tally: Tally) -> None:
        bench.compare(tally)
        for mutant in self.mutants:
            mutant.detected |= mutant.lane in tally.lanes
