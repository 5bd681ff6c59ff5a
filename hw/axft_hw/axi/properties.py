"""What the AXI3 slave promises, as properties for a model checker.

`SlaveProof` puts the slave between a master and a target that may do anything at all: every input, the reset
included, is free in every cycle, and nothing is assumed of the master, not even that it keeps VALID until READY.
There are three kinds of properties, and only the first says what is promised:

- **promises**, on the two ports alone, against counters and copies that the proof keeps itself;
- **invariants**, on the slave's registers, that tie them to those counters: induction needs them, to start from states
  that exist;
- **covers**, which show that the promises speak of things that happen.
"""

from __future__ import annotations

from amaranth.asserts import AnyConst
from amaranth.hdl import Array, Assert, C, Cat, Cover, Module, Mux, Signal, Value
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out, connect, flipped

from axft_hw.axi.signature import Burst, Response, port_map
from axft_hw.axi.slave import Axi3Slave
from axft_hw.local_bus import READ_LATENCY

__all__ = ["SlaveProof"]

FIRST_BEAT_CYCLES = READ_LATENCY + 1
"""Cycles from the one after the address to the first RVALID."""


def _past(m: Module, value: Value) -> Signal:
    """Return a value one cycle later; 0 in the first cycle."""
    past = Signal(len(Value.cast(value)))
    m.d.sync += past.eq(value)
    return past


def _promise_stable(m: Module, *, valid: Value, ready: Value, payload: Value) -> None:
    """Promise that VALID stays until READY, and what goes with it does not change."""
    waiting = _past(m, valid & ~ready)
    before = _past(m, payload)
    with m.If(waiting):
        m.d.comb += [Assert(valid), Assert(payload == before)]


class _Burst:
    """The proof's own copy of the burst being served, and what the AXI specification says about it."""

    def __init__(self, m: Module, axi: wiring.PureInterface, channel: str) -> None:
        self.open = Signal(name=f"{channel}_open")
        self.start = Signal.like(getattr(axi, f"{channel}addr"), name=f"{channel}_start")
        self.identifier = Signal.like(getattr(axi, f"{channel}id"), name=f"{channel}_identifier")
        self.length = Signal(4, name=f"{channel}_length")
        self.size = Signal(3, name=f"{channel}_size")
        self.type = Signal(2, name=f"{channel}_type")
        self.shape = Cat(self.length, self.size, self.type)
        self.accepted = getattr(axi, f"{channel}valid") & getattr(axi, f"{channel}ready")
        with m.If(self.accepted):
            m.d.sync += [
                self.open.eq(1),
                self.identifier.eq(getattr(axi, f"{channel}id")),
                self.start.eq(getattr(axi, f"{channel}addr")),
                self.length.eq(getattr(axi, f"{channel}len")),
                self.size.eq(getattr(axi, f"{channel}size")),
                self.type.eq(getattr(axi, f"{channel}burst")),
            ]
        self.beats = Signal(5, name=f"{channel}_beats")
        self.bytes = Signal(3, name=f"{channel}_bytes")
        self.refused = Signal(name=f"{channel}_refused")
        odd_wrap = (self.length == 0) | (self.beats & self.length).any() | (self.start & (self.bytes - 1)[:3]).any()
        m.d.comb += [
            self.beats.eq(self.length + 1),
            self.bytes.eq(C(1, 3) << self.size[:2]),
            self.refused.eq((self.size > 2) | (self.type > 2) | ((self.type == Burst.WRAP) & odd_wrap)),
        ]

    def address(self, beat: Value) -> Value:
        """Return the byte address of a beat, from the start address alone (ARM IHI 0022E, section A3.4.1)."""
        start = self.start
        offset = Array([beat, beat << 1, beat << 2])[self.size[:2]]
        # A power of two wherever the burst is allowed.
        block = Array([self.beats, self.beats << 1, self.beats << 2])[self.size[:2]]
        increasing = Mux(beat == 0, start, (start & ~(self.bytes - 1)) + offset)
        wrapping = (start & ~(block - 1)) | ((start + offset) & (block - 1))
        return Mux(self.type == Burst.FIXED, start, Mux(self.type == Burst.WRAP, wrapping, increasing))[: len(start)]

    def word(self, beat: Value) -> Value:
        """Return the address of the word that a beat lies in."""
        return Cat(C(0, 2), self.address(beat)[2:])


