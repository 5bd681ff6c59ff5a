"""A small systolic array with everything that the real one has in kind: for tests of the compiled model alone."""

from __future__ import annotations

from typing import Any

from amaranth.hdl import Array, Cat, Const, Module, Mux, Signal, signed
from amaranth.lib import data, memory, wiring
from amaranth.lib.wiring import In, Out

__all__ = ["StandIn", "StandInPE"]


class StandInPE(wiring.Component):
    """A PE: operand registers, a fault gate on the weight armed by scan, a registered product, an accumulator."""

    def __init__(self, bits: int, acc_bits: int) -> None:
        self.bits = bits
        self.acc_bits = acc_bits
        super().__init__(
            {
                "weight_in": In(signed(bits)),
                "activation_in": In(signed(bits)),
                "valid_in": In(1),
                "weight_out": Out(signed(bits)),
                "activation_out": Out(signed(bits)),
                "valid_out": Out(1),
                "scan_in": In(1),
                "scan_out": Out(1),
                "scan_shift": In(1),
                "flip": In(1),
                "stuck_at_0": In(1),
                "stuck_at_1": In(1),
                "clear": In(1),
                "drain": In(1),
                "psum_in": In(signed(acc_bits)),
                "psum_out": Out(signed(acc_bits)),
                "hit": Out(1),
            }
        )

    def elaborate(self, platform: Any) -> Module:
        """Build the PE."""
        m = Module()
        bits = self.bits
        weight = Signal(signed(bits))
        activation = Signal(signed(bits))
        valid = Signal()
        scan = Signal(bits)
        product = Signal(signed(2 * bits))
        product_valid = Signal()
        psum = Signal(signed(self.acc_bits))
        m.d.sync += [weight.eq(self.weight_in), activation.eq(self.activation_in), valid.eq(self.valid_in)]
        with m.If(self.scan_shift):
            m.d.sync += scan.eq(Cat(self.scan_in, scan[:-1]))
        mask = Mux(valid, scan, 0)
        forced = Signal(signed(bits))
        m.d.comb += [
            forced.eq(
                (weight ^ Mux(self.flip, mask, 0)) & ~Mux(self.stuck_at_0, mask, Const(0, bits))
                | Mux(self.stuck_at_1, mask, 0)
            ),
            self.hit.eq(forced != weight),
            self.weight_out.eq(forced),
            self.activation_out.eq(activation),
            self.valid_out.eq(valid),
            self.scan_out.eq(scan[-1]),
            self.psum_out.eq(psum),
        ]
        rows: Any = Const(0, signed(2 * bits))
        for bit in range(bits - 1):
            rows = (rows + (Mux(activation[bit], forced, 0) << bit))[: 2 * bits].as_signed()
        rows = rows - (Mux(activation[-1], forced, 0) << (bits - 1))
        m.d.sync += [product.eq(rows), product_valid.eq(valid)]
        with m.If(self.clear):
            m.d.sync += psum.eq(0)
        with m.Elif(self.drain):
            m.d.sync += psum.eq(self.psum_in)
        with m.Elif(product_valid):
            m.d.sync += psum.eq(psum + product)
        return m


