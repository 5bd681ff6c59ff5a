"""Names of flip-flops: users inject faults into them by name, so they are part of what is promised."""

import re

from axft_hw.build.generate import NAME, Block, block_ports
from axft_hw.build.verilog import to_rtlil
from axft_spec.config import find_preset
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig

#: Where flip-flops are. The PEs are instances of one module; the skew registers are the array's to name.
PLACES = {
    *("axi", "bus", "bus.csr", "bus.watchdog"),
    *("core.queue", "core.sequencer", "core.drain_unit", "core.faults", "core.scan", "core.array"),
    *("core.activation_buffer", "core.weight_buffer", "processing_element"),
}


def registers(text: str) -> set[tuple[str, str]]:
    """Return (module, signal) of every flip-flop in RTLIL."""
    found = set()
    for module in re.finditer(r"^module \\(\S+)$(.*?)^end$", text, re.M | re.S):
        for cell in re.finditer(r"^  cell \$\w*dff\w* .*?^  end$", module[2], re.M | re.S):
            output = re.search(r"connect \\Q \\(\S+)", cell[0])
            assert output is not None, cell[0]
            found.add((module[1], output[1]))
    return found


def test_flip_flops_have_hierarchical_names_without_serial_numbers():
    """Neither their modules nor they themselves, and every part of the design is where the documentation says."""
    hardware = HardwareConfig(array=find_preset("34P").config.resized(5, 5), sites=(Site.WEIGHT,))
    block = Block(hardware)
    names = registers(to_rtlil(block, NAME, block_ports(block)))
    assert {module.removeprefix(f"{NAME}.") for module, _ in names} == PLACES
    assert [(module, name) for module, name in names if "$" in module] == []
    assert [(module, name) for module, name in names if "$" in name and not module.endswith(".array")] == []
    assert (f"{NAME}.core.sequencer", "enable") in names
    assert (f"{NAME}.bus.csr", "watchdog_limit") in names
