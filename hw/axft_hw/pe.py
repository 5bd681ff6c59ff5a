"""One processing element (PE) of the systolic array: operand registers, multiplier, accumulator, fault gates."""

from __future__ import annotations

from amaranth.hdl import Cat, Const, Module, Mux, Signal, Value, signed
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.multiplier import multiply_operands
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.scanmap import ScanMap

__all__ = ["FORCE_CODES", "FaultGate", "ProcessingElement"]

#: What the codes on `force` and `force_psum` do to armed bits.
FORCE_CODES = {"nothing": 0, "flip": 1, "stuck_at_0": 2, "stuck_at_1": 3}


class ProcessingElement(wiring.Component):
    """One PE: passes operands on to the south and the east, multiplies them, adds the product to its partial sum.

    Latency: operands that arrive in one enabled cycle are on the outgoing lines, and in the multiplier, in the next
    one, and their product is in `psum` two enabled cycles later. Throughput: one product per enabled cycle.

    The stages, for operands in the input registers in cycle t:

    1. In cycle t: fault gates of the lines, of the multiplier's own operands and of the product; its end loads
       `product`, with 0 if the step is not valid.
    2. In the next enabled cycle: the sum and its fault gate; its end loads `psum`.

    Reset: the domain's reset empties the pipeline (`valid`, `product`, `valid_product`) and sets `psum` to 0; all else
    keeps its value. All registers power up as 0.

    A drain uses the adder of stage 2, whose other operand is then 0: draining is right only while `product` is 0, which
    it is as soon as stage 2 of the last valid step is done.

    Parameters
    ----------
    hardware : HardwareConfig

    Attributes
    ----------
    hardware : HardwareConfig
    weight, activation : Signal
        The input registers.
    valid : Signal
        The register that says whether they hold a valid step's operands.
    product : Signal
        The product register.
    valid_product : Signal
        Whether it holds a valid step's product; only in hardware with the site psum, which alone needs it.
    armed : Signal
        The scan chain.

    Members
    -------
    weight_north : In(signed(weight_bits))
        Weight from the north.
    activation_west : In(signed(activation_bits))
        Activation from the west.
    valid_west : In(1)
        Whether the activation from the west is one of a step.
    column_valid : In(1)
        Whether this PE's column lies inside the tile; stands still while a tile runs.
    enable : In(1)
        Clock enable of everything but clear, drain and the scan chain.
    clear : In(1)
        Set `psum` to 0.
    drain : In(1)
        Load `psum` from the south.
    psum_south : In(signed(psum_bits))
        `psum` of the PE to the south.
    force : In(2)
        What to do with armed bits of operands and products in this cycle: see `FORCE_CODES`.
    force_psum : In(2)
        The same for `psum`: `force` of the enabled cycle before.
    scan_in, scan_shift : In(1)
        Serial input of the scan chain, and its clock enable.
    observe : In(pe_scan_bits)
        Positions of the scan chain whose bits `hit` tells about.
    weight_south : Out(signed(weight_bits))
        Weight to the south, behind its fault gate.
    activation_east : Out(signed(activation_bits))
        Activation to the east, behind its fault gate.
    valid_east : Out(1)
        `valid_west` and `column_valid`, registered.
    psum : Out(signed(psum_bits))
        The partial sum register.
    scan_out : Out(1)
        Serial output of the scan chain.
    hit : Out(1)
        Whether, at a valid step, an armed and observed bit differs from what it is forced to; means nothing unless
        `enable` is high. Without a counter in the hardware always 0.
    """

    def __init__(self, hardware: HardwareConfig) -> None:
        self.hardware = hardware
        super().__init__(
            {
                "weight_north": In(signed(hardware.weight_bits)),
                "activation_west": In(signed(hardware.activation_bits)),
                "valid_west": In(1),
                "column_valid": In(1),
                "enable": In(1),
                "clear": In(1),
                "drain": In(1),
                "psum_south": In(signed(hardware.psum_bits)),
                "force": In(2),
                "force_psum": In(2),
                "scan_in": In(1),
                "scan_shift": In(1),
                "observe": In(hardware.pe_scan_bits),
                "weight_south": Out(signed(hardware.weight_bits)),
                "activation_east": Out(signed(hardware.activation_bits)),
                "valid_east": Out(1),
                "psum": Out(signed(hardware.psum_bits), init=0),
                "scan_out": Out(1),
                "hit": Out(1),
            }
        )
        self.weight = Signal(signed(hardware.weight_bits), reset_less=True)
        self.activation = Signal(signed(hardware.activation_bits), reset_less=True)
        self.valid = Signal()
        self.product = Signal(signed(hardware.product_bits))
        self.valid_product = Signal()
        self.armed = Signal(hardware.pe_scan_bits, reset_less=True)

    def elaborate(self, platform: object) -> Module:
        """Return the registers, the two stages and the scan chain."""
        m = Module()
        hardware = self.hardware
        gates = _Gates(m, hardware, self.armed, self.observe)

        with m.If(self.enable):
            m.d.sync += [self.weight.eq(self.weight_north), self.activation.eq(self.activation_west)]
        # In this form the column's part is a reset, which all PEs of the column share.
        with m.If(~self.column_valid):
            m.d.sync += self.valid.eq(0)
        with m.Elif(self.enable):
            m.d.sync += self.valid.eq(self.valid_west)
        m.d.comb += self.valid_east.eq(self.valid)

        m.d.comb += self.weight_south.eq(gates.forced(Site.WEIGHT, self.weight, self.force))
        m.d.comb += self.activation_east.eq(gates.forced(Site.ACTIVATION, self.activation, self.force))
        unforced = multiply_operands(
            m,
            hardware,
            gates.forced(Site.WEIGHT_OPERAND, self.weight_south, self.force),
            gates.forced(Site.ACTIVATION_OPERAND, self.activation_east, self.force),
        )
        # The next stage adds in every enabled cycle: the product of a step that is not valid is 0.
        with m.If(self.enable & ~self.valid):
            m.d.sync += self.product.eq(0)
        with m.Elif(self.enable):
            m.d.sync += self.product.eq(gates.forced(Site.PRODUCT, unforced, self.force))
        hit = gates.changed(self.valid)

        # The adder's second operand is what its look-up tables choose: while draining, the sum to the south plus 0.
        total = Signal(signed(hardware.psum_bits))
        m.d.comb += total.eq(self.product + Mux(self.drain, self.psum_south, self.psum))
        if Site.PSUM in hardware.sites:
            with m.If(self.enable):
                m.d.sync += self.valid_product.eq(self.valid)
            total = gates.forced(Site.PSUM, total, Mux(self.valid_product, self.force_psum, 0))
            hit |= gates.changed(self.valid_product)
        with m.If(self.clear):
            m.d.sync += self.psum.eq(0)
        with m.Elif(self.enable | self.drain):
            m.d.sync += self.psum.eq(total)

        m.d.comb += self.scan_out.eq(gates.scan_chain(self.scan_in, self.scan_shift))
        m.d.comb += self.hit.eq(hit)
        return m


