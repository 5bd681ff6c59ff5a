"""Random designs on the compiled model and Amaranth's simulator: ``python -m support.random_designs --count N``."""

from __future__ import annotations

import argparse
import sys
from typing import Any

import numpy as np
from amaranth.hdl import Array, Cat, Const, Module, Mux, Shape, Signal, Value
from amaranth.lib import memory, wiring
from amaranth.lib.wiring import In, Out
from amaranth.sim import Simulator

from axft_hw.sim.compile import FLAGS
from axft_hw.sim.model import build_text, netlist_of
from axft_hw.sim.table import TABLE_HARNESS, run_table

__all__ = ["QUICK", "RandomDesign", "difference", "random_stimulus", "simulated"]

_WIDEST = 200  # bits of an intermediate value
QUICK = tuple("-O1" if flag == "-O3" else flag for flag in FLAGS)


class _Expressions:
    """Random expressions over a growing pool of values."""

    def __init__(self, rng: np.random.Generator, widest: int) -> None:
        self.rng = rng
        self.widest = widest
        self.pool: list[Value] = []

    def below(self, limit: int) -> int:
        return int(self.rng.integers(limit))

    def pick(self) -> Value:
        if self.below(8) == 0:
            return self.constant()
        recent = self.below(2) and len(self.pool) > 6
        return self.pool[-1 - self.below(6)] if recent else self.pool[self.below(len(self.pool))]

    def constant(self) -> Value:
        width = 1 + self.below(12)
        value = int(self.rng.integers(1 << width))
        return Const(value - (1 << width - 1), Shape(width, True)) if self.below(3) == 0 else Const(value, width)

    def short(self, value: Value, width: int) -> Value:
        """Cut a value that is too wide; half of what is cut keeps its sign."""
        if len(value) <= width:
            return value
        start = self.below(len(value) - width + 1)
        part = value[start : start + width]
        return part.as_signed() if self.below(2) else part

    def narrow(self) -> Value:
        return self.short(self.pick(), 1 + self.below(6)).as_unsigned()

    def bit(self) -> Value:
        value = self.pick()
        return value[self.below(len(value))] if len(value) else Const(1, 1)

    def make(self) -> Value:
        # Parts are of `Cat`: past the end of what is or was signed, Amaranth's simulator and its netlist disagree.
        a, b = self.pick(), self.pick()
        choices: list[Any] = [
            lambda: a + b,
            lambda: a - b,
            lambda: -a,
            lambda: self.short(a, 70) * self.short(b, 60),
            lambda: a & b,
            lambda: a | b,
            lambda: a ^ b,
            lambda: ~a,
            lambda: a == b,
            lambda: a != b,
            lambda: a < b,
            lambda: a <= b,
            lambda: a > b,
            lambda: a >= b,
            lambda: Mux(self.bit(), a, b),
            lambda: Cat(a, b, self.pick()),
            lambda: a << self.narrow(),
            lambda: a >> self.short(b.as_unsigned(), 1 + self.below(9)).as_unsigned(),
            lambda: self.short(a, 30) // self.short(b, 30),
            lambda: self.short(a, 30) % self.short(b, 30),
            a.any,
            a.all,
            a.xor,
            a.bool,
            lambda: a.as_signed() if len(a) else a,
            a.as_unsigned,
            lambda: a.replicate(1 + self.below(4)),
            lambda: Cat(a).bit_select(self.narrow(), 1 + self.below(min(len(a), 70))) if len(a) else a,
            lambda: Cat(a).word_select(self.narrow(), 1 + self.below(min(len(a), 9))) if len(a) else a,
            lambda: Value.cast(Array([self.pick() for _ in range(2 + self.below(6))])[self.narrow()]),
            lambda: a.rotate_left(self.below(len(a))) if len(a) else a,
            lambda: self.short(a, 1 + self.below(90)),
            self.bit,
        ]
        return self.short(choices[self.below(len(choices))](), self.widest)

    def grow(self, count: int) -> None:
        for _ in range(count):
            self.pool.append(self.make())

    def assign(self, m: Module, domain: Any, target: Signal, depth: int) -> None:
        """Assign to a signal under random conditions, whole or in parts."""
        shape = self.below(6)
        if depth == 0 or shape < 2:
            part: Any = target
            if self.below(3) == 0 and len(target) > 1:
                start = self.below(len(target))
                part = target[start : start + 1 + self.below(len(target) - start)]
                if self.below(3) == 0:
                    part = target.bit_select(self.narrow(), 1 + self.below(min(len(target), 9)))
            domain += part.eq(self.pick())
        elif shape < 4:
            with m.If(self.bit()):
                self.assign(m, domain, target, depth - 1)
            if self.below(2):
                with m.Elif(self.pick().any()):
                    self.assign(m, domain, target, depth - 1)
            if self.below(2):
                with m.Else():
                    self.assign(m, domain, target, depth - 1)
        else:
            select = self.narrow()
            with m.Switch(select):
                for _ in range(1 + self.below(6)):
                    patterns = [
                        "".join("01-"[self.below(5) % 3] for _ in range(len(select))) for _ in range(1 + self.below(2))
                    ]
                    with m.Case(*patterns):
                        self.assign(m, domain, target, depth - 1)
                if self.below(2):
                    with m.Default():
                        self.assign(m, domain, target, depth - 1)
        if depth and self.below(3) == 0:
            self.assign(m, domain, target, depth - 1)


