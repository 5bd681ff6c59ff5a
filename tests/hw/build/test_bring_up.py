"""The bring-up design on its bus, and as a netlist for the board."""

from __future__ import annotations

import re
from typing import Any

import pytest
from amaranth.sim import Simulator

from axft_hw.build.bring_up import BringUp, bring_up_contents
from axft_hw.build.open_flow.flow import make_bitstream, place_and_route
from axft_hw.build.open_flow.tools import find_tools
from axft_hw.build.synthesis import ZYNQ_NAME, synthesise
from axft_hw.build.verilog import to_rtlil
from axft_hw.build.zynq import ZynqTop
from axft_spec.errors import BackendError
from support.axi3_master import OKAY, SLVERR, Axi3Master


def tools_or_skip() -> Any:
    """Return the tools of the open flow."""
    try:
        return find_tools()
    except BackendError as error:
        pytest.skip(str(error))


def test_memory_holds_its_contents_and_what_is_written() -> None:
    """The first words are worked out by hand; a strobe writes bytes; beyond the memory there are errors."""
    dut = BringUp()
    simulator = Simulator(dut)
    simulator.add_clock(1e-8)

    async def process(ctx: Any) -> None:
        master = Axi3Master(ctx, dut.axi, lambda: 0)
        await master.tick(2)
        read = await master.read(0, 3)
        assert read.words == [0x9E3779B9, 0x3C6EF372, 0xDAA66D2B]
        await master.write(4092, [0x01020304])
        assert (await master.read(4092, 1)).words == [0x01020304]
        assert (await master.write(4096, [1])).response == SLVERR
        read = await master.read(4092, 2)
        assert read.responses == [OKAY, SLVERR]
        assert (await master.read(0, 1)).words == [0x9E3779B9]

    simulator.add_testbench(process)
    simulator.run()


def test_processing_system_drives_every_input_of_the_block() -> None:
    """One clock through a BUFG, one reset; the port's 32-bit addresses and 2-bit sizes are cut and padded."""
    text = to_rtlil(ZynqTop(BringUp()), ZYNQ_NAME, {})
    (ps7,) = re.findall(r"cell \\PS7 .*?\n  end\n", text, flags=re.DOTALL)
    ports = set(re.findall(r"connect \\(\S+)", ps7))
    channels = {
        "AW": ("ID", "ADDR", "LEN", "SIZE", "BURST", "LOCK", "CACHE", "PROT", "VALID", "READY"),
        "AR": ("ID", "ADDR", "LEN", "SIZE", "BURST", "LOCK", "CACHE", "PROT", "VALID", "READY"),
        "W": ("ID", "DATA", "STRB", "LAST", "VALID", "READY"),
        "B": ("ID", "RESP", "VALID", "READY"),
        "R": ("ID", "DATA", "RESP", "LAST", "VALID", "READY"),
    }
    names = {f"MAXIGP0{channel}{signal}" for channel, signals in channels.items() for signal in signals}
    assert ports == names | {"MAXIGP0ACLK", "FCLKCLK", "FCLKRESETN"}
    assert len(re.findall(r"cell \\BUFG ", text)) == 1
    assert re.search(r"wire width 32 .*\\gp0_awaddr_outside", text)
    assert re.search(r"wire width 2 .*\\gp0_arsize_outside", text)


def test_bitstream_holds_the_memorys_contents(tmp_path) -> None:
    """From the bits that prjxray's reader finds, through the database's places of a block RAM's bits.

    A RAMB36E1 of 32 bits a word and 8 words a row has its even bits in its lower half and its odd ones in the upper
    (prjxray's documentation of block RAM tiles).
    """
    tools = tools_or_skip()
    lines: list[str] = []
    netlist = synthesise(to_rtlil(ZynqTop(BringUp()), ZYNQ_NAME, {}))
    routed = place_and_route(tools, netlist, ZYNQ_NAME, tmp_path, clock_mhz=50.0, seed=1, progress=lines.append)
    assert routed.used["BRAM36"] == 1
    _, comparison = make_bitstream(tools, routed.fasm, tmp_path, "axft_bring_up", lines.append)
    assert comparison.differences == 0
    assert comparison.by_kind["BRAM_L"] > 10_000
    rows: dict[tuple[int, int], int] = {}
    pattern = r"RAMB18_Y([01])\.INIT_([0-9A-F]{2})\[255:0\] = 256'b([01]+)"
    for half, row, bits in re.findall(pattern, routed.fasm):
        rows[int(half), int(row, 16)] = int(bits, 2)
    contents = []
    for word in range(1024):
        row, place = divmod(word, 16)
        value = 0
        for bit in range(32):
            value |= (rows.get((bit % 2, row), 0) >> (16 * place + bit // 2) & 1) << bit
        contents.append(value)
    assert contents == bring_up_contents()
