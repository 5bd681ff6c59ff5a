"""Evaluates emitted netlists gate by gate, on 64 operand pairs at a time.

Nothing here knows what a multiplier is: yosys takes the RTLIL apart into AND, OR, XOR, NOT and multiplexer gates, and
numpy evaluates these on words that hold one bit of 64 cases.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
from amaranth.lib import wiring
from numpy.typing import NDArray

from axft_hw.build.verilog import to_rtlil
from axft_hw.build.yosys import run_yosys

Words = NDArray[np.uint64]

_ONES = np.uint64(2**64 - 1)
_GATES = {
    "$_NOT_": lambda a: a ^ _ONES,
    "$_BUF_": lambda a: a,
    "$_AND_": lambda a, b: a & b,
    "$_ANDNOT_": lambda a, b: a & (b ^ _ONES),
    "$_OR_": lambda a, b: a | b,
    "$_ORNOT_": lambda a, b: a | (b ^ _ONES),
    "$_NAND_": lambda a, b: (a & b) ^ _ONES,
    "$_NOR_": lambda a, b: (a | b) ^ _ONES,
    "$_XOR_": lambda a, b: a ^ b,
    "$_XNOR_": lambda a, b: a ^ b ^ _ONES,
    "$_MUX_": lambda a, b, s: a ^ (s & (a ^ b)),
}


class Gates:
    """One combinational module as a list of gates."""

    def __init__(self, module: Mapping[str, Any]) -> None:
        self._ports = {name: (port["direction"], port["bits"]) for name, port in module["ports"].items()}
        driver: dict[Any, tuple[str, list[Any]]] = {}
        for cell in module["cells"].values():
            inputs = [cell["connections"][pin][0] for pin in ("A", "B", "S") if pin in cell["connections"]]
            driver[cell["connections"]["Y"][0]] = (cell["type"], inputs)
        self._order: list[tuple[Any, str, list[Any]]] = []
        seen: set[Any] = set()
        for direction, bits in self._ports.values():
            if direction == "output":
                for bit in bits:
                    self._visit(bit, driver, seen)

    def _visit(self, bit: Any, driver: Mapping[Any, tuple[str, list[Any]]], seen: set[Any]) -> None:
        if bit in seen or bit not in driver:
            return
        seen.add(bit)
        kind, inputs = driver[bit]
        for each in inputs:
            self._visit(each, driver, seen)
        self._order.append((bit, kind, inputs))

    def __len__(self) -> int:
        return len(self._order)

    def evaluate(self, **inputs: NDArray[np.int64]) -> dict[str, NDArray[np.int64]]:
        """Return every output, as signed numbers, for arrays of values (multiples of 64) of every input."""
        values: dict[Any, Words] = {"0": np.uint64(0), "1": _ONES}  # type: ignore[dict-item]
        for name, (direction, bits) in self._ports.items():
            if direction == "input":
                for number, bit in enumerate(bits):
                    ones = ((inputs[name] >> number) & 1).astype(np.uint8)
                    values[bit] = np.packbits(ones, bitorder="little").view(np.uint64)
        for bit, kind, operands in self._order:
            values[bit] = _GATES[kind](*(values[operand] for operand in operands))
        count = len(next(iter(inputs.values())))
        return {
            name: _numbers([values[bit] for bit in bits], count)
            for name, (direction, bits) in self._ports.items()
            if direction == "output"
        }


def _numbers(bits: list[Words], count: int) -> NDArray[np.int64]:
    total = np.zeros(count, dtype=np.int32)
    for number, words in enumerate(bits):
        ones = np.unpackbits(np.broadcast_to(words, count // 64).copy().view(np.uint8), bitorder="little")
        total |= ones.astype(np.int32) << number
    unused = 32 - len(bits)
    return (total << unused >> unused).astype(np.int64)


def gates_of(components: Mapping[str, wiring.Component]) -> dict[str, Gates]:
    """Return the gates of some combinational components, by name: one run of yosys for all of them."""
    inputs = {f"{name}.il": to_rtlil(component, name) for name, component in components.items()}
    script = [f"read_rtlil {name}.il" for name in components]
    script += ["proc", "opt_expr", "techmap", "simplemap", "opt_clean", "write_json gates.json"]
    _, files = run_yosys("\n".join(script) + "\n", inputs, ("gates.json",))
    modules = json.loads(files["gates.json"])["modules"]
    return {name: Gates(modules[name]) for name in components}