class StandIn(wiring.Component):
    """The array with skew registers, operand and result memories, a column multiplexer and a control machine."""

    def __init__(self, rows: int, columns: int, *, bits: int = 5, acc_bits: int = 18, depth: int = 64) -> None:
        self.rows, self.columns, self.bits, self.acc_bits, self.depth = rows, columns, bits, acc_bits, depth
        super().__init__(
            {
                "start": In(1),
                "steps": In(6),
                "write_weight": In(1),
                "write_activation": In(1),
                "write_address": In(range(depth)),
                "write_lane": In(range(max(rows, columns))),
                "write_data": In(bits),
                "scan_in": In(1),
                "scan_shift": In(1),
                "scan_out": Out(1),
                "kind": In(2),
                "read_row": In(range(rows)),
                "read_column": In(range(columns)),
                "result": Out(signed(acc_bits)),
                "busy": Out(1),
                "activated": Out(32),
            }
        )

    def elaborate(self, platform: Any) -> Module:  # noqa: PLR0915
        """Build the design."""
        m = Module()
        rows, columns, bits = self.rows, self.columns, self.bits
        address = Signal(range(self.depth + rows + columns + 4))
        lanes = {}
        for name, count, write in (
            ("weights", columns, self.write_weight),
            ("activations", rows, self.write_activation),
        ):
            store = memory.Memory(shape=data.ArrayLayout(bits, count), depth=self.depth, init=[])
            m.submodules[name] = store
            port = store.write_port(granularity=1)
            m.d.comb += [
                port.addr.eq(self.write_address),
                port.en.eq(write << self.write_lane),
                port.data.as_value().eq(self.write_data.replicate(count)),
            ]
            read = store.read_port()
            m.d.comb += read.addr.eq(address)
            lanes[name] = read.data
        reading = Signal()
        valid = Signal()
        clear = Signal()
        drain = Signal()
        m.d.sync += valid.eq(reading)
        pes = [[StandInPE(bits, self.acc_bits) for _ in range(columns)] for _ in range(rows)]
        hits = []
        chain: Any = self.scan_in
        for r in range(rows):
            for c in range(columns):
                pe = pes[r][c]
                m.submodules[f"pe_{r}_{c}"] = pe
                if r == 0:
                    m.d.comb += pe.weight_in.eq(self.delayed(m, lanes["weights"][c], c, f"weight_{c}"))
                else:
                    m.d.comb += pe.weight_in.eq(pes[r - 1][c].weight_out)
                if c == 0:
                    m.d.comb += pe.activation_in.eq(self.delayed(m, lanes["activations"][r], r, f"activation_{r}"))
                    m.d.comb += pe.valid_in.eq(self.delayed(m, valid, r, f"valid_{r}"))
                else:
                    m.d.comb += pe.activation_in.eq(pes[r][c - 1].activation_out)
                    m.d.comb += pe.valid_in.eq(pes[r][c - 1].valid_out)
                m.d.comb += [
                    pe.scan_in.eq(chain),
                    pe.scan_shift.eq(self.scan_shift),
                    pe.flip.eq(self.kind == 1),
                    pe.stuck_at_0.eq(self.kind == 2),
                    pe.stuck_at_1.eq(self.kind == 3),
                    pe.clear.eq(clear),
                    pe.drain.eq(drain),
                    pe.psum_in.eq(pes[r - 1][c].psum_out if r else 0),
                ]
                chain = pe.scan_out
                hits.append(pe.hit)
        m.d.comb += self.scan_out.eq(chain)
        m.d.sync += self.activated.eq(self.activated + Cat(hits).any())
        results = memory.Memory(shape=data.ArrayLayout(self.acc_bits, columns), depth=rows, init=[])
        m.submodules.results = results
        row = Signal(range(rows))
        store_port = results.write_port()
        result_port = results.read_port()
        column = Signal.like(self.read_column)
        m.d.sync += column.eq(self.read_column)
        m.d.comb += [
            store_port.addr.eq(rows - 1 - row),
            store_port.en.eq(drain),
            store_port.data.eq(Cat(pes[-1][c].psum_out for c in range(columns))),
            result_port.addr.eq(self.read_row),
            self.result.eq(Array(result_port.data[c] for c in range(columns))[column]),
        ]
        with m.FSM():
            with m.State("idle"):
                m.d.sync += [address.eq(0), row.eq(0)]
                with m.If(self.start):
                    m.d.comb += clear.eq(1)
                    m.next = "run"
            with m.State("run"):
                m.d.comb += [self.busy.eq(1), reading.eq(address < self.steps)]
                m.d.sync += address.eq(address + 1)
                with m.If(address == self.steps + rows + columns + 2):
                    m.next = "drain"
            with m.State("drain"):
                m.d.comb += [self.busy.eq(1), drain.eq(1)]
                m.d.sync += row.eq(row + 1)
                with m.If(row == rows - 1):
                    m.next = "idle"
        return m

    @staticmethod
    def delayed(m: Module, value: Any, cycles: int, name: str) -> Any:
        """Return a value some cycles later."""
        for step in range(cycles):
            after = Signal.like(value, name=f"{name}_delay_{step}")
            m.d.sync += after.eq(value)
            value = after
        return value
