"""Bugs planted in the netlist of a device: a comparison that does not find them is worth nothing.

They are put into the RTLIL text, behind all that generates it, and hold on to instances, ports and registers by name.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from axft_host.backends.rtl import SimulatedPort
from axft_host.device.accelerator import Accelerator
from axft_hw.netlist import to_rtlil
from axft_hw.sim.compile import FLAGS
from axft_hw.sim.model import build_text
from axft_hw.sim.simulation import Simulation, harness
from axft_hw.top import Top
from axft_spec.hardware import HardwareConfig

TOP = "axft_top"

#: Quick to compile; these models live for a second.
QUICK = tuple("-O1" if flag == "-O3" else flag for flag in FLAGS)


class MutableNetlist:
    """RTLIL text to plant bugs in.

    Names are without the backslash; expressions are as RTLIL writes them.
    """

    def __init__(self, text: str) -> None:
        self._modules: dict[str, str] = {}
        for block in re.split(r"(?m)^(?=(?:attribute .*\n)*module )", text):
            name = re.search(r"(?m)^module \\(\S+)", block)
            self._modules[name[1] if name else ""] = block
        self._count = 0

    def text(self) -> str:
        """Return the netlist as it is now."""
        return "".join(self._modules.values())

    def module(self, path: str) -> str:
        """Return the module of an instance, by its path below the top, such as ``core.array``."""
        module = TOP
        for name in path.split("."):
            module = self._cell(module, name)[1]
        return module

    def private(self, path: str) -> str:
        """Give an instance a module of its own, so that what is planted in it is in no other; return the module."""
        parent, _, name = path.rpartition(".")
        module, kind = self.module(parent), self.module(path)
        self._count += 1
        own = f"{kind}.own_{self._count}"
        # In front of the first of its kind: behind all that instantiate it, and before all that it instantiates.
        modules: dict[str, str] = {}
        for each, body in self._modules.items():
            if each == kind:
                modules[own] = body.replace(f"module \\{kind}\n", f"module \\{own}\n", 1)
            modules[each] = body
        self._modules = modules
        block = self._cell(module, name)[0]
        self._replace(module, block, block.replace(f"cell \\{kind} \\{name}\n", f"cell \\{own} \\{name}\n", 1))
        return own

    def port(self, module: str, cell: str, port: str) -> str:
        """Return what a port of an instance is connected to."""
        return self._connection(self._cell(module, cell)[0], port)

    def reconnect(self, module: str, cell: str, port: str, expression: str) -> None:
        """Connect a port of an instance to something else."""
        block = self._cell(module, cell)[0]
        old = self._connection(block, port)
        self._replace(module, block, block.replace(f"connect \\{port} {old}\n", f"connect \\{port} {expression}\n", 1))

    def change_kind(self, module: str, old: str, new: str) -> None:
        """Make another kind of the only primitive cell of a kind."""
        assert len(re.findall(rf"(?m)^  cell \${old} ", self._modules[module])) == 1, f"{module}: not one ${old}"
        self._modules[module] = self._modules[module].replace(f"  cell ${old} ", f"  cell ${new} ")

    def width(self, module: str, wire: str) -> int:
        """Return the bits of a wire."""
        found = re.search(rf"(?m)^  wire width (\d+) (?:.* )?\\{re.escape(wire)}$", self._modules[module])
        assert found, f"{module} has no wire {wire}"
        return int(found[1])

    def register(self, module: str, *names: str) -> str:
        """Return the first of some names that a register has."""
        for name in names:
            if f"    connect \\Q \\{name}\n" in self._modules[module]:
                return name
        raise AssertionError(f"{module} has none of the registers {names}")

    def change_input(self, module: str, register: str, change: Callable[[str], str]) -> None:
        """Load a register with something else; `change` is given the wire with what it was loaded with."""
        found = re.search(
            rf"(?m)^  cell \$dff \S+\n(?:    .*\n)*?    connect \\Q \\{register}\n  end\n", self._modules[module]
        )
        assert found, f"{module} has no register {register}"
        old = self._connection(found[0], "D")
        given = self.wire(module, self.width(module, register), old)
        self._replace(module, found[0], found[0].replace(f"connect \\D {old}\n", f"connect \\D {change(given)}\n", 1))

    def wire(self, module: str, width: int, expression: str | None = None, *, init: bool = False) -> str:
        """Add a wire; return it as an expression."""
        self._count += 1
        name = f"\\planted_{self._count}"
        lines = f"  attribute \\init {width}'{'0' * width}\n" if init else ""
        lines += f"  wire width {width} {name}\n"
        if expression is not None:
            lines += f"  connect {name} {expression}\n"
        start = re.search(r"(?m)^module .*\n", self._modules[module])
        assert start
        body = self._modules[module]
        self._modules[module] = body[: start.end()] + lines + body[start.end() :]
        return name

    def cell(self, module: str, kind: str, parameters: dict[str, int], ports: dict[str, str]) -> None:
        """Add a primitive cell."""
        self._count += 1
        lines = [f"  cell ${kind} $planted_{self._count}"]
        lines += [f"    parameter \\{name} {value}" for name, value in parameters.items()]
        lines += [f"    connect \\{name} {value}" for name, value in ports.items()]
        body = self._modules[module].rstrip()
        assert body.endswith("\nend")
        self._modules[module] = "\n".join([body[: -len("end")] + lines[0], *lines[1:], "  end", "end", "", ""])

    def choose(self, module: str, width: int, select: str, zero: str, one: str) -> str:
        """Add a multiplexer; return its output."""
        out = self.wire(module, width)
        self.cell(module, "mux", {"WIDTH": width}, {"S": select, "A": zero, "B": one, "Y": out})
        return out

    def _cell(self, module: str, name: str) -> tuple[str, str]:
        """Return the text of an instance, and its module."""
        found = re.search(rf"(?m)^  cell \\(\S+) \\{re.escape(name)}\n(?:    .*\n)*?  end\n", self._modules[module])
        assert found, f"{module} has no instance {name}"
        return found[0], found[1]

    @staticmethod
    def _connection(block: str, port: str) -> str:
        found = re.search(rf"(?m)^    connect \\{port} (.*)$", block)
        assert found, f"no port {port} in\n{block}"
        return found[1]

    def _replace(self, module: str, old: str, new: str) -> None:
        assert self._modules[module].count(old) == 1
        self._modules[module] = self._modules[module].replace(old, new)


# Bugs of the array and its control


def _late_row(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Give row 1 its activations a cycle late."""
    array, width = netlist.module("core.array"), hardware.activation_bits
    old, enable = netlist.port(array, "pe_1_0", "activation_west"), netlist.port(array, "pe_1_0", "enable")
    late = netlist.wire(array, width, init=True)
    held = netlist.choose(array, width, enable, late, old)
    ports = {"D": held, "CLK": netlist.port(array, "pe_1_0", "clk"), "Q": late}
    netlist.cell(array, "dff", {"WIDTH": width, "CLK_POLARITY": 1}, ports)
    netlist.reconnect(array, "pe_1_0", "activation_west", late)


