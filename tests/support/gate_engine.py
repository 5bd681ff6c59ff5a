"""Runs circuits of `support.seven_series`: one machine, or 64 that differ in inputs, faults and tables."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from axft_hw.sim.compile import FLAGS, compile_c, load
from support.block_ram import RamPort
from support.seven_series import Circuit, Table

__all__ = ["GateEngine", "engine_text"]

Words = NDArray[Any]

_COUNTS = ("gates", "flip_flops", "shifters", "writers", "rams")
_ARRAYS = ("gate", "flip_flop", "shifter", "writer", "ram", "nets", "store", "next", "ram_states")


class _Engine(ctypes.Structure):
    _fields_ = (
        *((name, ctypes.c_uint64) for name in _COUNTS),
        *((name, ctypes.c_void_p) for name in _ARRAYS),
        ("collisions", ctypes.c_uint64),
    )


def engine_text(lanes: int) -> str:
    """Return the C text for a number of lanes."""
    return f"#define LANES {lanes}\n" + Path(__file__).with_suffix(".c").read_text(encoding="ascii")


@lru_cache
def _library(lanes: int) -> ctypes.CDLL:
    return load(compile_c(engine_text(lanes), flags=FLAGS))


class GateEngine:
    """A circuit with its state, fresh from power-up.

    Parameters
    ----------
    circuit : Circuit
    lanes : {1, 64}
        How many machines.
    library : ctypes.CDLL, optional
        One whose text begins with that of `engine_text`.
    seed : int
        Of what is undefined at power-up: it is random, and the same in every lane.

    Attributes
    ----------
    circuit : Circuit
    lanes : int
    store : ndarray of uint8 or uint64
        All tables, a word for each of their bits, with a bit for each lane.
    """

    def __init__(
        self, circuit: Circuit, lanes: Literal[1, 64], library: ctypes.CDLL | None = None, *, seed: int = 0
    ) -> None:
        self.circuit = circuit
        self.lanes = lanes
        self.library = library or _library(lanes)
        self.library.gate_ram_state_size.restype = ctypes.c_uint64
        self._word: Any = np.uint8 if lanes == 1 else np.uint64
        self._ones = self._word(1 if lanes == 1 else 2**64 - 1)
        self._undefined = np.random.default_rng(seed)
        self._places: dict[int, int] = {}
        self._tables: list[Table] = []
        size = 0
        for table in [
            *(gate.table for gate in circuit.gates),
            *(shifter[2] for shifter in circuit.shifters),
            *(writer[3] for writer in circuit.writers),
        ]:
            if id(table) not in self._places:
                self._places[id(table)] = size
                self._tables.append(table)
                size += len(table.bits)
        place = self._places
        pad = [0] * 6
        self._arrays: dict[str, Words] = {
            "gate": _rows([len(g.inputs), *(g.inputs + pad)[:6], g.out, place[id(g.table)]] for g in circuit.gates),
            "flip_flop": _rows(list(f[:5]) for f in circuit.flip_flops),
            "shifter": _rows([s[0], s[1], place[id(s[2])], len(s[2].bits)] for s in circuit.shifters),
            "writer": _rows([len(w[0]), *(w[0] + pad)[:6], w[1], w[2], place[id(w[3])]] for w in circuit.writers),
            "ram": _rows([*self._port(r.ports[0]), *self._port(r.ports[1])] for r in circuit.rams),
            "nets": np.zeros(circuit.nets, dtype=self._word),
            "store": np.zeros(size, dtype=self._word),
            "next": np.zeros(max(len(circuit.flip_flops), 1), dtype=self._word),
            "ram_states": np.zeros((len(circuit.rams), self.library.gate_ram_state_size()), dtype=np.uint8),
        }
        self.store = self._arrays["store"]
        counts = [len(each) for each in (circuit.gates, circuit.flip_flops, circuit.shifters)]
        counts += [len(circuit.writers), len(circuit.rams)]
        self._engine = _Engine(*counts, *(self._arrays[name].ctypes.data for name in _ARRAYS), 0)
        self.power_up()

    @property
    def address(self) -> int:
        """Where the C code finds the circuit."""
        return ctypes.addressof(self._engine)

    @property
    def collisions(self) -> int:
        """Accesses of block RAMs whose outcome the manual leaves open."""
        return int(self._engine.collisions)

    def power_up(self) -> None:
        """Give everything its initial value."""
        nets = self._arrays["nets"]
        nets[:] = 0
        nets[1] = self._ones
        for flip_flop in self.circuit.flip_flops:
            nets[flip_flop[4]] = self._ones if self._defined(flip_flop[5]) else 0
        for table in self._tables:
            start = self._places[id(table)]
            for number, bit in enumerate(table.bits):
                self.store[start + number] = self._ones if self._defined(bit) else 0
        for ram, state in zip(self.circuit.rams, self._arrays["ram_states"], strict=True):
            state[:] = 0
            contents = state[: self.lanes * 8192].view(np.uint16).reshape(self.lanes, 4096)
            contents[:, : len(ram.contents)] = ram.contents
        self._engine.collisions = 0
        self.library.gate_power_up(ctypes.c_void_p(self.address))

    def values(self, nets: Sequence[int]) -> Words:
        """Return what nets have, as the last edge has left them if they are outputs of registers."""
        return np.array(self._arrays["nets"][list(nets)])

    def flip(self, table: Table, bit: int, lane: int = 0) -> None:
        """Invert one bit of a table in one lane."""
        self.store[self._places[id(table)] + bit] ^= self._word(1 << lane)

    def run(self, inputs: Sequence[int], stimulus: Words, outputs: Sequence[int]) -> Words:
        """Run for a cycle for each row.

        Parameters
        ----------
        inputs : sequence of int
            Nets of ports.
        stimulus : ndarray of uint8 (one lane) or uint64 (64 lanes), shape (cycles, inputs)
            A bit for each lane.
        outputs : sequence of int
            Nets to record.

        Returns
        -------
        ndarray, shape (cycles, outputs)
            Their values before each clock edge.
        """
        stimulus = np.ascontiguousarray(stimulus, dtype=self._word)
        record = np.zeros((len(stimulus), len(outputs)), dtype=self._word)
        given, shown = (np.array(nets, dtype=np.int32) for nets in (inputs, outputs))
        self.library.gate_run(
            ctypes.c_void_p(self.address),
            ctypes.c_uint64(len(stimulus)),
            ctypes.c_uint64(len(given)),
            ctypes.c_void_p(given.ctypes.data),
            ctypes.c_void_p(stimulus.ctypes.data),
            ctypes.c_uint64(len(shown)),
            ctypes.c_void_p(shown.ctypes.data),
            ctypes.c_void_p(record.ctypes.data),
        )
        return record

    def _defined(self, bit: int | None) -> int:
        return int(self._undefined.integers(2)) if bit is None else bit

    def _port(self, port: RamPort) -> list[int]:
        return [
            *(port.read_bits, port.write_bits, port.mode, int(port.registered), int(port.reset_first)),
            *(port.enable, port.reset, port.register_enable, port.register_reset),
            *(*port.write_enable, *port.address, *port.data),
            *(*port.out, *[0] * (72 - len(port.out))),
            *(*port.reset_value, *(self._defined(bit) for bit in port.initial)),
        ]


def _rows(rows: Any) -> Words:
    return np.array(list(rows), dtype=np.int32)
