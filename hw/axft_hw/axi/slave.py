"""The AXI3 slave."""

from __future__ import annotations

from amaranth.hdl import C, Cat, Module, Mux, Signal
from amaranth.lib import wiring
from amaranth.lib.wiring import In, Out

from axft_hw.axi.burst import next_address, refused
from axft_hw.axi.signature import Axi3Signature, Response
from axft_hw.local_bus import READ_LATENCY, LocalBusSignature

__all__ = ["Axi3Slave"]


class Axi3Slave(wiring.Component):
    """Serve AXI3 bursts from a local bus that never stalls; answer every one.

    One write burst and one read burst at a time, independent of each other, of every type, length and size. The
    answer is SLVERR, per beat for reads and per burst for writes, where a target reports an error, and for what AXI3
    forbids: a burst that `refused` names (nothing of it reaches the local bus), WID unlike AWID (that beat is not
    written), WLAST at a wrong beat. Such bursts too take exactly the beats that LEN announces. LOCK, CACHE and PROT
    do not matter; an exclusive access is answered OKAY, that is, not exclusive. A read gives whole words whatever
    its size, a write obeys the strobes alone.

    All outputs are functions of registers: nothing combinational leads from the bus's inputs to its outputs.

    **Latency.** Write of n beats: the address in cycle 0, beats in cycles 1 to n, each on the local bus in the cycle
    after its handshake, BVALID in cycle n + 2; the next address from cycle n + 3 on. What a write changed is there
    before BVALID. Read: the address in cycle 0, RVALID in cycles 4 to n + 3, the next address from cycle n + 4 on.

    **Throughput.** One beat per cycle inside a burst in both directions; RVALID does not fall before RLAST.

    **Reset.** Drops everything, with all VALID and READY low; addresses are taken from the second cycle after it.

    Parameters
    ----------
    address_bits : int
        Width of the byte addresses, 7 to 32; 20 is 1 MiB.
    id_bits : int
        Width of the IDs, 1 to 32.

    Members
    -------
    axi : In(Axi3Signature(address_bits, id_bits))
        The AXI3 port.
    bus : Out(LocalBusSignature(address_bits))
        The local bus.

    Attributes
    ----------
    write_length, write_size, write_burst, read_length, read_size, read_burst : Signal
        LEN, SIZE and BURST of the burst that is being served.
    write_refused, read_refused : Signal
        AXI3 forbids it.
    write_beat_address, read_beat_address : Signal
        Byte address of the next beat to come (write) or to ask for (read).
    write_left, read_left : Signal
        Beats after that one.
    write_closing : Signal
        The last beat is on the local bus.
    write_failed : Signal
        Something in the burst was wrong so far.
    read_busy, read_asking : Signal
        A read burst is being served; some of its beats have not been asked for.
    read_unanswered : Signal
        Beats after the one that R shows or will show.
    read_pending : Signal
        Bit i: a word was asked for i + 1 cycles ago.
    read_reserved : Signal
        Places in the queue that are taken, or will be by pending words.
    queue_valid, queue_data, queue_failed : Signal, list of Signal
        The queue that R shows the head of; it takes what arrives while the master is not ready.

    Raises
    ------
    ConfigError
        If a width is out of range.
    """

    QUEUE_PLACES = READ_LATENCY + 2
    """Places for words: one cycle to queue a word and one to see its place free again come on top of the latency."""

    def __init__(self, *, address_bits: int = 20, id_bits: int = 12) -> None:
        super().__init__(
            {
                "axi": In(Axi3Signature(address_bits=address_bits, id_bits=id_bits)),
                "bus": Out(LocalBusSignature(address_bits)),
            }
        )
        places = self.QUEUE_PLACES
        self.write_length = Signal(4)
        self.write_size = Signal(3)
        self.write_burst = Signal(2)
        self.write_refused = Signal()
        self.write_beat_address = Signal(address_bits)
        self.write_left = Signal(4)
        self.write_closing = Signal()
        self.write_failed = Signal()
        self.read_length = Signal(4)
        self.read_size = Signal(3)
        self.read_burst = Signal(2)
        self.read_refused = Signal()
        self.read_beat_address = Signal(address_bits)
        self.read_left = Signal(4)
        self.read_busy = Signal()
        self.read_asking = Signal()
        self.read_unanswered = Signal(4)
        self.read_pending = Signal(READ_LATENCY)
        self.read_reserved = Signal(range(places + 1))
        self.queue_valid = Signal(places)
        self.queue_data = [Signal(32, name=f"queue_data_{place}") for place in range(places)]
        self.queue_failed = [Signal(name=f"queue_failed_{place}") for place in range(places)]

    def elaborate(self, platform: object) -> Module:
        """Build the logic."""
        m = Module()
        self._elaborate_write(m)
        self._elaborate_read(m)
        return m

    def _elaborate_write(self, m: Module) -> None:
        axi, bus = self.axi, self.bus
        beat = Signal()
        last = Signal()
        stray = Signal()
        failed = Signal()
        m.d.comb += [
            beat.eq(axi.wvalid & axi.wready),
            last.eq(self.write_left == 0),
            stray.eq(axi.wid != axi.bid),
            failed.eq(self.write_failed | (bus.write_valid & bus.write_error)),
        ]
        m.d.sync += [
            bus.write_valid.eq(beat & ~self.write_refused & ~stray),
            bus.write_address.eq(Cat(C(0, 2), self.write_beat_address[2:])),
            bus.write_data.eq(axi.wdata),
            bus.write_strobe.eq(axi.wstrb),
            self.write_failed.eq(failed | (beat & (stray | (axi.wlast != last)))),
            self.write_closing.eq(beat & last),
        ]

        # Of awready, wready, write_closing and bvalid one is high; none right after reset, so that no address is
        # taken while the reset lasts.
        with m.If(~(axi.awready | axi.wready | self.write_closing | axi.bvalid)):
            m.d.sync += axi.awready.eq(1)
        with m.If(axi.awready & axi.awvalid):
            forbidden = Signal()
            m.d.comb += forbidden.eq(refused(axi.awaddr, length=axi.awlen, size=axi.awsize, burst=axi.awburst))
            m.d.sync += [
                axi.awready.eq(0),
                axi.wready.eq(1),
                axi.bid.eq(axi.awid),
                self.write_beat_address.eq(axi.awaddr),
                self.write_left.eq(axi.awlen),
                self.write_failed.eq(forbidden),
                self.write_length.eq(axi.awlen),
                self.write_size.eq(axi.awsize),
                self.write_burst.eq(axi.awburst),
                self.write_refused.eq(forbidden),
            ]
        with m.If(beat):
            m.d.sync += [
                self.write_beat_address.eq(
                    next_address(
                        self.write_beat_address, length=self.write_length, size=self.write_size, burst=self.write_burst
                    )
                ),
                self.write_left.eq(self.write_left - 1),
                axi.wready.eq(~last),
            ]
        with m.If(self.write_closing):
            m.d.sync += [axi.bvalid.eq(1), axi.bresp.eq(Mux(failed, Response.SLVERR, Response.OKAY))]
        with m.If(axi.bvalid & axi.bready):
            m.d.sync += [axi.bvalid.eq(0), axi.awready.eq(1)]

    def _elaborate_read(self, m: Module) -> None:
        axi, bus = self.axi, self.bus
        ask = Signal()
        arrive = Signal()
        take = Signal()
        # A word is asked for only when a place in the queue is kept for it: the target cannot be told to wait.
        m.d.comb += [
            ask.eq(self.read_asking & (self.read_reserved != self.QUEUE_PLACES)),
            arrive.eq(self.read_pending[-1]),
            take.eq(axi.rvalid & axi.rready),
            bus.read_valid.eq(ask & ~self.read_refused),
            bus.read_address.eq(Cat(C(0, 2), self.read_beat_address[2:])),
        ]
        m.d.sync += [
            self.read_pending.eq(Cat(ask, self.read_pending)),
            self.read_reserved.eq(self.read_reserved + ask - take),
        ]

        with m.If(~(axi.arready | self.read_busy)):
            m.d.sync += axi.arready.eq(1)
        with m.If(axi.arready & axi.arvalid):
            m.d.sync += [
                axi.arready.eq(0),
                axi.rid.eq(axi.arid),
                self.read_busy.eq(1),
                self.read_asking.eq(1),
                self.read_beat_address.eq(axi.araddr),
                self.read_left.eq(axi.arlen),
                self.read_unanswered.eq(axi.arlen),
                self.read_length.eq(axi.arlen),
                self.read_size.eq(axi.arsize),
                self.read_burst.eq(axi.arburst),
                self.read_refused.eq(refused(axi.araddr, length=axi.arlen, size=axi.arsize, burst=axi.arburst)),
            ]
        with m.If(ask):
            m.d.sync += [
                self.read_beat_address.eq(
                    next_address(
                        self.read_beat_address, length=self.read_length, size=self.read_size, burst=self.read_burst
                    )
                ),
                self.read_left.eq(self.read_left - 1),
                self.read_asking.eq(self.read_left != 0),
            ]
        with m.If(take):
            m.d.sync += self.read_unanswered.eq(self.read_unanswered - 1)
            with m.If(axi.rlast):
                m.d.sync += [self.read_busy.eq(0), axi.arready.eq(1)]

        self._elaborate_queue(m, arrive=arrive, take=take)
        m.d.comb += [
            axi.rvalid.eq(self.queue_valid[0]),
            axi.rdata.eq(self.queue_data[0]),
            axi.rresp.eq(Mux(self.queue_failed[0], Response.SLVERR, Response.OKAY)),
            axi.rlast.eq(self.read_unanswered == 0),
        ]

    def _elaborate_queue(self, m: Module, *, arrive: Signal, take: Signal) -> None:
        data = Mux(self.read_refused, 0, self.bus.read_data)
        failed = self.read_refused | self.bus.read_error
        with m.If(arrive & ~take):
            m.d.sync += self.queue_valid.eq(Cat(C(1, 1), self.queue_valid))
        with m.Elif(take & ~arrive):
            m.d.sync += self.queue_valid.eq(self.queue_valid[1:])
        # An empty place follows whatever is on the bus; the word is there when its place becomes valid.
        for place in range(self.QUEUE_PLACES):
            with m.If(take | ~self.queue_valid[place]):
                m.d.sync += [self.queue_data[place].eq(data), self.queue_failed[place].eq(failed)]
        for place, behind in enumerate(range(1, self.QUEUE_PLACES)):
            with m.If(take & self.queue_valid[behind]):
                m.d.sync += [
                    self.queue_data[place].eq(self.queue_data[behind]),
                    self.queue_failed[place].eq(self.queue_failed[behind]),
                ]