class FaultGate(wiring.Component):
    """Does to the armed bits of a signal what a code of `FORCE_CODES` says, and tells which of them it changes.

    A component of its own because synthesis should not see through it. In this form a bit takes one site of the device:
    a look-up table of four inputs for the bit behind the gate, and one of the same four and `observe` for whether it
    differs. A tool that knows more mixes these tables with those around them, which then take sites of their own.

    Combinational: latency 0 cycles, no reset.

    Parameters
    ----------
    bits : int

    Attributes
    ----------
    bits : int

    Members
    -------
    before, armed : In(bits)
        The signal, and which of its bits are armed.
    force : In(2)
        What to do with these: see `FORCE_CODES`.
    observe : In(bits)
        The bits whose changes `changed` tells.
    behind : Out(bits)
        The signal behind the gate.
    changed : Out(bits)
        Which observed bits differ from those before the gate.
    """

    def __init__(self, bits: int) -> None:
        self.bits = bits
        super().__init__(
            {
                "before": In(bits),
                "armed": In(bits),
                "force": In(2),
                "observe": In(bits),
                "behind": Out(bits),
                "changed": Out(bits),
            }
        )

    def elaborate(self, platform: object) -> Module:
        """Return two functions for each bit."""
        m = Module()
        clear, change = Mux(self.force[1], self.armed, 0), Mux(self.force[0], self.armed, 0)
        m.d.comb += [
            self.behind.eq((self.before & ~clear) ^ change),
            self.changed.eq((self.before ^ self.behind) & self.observe),
        ]
        return m


class _Gates:
    """The fault gates of a PE that this hardware has, and the scan chain that arms them."""

    def __init__(self, m: Module, hardware: HardwareConfig, armed: Signal, observe: Value) -> None:
        self._m = m
        self._hardware = hardware
        self._offsets = ScanMap(hardware).offsets
        self._armed = armed
        self._observe = observe
        self._changed: list[Value] = []  # of the gates made since the last call of `changed`

    def forced(self, site: Site, value: Value, force: Value) -> Value:
        """Return what is behind the gate of a site: the value itself where the hardware lacks the site."""
        if site not in self._offsets:
            return value
        start = self._offsets[site]
        place = slice(start, start + len(self._hardware.site_range(site)))
        behind = Signal(value.shape(), name=f"{site.value}_forced")
        self._m.submodules[f"{site.value}_gate"] = gate = FaultGate(len(value))
        self._m.d.comb += [
            gate.before.eq(value),
            gate.armed.eq(self._armed[place]),
            gate.force.eq(force),
            gate.observe.eq(self._observe[place]),
            behind.eq(gate.behind),
        ]
        self._changed.append(gate.changed)
        return behind

    def changed(self, valid: Value) -> Value:
        """Return whether, at a valid step, an observed bit changes at a gate made since the last call."""
        made, self._changed = self._changed, []
        return Cat(*made).any() & valid if self._hardware.counter else Const(0, 1)

    def scan_chain(self, scan_in: Value, scan_shift: Value) -> Value:
        """Make the chain; return its output."""
        if not len(self._armed):
            return scan_in
        with self._m.If(scan_shift):
            self._m.d.sync += self._armed.eq(Cat(scan_in, self._armed[:-1]))
        return self._armed[-1]