def _psum_not_forced(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Force nothing of the partial sum of PE(1, 1)."""
    netlist.reconnect(netlist.module("core.array"), "pe_1_1", "force_psum", "2'00")


def _window_too_long(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """End windows a cycle late."""
    netlist.change_kind(netlist.module("core.faults"), "lt", "le")


def _hit_lost(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Count no activations of PE(0, 1)."""
    array = netlist.module("core.array")
    heard = netlist.port(array, "pe_0_1", "hit")
    netlist.reconnect(array, "pe_0_1", "hit", netlist.wire(array, 1))
    netlist.cell(
        array,
        "and",
        {"A_SIGNED": 0, "B_SIGNED": 0, "A_WIDTH": 1, "B_WIDTH": 1, "Y_WIDTH": 1},
        {"A": "1'0", "B": "1'0", "Y": heard},
    )


def _columns_swapped(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Have the drain take the sums of columns 0 and 1 for each other's."""
    core, width = netlist.module("core"), hardware.psum_bits
    cols = hardware.array.cols
    psums = netlist.wire(core, cols * width, netlist.port(core, "drain_unit", "psums"))
    parts = [f"{psums} [{width * (col + 1) - 1}:{width * col}]" for col in range(cols)]
    parts[:2] = parts[1::-1]
    netlist.reconnect(core, "drain_unit", "psums", "{ " + " ".join(reversed(parts)) + " }")


def _partial_product_lost(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Have the multiplier of PE(1, 0) leave out the product of the second lowest bits that it has."""
    pe, width = netlist.private("core.array.pe_1_0"), hardware.product_bits
    place = 2 + hardware.array.omit_weight + hardware.array.omit_activation - hardware.array.multiplier.zero_bits
    valid = netlist.register(pe, "valid_east", "valid")
    lost = netlist.wire(pe, 1)
    bits = f"{{ \\weight [1] \\activation [1] \\{valid} [0] \\enable [0] }}"
    netlist.cell(pe, "reduce_and", {"A_SIGNED": 0, "A_WIDTH": 4, "Y_WIDTH": 1}, {"A": bits, "Y": lost})

    def less(product: str) -> str:
        difference = netlist.wire(pe, width)
        subtrahend = f"{{ {lost} {place}'{'0' * place} }}" if place else lost
        netlist.cell(
            pe,
            "sub",
            {"A_SIGNED": 0, "B_SIGNED": 0, "A_WIDTH": width, "B_WIDTH": place + 1, "Y_WIDTH": width},
            {"A": product, "B": subtrahend, "Y": difference},
        )
        return difference

    netlist.change_input(pe, "product", less)


def _gates_open(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Force nothing of the operands and products of PE(1, 1)."""
    netlist.reconnect(netlist.module("core.array"), "pe_1_1", "force", "2'00")


def _not_frozen(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Have PE(1, 1) go on between the chunks of a tile."""
    netlist.reconnect(netlist.module("core.array"), "pe_1_1", "enable", "1'1")


def harmless(netlist: MutableNetlist, hardware: HardwareConfig) -> None:
    """Plant a wire that leads nowhere."""
    netlist.wire(netlist.module("core"), 1)


MUTATIONS: dict[str, Callable[[MutableNetlist, HardwareConfig], None]] = {
    "skew of a row": _late_row,
    "fault gates": _gates_open,
    "psum fault gate": _psum_not_forced,
    "window": _window_too_long,
    "activated counter": _hit_lost,
    "drain": _columns_swapped,
    "partial product": _partial_product_lost,
    "stall": _not_frozen,
}


# Broken scan chains


def break_scan_chain(netlist: MutableNetlist, hardware: HardwareConfig, position: int, how: str) -> None:
    """Break the scan chain at one place.

    Parameters
    ----------
    netlist : MutableNetlist
    hardware : HardwareConfig
    position : int
        Of the flip-flop that is broken.
    how : str
        ``stuck at 0`` or ``stuck at 1``: always loaded with that. ``skipped``: the next one is loaded from the one
        before; in the same PE, so that `position` must not be the last one of a PE.
    """
    number, place = divmod(position, hardware.pe_scan_bits)
    row, col = divmod(number, hardware.array.cols)
    pe, bits = netlist.private(f"core.array.pe_{row}_{col}"), hardware.pe_scan_bits

    def broken(given: str) -> str:
        changed, value = place, f"1'{how[-1]}"
        if how == "skipped":
            assert place + 1 < bits
            changed = place + 1
            before = f"\\armed [{place - 1}]" if place else "\\scan_in [0]"
            value = netlist.choose(pe, 1, "\\scan_shift [0]", f"{given} [{changed}]", before)
        above = f"{given} [{bits - 1}:{changed + 1}] " if changed + 1 < bits else ""
        below = f" {given} [{changed - 1}:0]" if changed else ""
        return f"{{ {above}{value}{below} }}"

    netlist.change_input(pe, "armed", broken)


# From a netlist to a device


def netlist_of(hardware: HardwareConfig) -> str:
    """Return the netlist of a device without a bug."""
    return to_rtlil(Top(hardware), TOP)


def mutant(hardware: HardwareConfig, text: str, mutate: Callable[[MutableNetlist], None]) -> Accelerator:
    """Return the driver of a device that is simulated from its netlist with something planted in it."""
    netlist = MutableNetlist(text)
    mutate(netlist)
    assert netlist.text() != text
    model = build_text(netlist.text(), harness=harness(), flags=QUICK)
    return Accelerator(SimulatedPort(Simulation(hardware, model)), hardware)