class _Writes:
    """Properties of AW, W, B and the writes on the local bus."""

    def __init__(self, m: Module, slave: Axi3Slave) -> None:
        axi, bus = slave.axi, slave.bus
        self.m = m
        self.slave = slave
        self.burst = burst = _Burst(m, axi, "aw")
        self.beat = axi.wvalid & axi.wready
        self.answered = axi.bvalid & axi.bready
        self.stray = axi.wid != burst.identifier
        self.taken = taken = Signal(5, name="write_beats_taken")
        self.wrong = wrong = Signal(name="write_wrong")
        self.age = age = Signal(6, name="write_age")
        masters_turn = (axi.wready & ~axi.wvalid) | (axi.bvalid & ~axi.bready)
        misplaced = axi.wlast != (taken == burst.length)
        with m.If(burst.accepted):
            m.d.sync += [taken.eq(0), wrong.eq(0), age.eq(0)]
        with m.Else():
            m.d.sync += [
                taken.eq(taken + self.beat),
                wrong.eq(wrong | (self.beat & (self.stray | misplaced)) | (bus.write_valid & bus.write_error)),
                age.eq(age + ~masters_turn),
            ]
        with m.If(self.answered):
            m.d.sync += burst.open.eq(0)

    def promise(self) -> None:
        m, burst, taken = self.m, self.burst, self.taken
        axi, bus = self.slave.axi, self.slave.bus
        _promise_stable(m, valid=axi.bvalid, ready=axi.bready, payload=Cat(axi.bid, axi.bresp))
        with m.If(axi.awready):
            m.d.comb += Assert(~burst.open)
        with m.If(axi.wready):
            m.d.comb += [Assert(burst.open), Assert(taken < burst.beats)]
        # One answer per burst: there is one only for an open burst with all its beats, and it closes the burst.
        with m.If(axi.bvalid):
            m.d.comb += [
                Assert(burst.open),
                Assert(taken == burst.beats),
                Assert(axi.bid == burst.identifier),
                Assert(axi.bresp == Mux(self.wrong | burst.refused, Response.SLVERR, Response.OKAY)),
            ]
        # Bounded liveness. Of the cycles after the address that the master does not waste, one goes to each beat and
        # one to the local bus, and then there is an answer; without a burst, addresses are taken from the second
        # cycle on at the latest.
        with m.If(burst.open):
            m.d.comb += Assert(self.age == taken + axi.bvalid)
        refusing = ~burst.open & ~axi.awready
        m.d.comb += Assert(~(refusing & _past(m, refusing)))
        # The local bus gets each beat that it may, once, in the next cycle.
        passes = _past(m, self.beat & ~self.stray & ~burst.refused)
        word = _past(m, Cat(axi.wdata, axi.wstrb))
        m.d.comb += Assert(bus.write_valid == passes)
        with m.If(bus.write_valid):
            m.d.comb += [
                Assert(bus.write_address == burst.word((taken - 1)[:5])),
                Assert(Cat(bus.write_data, bus.write_strobe) == word),
            ]

    def assert_invariants(self) -> None:
        m, slave, burst, taken = self.m, self.slave, self.burst, self.taken
        axi = slave.axi
        states = Cat(axi.awready, axi.wready, slave.write_closing, axi.bvalid)
        m.d.comb += [Assert((states & (states - 1)[:4]) == 0), Assert(burst.open == states[1:].any())]
        with m.If(burst.open):
            m.d.comb += [
                Assert(axi.bid == burst.identifier),
                Assert(Cat(slave.write_length, slave.write_size, slave.write_burst) == burst.shape),
                Assert(slave.write_refused == burst.refused),
                Assert(taken <= burst.beats),
                Assert(axi.wready == (taken < burst.beats)),
            ]
            with m.If(axi.wready):
                m.d.comb += Assert(slave.write_left == burst.length - taken)
                with m.If(~burst.refused):
                    m.d.comb += Assert(slave.write_beat_address == burst.address(taken))
            with m.If(~axi.bvalid):
                m.d.comb += Assert(slave.write_failed == (self.wrong | burst.refused))

    def cover(self) -> None:
        m, burst, axi = self.m, self.burst, self.slave.axi
        fine = self.answered & (axi.bresp == Response.OKAY)
        m.d.comb += [Cover(fine & (burst.type == kind) & (burst.length == 3)) for kind in Burst]
        m.d.comb += [
            Cover(fine & (burst.length == 15)),
            Cover(fine & _past(m, axi.bvalid & ~axi.bready)),
            Cover(self.answered & self.wrong & ~burst.refused),
            Cover(self.answered & burst.refused),
        ]


