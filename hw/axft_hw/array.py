"""The systolic array: processing elements (PE), the skew of the operands in front of them, drain and scan chain."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Cat, Module, ResetInserter, Signal, Value, signed
from amaranth.lib import data, wiring
from amaranth.lib.wiring import In, Out

from axft_hw.netlist import SharedModules
from axft_hw.pe import ProcessingElement
from axft_spec.hardware import HardwareConfig

__all__ = ["HIT_LATENCY", "INPUT_LATENCY", "PSUM_LATENCY", "SystolicArray"]

#: Enabled cycles from the one in which operands of row 0 and column 0 are presented to the one that is their cycle t.
INPUT_LATENCY = 1

#: Enabled cycles from a PE's valid step to the one whose end writes its partial sum.
PSUM_LATENCY = 1

#: Cycles, enabled or not, from an enabled cycle in which an observed bit differs to the one in which `hit` is high.
HIT_LATENCY = 2


class SystolicArray(wiring.Component):
    """An output-stationary array of R x C PEs: weights flow south, activations east, partial sums stay.

    Latency: operands presented in an enabled cycle are in the input registers of PE(0, 0) in the next one, which is
    cycle t = step, and in those of PE(r, c) r + c enabled cycles later. A tile of K steps is done after K + R + C
    enabled cycles: the last writes the partial sum of PE(R-1, C-1). Throughput: one step per enabled cycle. A drain
    takes one cycle per row. A stall (`enable` low) freezes everything but clear, drain, the scan chain and the two
    registers of `hit`.

    Reset: the domain's reset empties the pipeline of valid steps and sets the partial sums to 0. Operands and the scan
    chain keep their values. All registers power up as 0.

    Parameters
    ----------
    hardware : HardwareConfig

    Attributes
    ----------
    hardware : HardwareConfig
    pes : dict of (int, int) to ProcessingElement
        The PEs by row and column, in simulators that show them: filled by `elaborate`, unless modules are shared.

    Members
    -------
    activations : In(ArrayLayout(signed(activation_bits), rows))
        One activation for each row, without the low bits that the multiplier ignores: all of the same step.
    row_valid : In(rows)
        Rows that lie inside the tile, the lowest ones, in a cycle in which a step is presented; else 0.
    weights : In(ArrayLayout(signed(weight_bits), cols))
        One weight for each column, likewise.
    column_valid : In(cols)
        Columns that lie inside the tile: the lowest ones. Stands still from the first step until the last partial sum.
    enable : In(1)
        Do one cycle of the array.
    clear : In(1)
        Set all partial sums to 0.
    drain : In(1)
        Move all partial sums one row to the north; zeros enter from the south. Only when the tile is done, and not
        together with `enable`.
    force, force_psum : In(2)
        What armed bits do in this cycle: see :class:`~axft_hw.pe.ProcessingElement`.
    reset : In(1)
        Puts the PEs to their initial values, all but the registers without reset. What lies around them has the reset
        of the clock domain alone.
    scan_in, scan_shift : In(1)
        Serial input of the scan chain, and its clock enable. The order is that of :mod:`axft_spec.scanmap`.
    observe_row, observe_col : In(rows), In(cols)
        The PE that `hit` tells about, one-hot each; 0 for none.
    observe : In(pe_scan_bits)
        The bits of that PE that `hit` tells about.
    psums : Out(ArrayLayout(signed(psum_bits), cols))
        The partial sums of row 0.
    scan_out : Out(1)
        Serial output of the scan chain.
    hit : Out(1)
        High in one cycle for each enabled cycle in which an armed and observed bit differs, at a valid step, from what
        it is forced to: `HIT_LATENCY` cycles later.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        self.pes: dict[tuple[int, int], ProcessingElement] = {}
        rows, cols = hardware.array.rows, hardware.array.cols
        super().__init__(
            {
                "activations": In(data.ArrayLayout(signed(hardware.activation_bits), rows)),
                "row_valid": In(rows),
                "weights": In(data.ArrayLayout(signed(hardware.weight_bits), cols)),
                "column_valid": In(cols),
                "enable": In(1),
                "clear": In(1),
                "drain": In(1),
                "force": In(2),
                "force_psum": In(2),
                "reset": In(1),
                "scan_in": In(1),
                "scan_shift": In(1),
                "observe_row": In(rows),
                "observe_col": In(cols),
                "observe": In(hardware.pe_scan_bits),
                "psums": Out(data.ArrayLayout(signed(hardware.psum_bits), cols)),
                "scan_out": Out(1),
                "hit": Out(1),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return the PEs, wired to their neighbours, and what is around them."""
        m = Module()
        rows, cols = self.hardware.array.rows, self.hardware.array.cols
        pes = [[self._place(m, row, col, platform) for col in range(cols)] for row in range(rows)]
        scan = self.scan_in
        for row, line in enumerate(pes):
            for col, pe in enumerate(line):
                for name in ("enable", "clear", "drain", "force", "force_psum", "scan_shift", "observe"):
                    m.d.comb += getattr(pe, name).eq(getattr(self, name))
                m.d.comb += [pe.column_valid.eq(self.column_valid[col]), pe.scan_in.eq(scan)]
                scan = pe.scan_out
                if row + 1 < rows:
                    m.d.comb += pe.psum_south.eq(pes[row + 1][col].psum)
                if row:
                    m.d.comb += pe.weight_north.eq(pes[row - 1][col].weight_south)
                if col:
                    m.d.comb += pe.activation_west.eq(line[col - 1].activation_east)
                    m.d.comb += pe.valid_west.eq(line[col - 1].valid_east)
        m.d.comb += self.scan_out.eq(scan)

        for row in range(rows):
            activation = self._delayed(m, f"activation_skew_{row}", self.activations[row], row, reset_less=True)
            valid = self._delayed(m, f"valid_skew_{row}", self.row_valid[row], row, reset_less=False)
            m.d.comb += [pes[row][0].activation_west.eq(activation), pes[row][0].valid_west.eq(valid)]
        for col in range(cols):
            weight = self._delayed(m, f"weight_skew_{col}", self.weights[col], col, reset_less=True)
            m.d.comb += [pes[0][col].weight_north.eq(weight), self.psums[col].eq(pes[0][col].psum)]

        if self.hardware.counter and self.hardware.sites:
            hits_of_rows = Signal(rows)
            for row, line in enumerate(pes):
                seen = Cat(pe.hit for pe in line) & self.observe_col
                m.d.sync += hits_of_rows[row].eq(self.enable & seen.any())
            hit = Signal()
            m.d.sync += hit.eq((hits_of_rows & self.observe_row).any())
            m.d.comb += self.hit.eq(hit)
        return m

    def _place(self, m: Module, row: int, col: int, platform: object) -> Any:
        """Add a PE, as what the platform takes: an instance of one module, or a submodule of its own."""
        name = f"pe_{row}_{col}"
        if isinstance(platform, SharedModules):
            m.submodules[name], pe = platform.instance(
                "processing_element", lambda: ProcessingElement(self.hardware), self.reset, path=name
            )
            return pe
        self.pes[row, col] = pe = ProcessingElement(self.hardware)
        m.submodules[name] = ResetInserter(self.reset)(pe)
        return pe

    def _delayed(self, m: Module, name: str, value: Value, cycles: int, *, reset_less: bool) -> Value:
        """Return a value of some enabled cycles ago, from one register that holds them all, the latest lowest."""
        if not cycles:
            return value
        bits = len(value)
        stages = Signal(cycles * bits, name=name, reset_less=reset_less)
        with m.If(self.enable):
            m.d.sync += stages.eq(Cat(value, stages))
        oldest = stages[-bits:]
        return oldest.as_signed() if value.shape().signed else oldest