def _shape(rng: np.random.Generator, widest: int) -> Shape:
    limit = widest if rng.integers(6) == 0 else min(widest, 20)
    return Shape(1 + int(rng.integers(limit)), bool(rng.integers(2)))


class _Body(wiring.Component):
    """Random logic with registers and maybe a memory; `seed` decides all of it, so equal seeds are equal modules."""

    def __init__(self, seed: int, inputs: list[Shape], outputs: int, *, size: int, widest: int) -> None:
        self.seed, self.size, self.widest, self.shapes = seed, size, widest, inputs
        rng = np.random.default_rng([seed, 1])
        self.out_shapes = [_shape(rng, widest) for _ in range(outputs)]
        members = {f"i{k}": In(shape) for k, shape in enumerate(inputs)}
        members |= {f"o{k}": Out(shape) for k, shape in enumerate(self.out_shapes)}
        super().__init__(members)

    def fill(self, m: Module, pool: list[Value]) -> _Expressions:
        """Add registers, logic and a memory."""
        make = _Expressions(np.random.default_rng([self.seed, 2]), self.widest)
        registers = []
        for k in range(1 + make.below(4)):
            shape = _shape(make.rng, self.widest)
            init = make.below(1 << min(shape.width, 30))
            init = Const(init, shape).value
            registers.append(Signal(shape, init=init, name=f"r{k}", reset_less=make.below(3) == 0))
        make.pool = [*pool, *registers]
        make.grow(self.size // 2)
        if make.below(3) == 0:
            self.memory(m, make)
        for k in range(make.below(4)):
            target = Signal(_shape(make.rng, self.widest), init=make.below(2), name=f"c{k}")
            make.assign(m, m.d.comb, target, 3)
            make.pool.append(target)
        make.grow(self.size // 2)
        for register in registers:
            make.assign(m, m.d.sync, register, 3)
            make.pool.append(register)
        return make

    def memory(self, m: Module, make: _Expressions) -> None:
        width = 1 + make.below(min(self.widest, 90))
        depth = 1 + make.below(12)
        store = m.submodules.store = memory.Memory(
            shape=width, depth=depth, init=[make.below(1 << min(width, 30)) for _ in range(make.below(depth + 1))]
        )
        granularity = next((g for g in (1, 3, 4, 8) if width % g == 0 and make.below(3) == 0), None)
        write = store.write_port(granularity=granularity)
        m.d.comb += [write.addr.eq(make.narrow()), write.data.eq(make.pick()), write.en.eq(make.pick())]
        for _ in range(1 + make.below(2)):
            kind = make.below(3)
            port = (
                store.read_port(domain="comb") if kind == 0 else store.read_port(transparent_for=[write] * (kind - 1))
            )
            m.d.comb += port.addr.eq(make.narrow())
            if kind:
                m.d.comb += port.en.eq(make.bit())
            make.pool.append(port.data)

    def elaborate(self, platform: Any) -> Module:
        """Build the module."""
        m = Module()
        make = self.fill(m, [getattr(self, f"i{k}") for k in range(len(self.shapes))])
        for k in range(len(self.out_shapes)):
            m.d.comb += getattr(self, f"o{k}").eq(make.pick())
        return m


class RandomDesign(_Body):
    """Random logic around groups of equal modules: broadcast inputs, chains, rings through registers, wide words."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng([seed, 0])
        self.lanes = int(rng.integers(4, 12)) if rng.integers(4) else int(rng.integers(1, 4))
        self.wide = int(rng.integers(2)) * _WIDEST
        shapes = [_shape(rng, max(self.wide, 24)) for _ in range(2 + int(rng.integers(3)))]
        super().__init__(seed, shapes, 8, size=6 + int(rng.integers(24)), widest=max(self.wide, 24))

    def elaborate(self, platform: Any) -> Module:
        """Build the design."""
        m = Module()
        rng = np.random.default_rng([self.seed, 3])
        make = _Expressions(np.random.default_rng([self.seed, 4]), self.widest)
        make.pool = [getattr(self, f"i{k}") for k in range(len(self.shapes))]
        make.grow(4)
        results: list[Value] = []
        for group in range(1 + int(rng.integers(2))):
            results += self.group(m, rng, make, group)
        outer = self.fill(m, [*make.pool, *results])
        if results:
            results.append(Cat(results)[: self.widest * 4])
            results.append(Cat(results[0] for _ in range(3)).any())
        for k in range(len(self.out_shapes)):
            value = results[int(rng.integers(len(results)))] if k % 2 and results else outer.pick()
            if len(value) > self.out_shapes[k].width:
                value = value.xor() if int(rng.integers(4)) == 0 else outer.short(value, self.out_shapes[k].width)
            m.d.comb += getattr(self, f"o{k}").eq(value)
        return m

    def group(self, m: Module, rng: np.random.Generator, make: _Expressions, number: int) -> list[Value]:
        """Add equal modules; how each input is fed is drawn once for all of them."""
        inputs = [
            _shape(rng, 70 if self.wide and rng.integers(5) == 0 else 12) for _ in range(1 + int(rng.integers(3)))
        ]
        seed = int(rng.integers(1 << 30))
        size = 3 + int(rng.integers(10))
        lanes = [_Body(seed, inputs, 3, size=size, widest=80 if self.wide else 24) for _ in range(self.lanes)]
        for lane, body in enumerate(lanes):
            m.submodules[f"lane_{number}_{lane}"] = body
        for k in range(len(inputs)):
            style = int(rng.integers(5))
            source = make.pick()
            for lane, body in enumerate(lanes):
                target = getattr(body, f"i{k}")
                if style == 0:
                    value: Any = source
                elif style == 1 and len(source):
                    value = source.bit_select(min(lane * len(target), len(source) - 1), 1)
                elif style == 2 and lane:
                    value = lanes[lane - 1].o0  # a chain, perhaps combinational
                elif style == 3:
                    # A ring of registers; without reset, data is another module's register and nothing between.
                    plain = bool(number + k & 1)
                    value = Signal.like(lanes[lane - 1].o1, name=f"ring_{number}_{k}_{lane}", reset_less=plain)
                    m.d.sync += value.eq(lanes[lane - 1].o1)
                else:
                    value = Cat(make.pick(), source)[: len(target)]
                m.d.comb += target.eq(value)
        return [value for body in lanes for value in (body.o0, body.o1, body.o2)] + [
            Cat(body.o2 for body in lanes),
            Cat(body.o1[0] for body in lanes).any(),
            Cat(body.o1[0] for body in lanes).all(),
            Cat(body.o0 for body in lanes).xor(),
            Value.cast(Array(body.o2 for body in lanes)[make.narrow()]),
        ]


def random_stimulus(
    design: wiring.Component, rng: np.random.Generator, cycles: int, *, resets: bool = True
) -> list[dict[str, int]]:
    """Return random inputs, with extreme values and, if wanted, resets among them."""
    rows = []
    for _ in range(cycles):
        row = {"rst": int(resets and rng.integers(12) == 0)}
        for name, member in design.signature.members.items():
            if member.flow is In:
                width = Shape.cast(member.shape).width
                draw = int.from_bytes(rng.bytes(-(-width // 8)), "little") & (1 << width) - 1
                row[name] = (
                    (0, (1 << width) - 1, 1 << width - 1)[int(rng.integers(3))] if rng.integers(5) == 0 else draw
                )
        rows.append(row)
    return rows


def simulated(design: wiring.Component, stimulus: list[dict[str, int]], names: list[str]) -> list[dict[str, int]]:
    """Return the outputs by Amaranth's simulator."""
    from amaranth.hdl import ClockDomain

    top = Module()
    top.domains.sync = domain = ClockDomain("sync")
    top.submodules.design = design
    simulator = Simulator(top)
    simulator.add_clock(1e-6)
    rows: list[dict[str, int]] = []

    async def bench(ctx: Any) -> None:
        for row in stimulus:
            for name, value in row.items():
                ctx.set(domain.rst if name == "rst" else Value.cast(getattr(design, name)).as_unsigned(), value)
            rows.append({f"out_{name}": ctx.get(Value.cast(getattr(design, name)).as_unsigned()) for name in names})
            await ctx.tick()

    simulator.add_testbench(bench)
    simulator.run()
    return rows


def difference(seed: int, cycles: int = 24, *, unroll: bool = False) -> str:
    """Run one random design on both simulators; return the first difference, or nothing."""
    text = netlist_of(RandomDesign(seed))
    model = build_text(text, harness=TABLE_HARNESS, unroll=unroll, flags=QUICK)
    design = RandomDesign(seed)
    # Amaranth's simulator resets the registers of read ports with their domain; its netlist, and so hardware, does not.
    resets = "$memrd_v2" not in text
    stimulus = random_stimulus(design, np.random.default_rng([seed, 5]), cycles, resets=resets)
    names = [name for name, member in design.signature.members.items() if member.flow is Out]
    expected = simulated(design, stimulus, names)
    actual = run_table(model.new(), stimulus, [f"out_{name}" for name in names])
    for cycle, (one, two) in enumerate(zip(expected, actual, strict=True)):
        for name, value in one.items():
            if two[name] != value:
                return f"seed {seed}, cycle {cycle}: {name} is {two[name]:#x}, Amaranth's simulator has {value:#x}"
    return ""


def main() -> None:
    """Compare many designs and print what differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--unroll", action="store_true", help="compile without classes")
    options = parser.parse_args()
    wrong = looped = skipped = 0
    for seed in range(options.first, options.first + options.count):
        try:
            found = difference(seed, unroll=options.unroll)
        except Exception as error:
            if type(error).__name__ == "CombinationalCycle":
                skipped += 1
                continue
            found = f"seed {seed}: {type(error).__name__}: {error}"
        if found:
            wrong += 1
            print(found, flush=True)
        looped += 1
    print(f"{looped} designs compared, {skipped} not legal, {wrong} differ")
    sys.exit(bool(wrong))


if __name__ == "__main__":
    main()