class _Reads:
    """Properties of AR, R and the reads on the local bus."""

    def __init__(self, m: Module, slave: Axi3Slave) -> None:
        axi, bus = slave.axi, slave.bus
        self.m = m
        self.slave = slave
        self.burst = burst = _Burst(m, axi, "ar")
        self.beat = axi.rvalid & axi.rready
        self.given = given = Signal(5, name="read_beats_given")
        self.asked = asked = Signal(5, name="read_beats_asked")
        self.age = age = Signal(6, name="read_age")
        masters_turn = axi.rvalid & ~axi.rready
        with m.If(burst.accepted):
            m.d.sync += [given.eq(0), asked.eq(0), age.eq(0)]
        with m.Else():
            m.d.sync += [given.eq(given + self.beat), asked.eq(asked + bus.read_valid), age.eq(age + ~masters_turn)]
        with m.If(self.beat & axi.rlast):
            m.d.sync += burst.open.eq(0)

        # What the target returned for any one beat of the burst, which stands for every beat.
        self.watched = Signal(4, name="watched")
        self.watched_asked = Signal(READ_LATENCY + 1, name="watched_asked")
        self.returned = Signal(33, name="watched_returned")
        m.d.comb += [
            self.watched.eq(AnyConst(4)),
            self.watched_asked[0].eq(bus.read_valid & (asked == self.watched)),
        ]
        m.d.sync += self.watched_asked[1:].eq(self.watched_asked)
        with m.If(self.watched_asked[-1]):
            m.d.sync += self.returned.eq(Cat(bus.read_data, bus.read_error))

    def promise(self) -> None:
        m, burst, given, asked = self.m, self.burst, self.given, self.asked
        axi, bus = self.slave.axi, self.slave.bus
        payload = Cat(axi.rid, axi.rdata, axi.rresp, axi.rlast)
        _promise_stable(m, valid=axi.rvalid, ready=axi.rready, payload=payload)
        with m.If(axi.arready):
            m.d.comb += Assert(~burst.open)
        # LEN + 1 beats per burst: the last one is marked, and closes it.
        with m.If(axi.rvalid):
            m.d.comb += [
                Assert(burst.open),
                Assert(given < burst.beats),
                Assert(axi.rid == burst.identifier),
                Assert(axi.rlast == (given == burst.length)),
                Assert((axi.rresp == Response.OKAY) | (axi.rresp == Response.SLVERR)),
            ]
            with m.If(burst.refused):
                m.d.comb += Assert(axi.rresp == Response.SLVERR)
            with m.Elif(given == self.watched):
                m.d.comb += [
                    Assert(axi.rdata == self.returned[:32]),
                    Assert(axi.rresp == Mux(self.returned[32], Response.SLVERR, Response.OKAY)),
                ]
        with m.If(bus.read_valid):
            m.d.comb += [
                Assert(burst.open),
                Assert(~burst.refused),
                Assert(asked < burst.beats),
                Assert(bus.read_address == burst.word(asked)),
            ]
        # Bounded liveness. The first beat comes FIRST_BEAT_CYCLES after the address, then one in every cycle that the
        # master does not waste; without a burst, addresses are taken from the second cycle on at the latest.
        with m.If(burst.open):
            with m.If(axi.rvalid):
                m.d.comb += Assert(self.age == given + FIRST_BEAT_CYCLES)
            with m.Else():
                m.d.comb += [Assert(self.age < FIRST_BEAT_CYCLES), Assert(given == 0)]
        refusing = ~burst.open & ~axi.arready
        m.d.comb += Assert(~(refusing & _past(m, refusing)))

    def assert_invariants(self) -> None:
        m, slave, burst, given = self.m, self.slave, self.burst, self.given
        axi = slave.axi
        queue = slave.queue_valid
        reserved = sum(queue, start=C(0, 1)) + sum(slave.read_pending, start=C(0, 1))
        issued = Signal(5, name="read_beats_issued")
        m.d.comb += [
            issued.eq(given + reserved),
            Assert((queue & (queue + 1)[: len(queue)]) == 0),
            Assert(slave.read_reserved == reserved),
            Assert(reserved <= slave.QUEUE_PLACES),
            Assert(slave.read_busy == burst.open),
        ]
        with m.If(burst.open):
            m.d.comb += [
                Assert(axi.rid == burst.identifier),
                Assert(Cat(slave.read_length, slave.read_size, slave.read_burst) == burst.shape),
                Assert(slave.read_refused == burst.refused),
                Assert(slave.read_unanswered == burst.length - given),
                Assert(issued <= burst.beats),
                Assert(slave.read_asking == (issued < burst.beats)),
                Assert(self.asked == Mux(burst.refused, 0, issued)),
            ]
            with m.If(slave.read_asking):
                m.d.comb += Assert(slave.read_left == burst.length - issued)
                with m.If(~burst.refused):
                    m.d.comb += Assert(slave.read_beat_address == burst.address(issued))
            with m.If(~axi.rvalid):
                pending = Array([0b00, 0b01, Mux(burst.length == 0, 0b10, 0b11)])
                m.d.comb += Assert(slave.read_pending == pending[self.age])
        with m.Else():
            m.d.comb += [Assert(reserved == 0), Assert(~slave.read_asking)]
        self._assert_watched()

    def _assert_watched(self) -> None:
        """Follow the watched word from the target into the queue."""
        m, slave, burst = self.m, self.slave, self.burst
        after = C(0, 1)
        for cycles in range(READ_LATENCY):
            pending = slave.read_pending[cycles]
            here = pending & ~burst.refused & (self.asked - 1 - after == self.watched)
            m.d.comb += Assert(self.watched_asked[cycles + 1] == here)
            after = after + pending
        for place, (data, failed) in enumerate(zip(slave.queue_data, slave.queue_failed, strict=True)):
            with m.If(slave.queue_valid[place]):
                with m.If(burst.refused):
                    m.d.comb += Assert(failed)
                with m.Elif(self.given + place == self.watched):
                    m.d.comb += Assert(Cat(data, failed) == self.returned)

    def cover(self) -> None:
        m, burst, axi = self.m, self.burst, self.slave.axi
        last = self.beat & axi.rlast
        fine = last & (axi.rresp == Response.OKAY)
        m.d.comb += [Cover(fine & (burst.type == kind) & (burst.length == 3)) for kind in Burst]
        m.d.comb += [
            Cover(fine & (burst.length == 15)),
            Cover(fine & (burst.length == 7) & _past(m, axi.rvalid & ~axi.rready)),
            Cover(last & burst.refused & (burst.length == 2)),
            Cover(self.slave.queue_valid.all()),
        ]


class SlaveProof(wiring.Component):
    """The slave with everything around it free, and its properties.

    Parameters
    ----------
    slave : Axi3Slave
        The slave to prove.
    invariants : bool
        Whether to have the invariants too. Without them only what a master and a target can see is checked.

    Members
    -------
    axi, bus
        As of the slave.
    """

    def __init__(self, slave: Axi3Slave, *, invariants: bool = True) -> None:
        self.slave = slave
        self.invariants = invariants
        super().__init__({"axi": In(slave.axi.signature.flip()), "bus": Out(slave.bus.signature)})

    @property
    def ports(self) -> dict[str, Value]:
        """The ports by name, for `axft_hw.build.verilog.to_rtlil`."""
        return {**port_map(self.axi), **port_map(self.bus, "bus")}

    def elaborate(self, platform: object) -> Module:
        """Build the slave and the logic that watches it."""
        m = Module()
        m.submodules.slave = self.slave
        connect(m, flipped(self.axi), self.slave.axi)
        connect(m, self.slave.bus, flipped(self.bus))
        for side in (_Writes(m, self.slave), _Reads(m, self.slave)):
            side.promise()
            side.cover()
            if self.invariants:
                side.assert_invariants()
        return m
