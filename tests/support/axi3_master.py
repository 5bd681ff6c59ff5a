"""An AXI3 master for the Amaranth simulator: handshakes beat by beat, cycle numbers kept."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

FIXED, INCR, WRAP = 0, 1, 2
OKAY, SLVERR = 0, 2


@dataclass(slots=True)
class Written:
    """How a write burst went; cycles are those of the handshakes."""

    response: int = -1
    identifier: int = -1
    address_cycle: int = -1
    beat_cycles: list[int] = field(default_factory=list)
    response_cycle: int = -1


@dataclass(slots=True)
class Read:
    """What a read burst gave; cycles are those of the handshakes."""

    words: list[int] = field(default_factory=list)
    responses: list[int] = field(default_factory=list)
    identifiers: list[int] = field(default_factory=list)
    lasts: list[int] = field(default_factory=list)
    address_cycle: int = -1
    beat_cycles: list[int] = field(default_factory=list)


class Axi3Master:
    """One direction of a master; a simulation has one per testbench process.

    `pause` is asked before each handshake and answers how many cycles to hold VALID or READY back.
    """

    def __init__(self, ctx: Any, axi: Any, pause: Callable[[], int] = lambda: 0) -> None:
        self.ctx = ctx
        self.axi = axi
        self.pause = pause
        self.cycle = 0

    async def tick(self, cycles: int = 1) -> None:
        """Let cycles pass."""
        for _ in range(cycles):
            await self.ctx.tick()
            self.cycle += 1

    async def send(self, channel: str, **payload: int) -> int:
        """Hand something over; return the cycle in which it was taken."""
        await self.tick(self.pause())
        for name, value in payload.items():
            self.ctx.set(getattr(self.axi, channel + name), value)
        self.ctx.set(getattr(self.axi, f"{channel}valid"), 1)
        for _ in range(200):
            taken = self.ctx.get(getattr(self.axi, f"{channel}ready"))
            await self.tick()
            if taken:
                self.ctx.set(getattr(self.axi, f"{channel}valid"), 0)
                return self.cycle - 1
        raise AssertionError(f"{channel}: not taken in 200 cycles")

    async def receive(self, channel: str, *names: str) -> tuple[int, list[int]]:
        """Take something over; return the cycle and the signals named. What waits must not change."""
        ready = getattr(self.axi, f"{channel}ready")
        valid = getattr(self.axi, f"{channel}valid")
        signals = [getattr(self.axi, channel + name) for name in names]
        shown: list[int] | None = None
        hold = self.pause()
        for waited in range(200):
            self.ctx.set(ready, waited >= hold)
            given = self.ctx.get(valid)
            values = [self.ctx.get(signal) for signal in signals]
            if shown is not None:
                assert given == 1, f"{channel}: VALID fell before READY"
                assert values == shown, f"{channel}: changed before READY"
            await self.tick()
            if given and waited >= hold:
                self.ctx.set(ready, 0)
                return self.cycle - 1, values
            if given:
                shown = values
        raise AssertionError(f"{channel}: nothing in 200 cycles")

    async def write(
        self,
        address: int,
        words: Sequence[int],
        *,
        identifier: int = 0,
        strobes: Sequence[int] | None = None,
        size: int = 2,
        burst: int = INCR,
        wids: Sequence[int] | None = None,
        lasts: Sequence[int] | None = None,
    ) -> Written:
        """Write a burst; `wids` and `lasts` are what the beats say when they say it wrongly."""
        count = len(words)
        done = Written()
        done.address_cycle = await self.send("aw", id=identifier, addr=address, len=count - 1, size=size, burst=burst)
        for beat, word in enumerate(words):
            done.beat_cycles.append(
                await self.send(
                    "w",
                    id=wids[beat] if wids else identifier,
                    data=word,
                    strb=strobes[beat] if strobes else 0b1111,
                    last=lasts[beat] if lasts else beat == count - 1,
                )
            )
        done.response_cycle, (done.identifier, done.response) = await self.receive("b", "id", "resp")
        return done

    async def read(
        self, address: int, count: int = 1, *, identifier: int = 0, size: int = 2, burst: int = INCR
    ) -> Read:
        """Read a burst of `count` beats."""
        done = Read()
        done.address_cycle = await self.send("ar", id=identifier, addr=address, len=count - 1, size=size, burst=burst)
        for _ in range(count):
            cycle, values = await self.receive("r", "data", "resp", "id", "last")
            done.beat_cycles.append(cycle)
            for into, value in zip((done.words, done.responses, done.identifiers, done.lasts), values, strict=True):
                into.append(value)
        return done
