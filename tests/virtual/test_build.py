"""What pynq itself makes of the files that a build leaves: the .bit file's header, its conversion, the .hwh file."""

from __future__ import annotations

import gzip
import json
import lzma
import os
import shutil
import subprocess
from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from axft_hw.build.generate import Block, block_ports
from axft_hw.build.hwh import hwh
from axft_hw.build.open_flow.bitstream import Bitstream, to_bin
from axft_hw.build.vivado.results import read_results
from axft_hw.build.vivado.run import COMMAND
from axft_hw.build.vivado.sources import settings_tcl
from axft_spec.config import find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest
from axft_spec.regmap import regmap_json
from support.virtual_board import needs_pynq

needs_pynq()

TESTS = Path(__file__).resolve().parents[1]
HARDWARE = HardwareConfig(array=find_preset("34P").config.resized(3, 2))

_OPENERS = {
    ".bit": Path.read_bytes,
    ".gz": lambda path: gzip.decompress(path.read_bytes()),
    ".xz": lambda path: lzma.decompress(path.read_bytes()),
}


def built() -> list[Path]:
    """Return the real bitstreams that there are: those of the checkout, and of builds in ``$AXFT_BITSTREAMS``."""
    own = (TESTS.parent / "bitstreams").glob("*/*.bit*")
    named = [Path(part) for part in os.environ.get("AXFT_BITSTREAMS", "").split(os.pathsep) if part]
    builds = (path for place in named for path in place.glob("*/*.bit*") if (path.parent / "manifest.json").is_file())
    return sorted(path for path in (*own, *builds) if path.suffix in _OPENERS)


real = pytest.mark.parametrize(
    "path",
    built() or [pytest.param(None, marks=pytest.mark.skip(reason="neither bitstreams/ nor $AXFT_BITSTREAMS has one"))],
    ids=lambda path: "none" if path is None else path.parent.name,
)


def check_conversion(content: bytes, part: str) -> bytes:
    """Let pynq read a .bit file and convert it as for Linux's driver; compare, and return what comes out."""
    from pynq.pl_server.embedded_device import bit2bin, parse_bit_header

    header, own = parse_bit_header(content), Bitstream.from_bytes(content)
    assert (header["part"], header["design"]) == (part, own.design.partition(";")[0])
    assert (header["date"], header["time"]) == ("2000/01/01", "00:00:00")
    assert int(header["length"]) == len(own.data)
    assert header["data"] == own.data
    firmware: bytes = bit2bin(content)
    assert firmware == to_bin(own.data)
    # What the driver looks for (Linux, drivers/fpga/zynq-fpga.c: the sync word, swapped, at a multiple of four bytes).
    assert firmware.index(bytes.fromhex("665599aa")) % 4 == 0
    return firmware


def seen(text: str, directory: Path) -> Any:
    """Return what pynq sees in a .hwh file."""
    from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    from pynqmetadata.frontends import Metadata

    path = directory / "seen.hwh"
    path.write_text(text)
    return RuntimeMetadataParser(Metadata(input=str(path)))


def check_handoff(text: str, hardware: HardwareConfig, divisors: list[int], directory: Path) -> None:
    """Compare what pynq sees in a .hwh file with the register map."""
    parser = seen(text, directory)
    block = parser.ip_dict["axft_0"]
    assert (block["phys_addr"], block["addr_range"]) == (0x40000000, 1 << 20)
    assert block["type"] == "axft:hw:axft_top:1.0"
    assert {name: entry["address_offset"] for name, entry in block["registers"].items()} == {
        entry["name"]: entry["offset"] for entry in regmap_json(hardware)["registers"]
    }
    assert {
        name: {field: (bits["bit_offset"], bits["bit_width"]) for field, bits in entry["fields"].items()}
        for name, entry in block["registers"].items()
    } == {
        entry["name"]: {field["name"].upper(): (field["low"], field["bits"]) for field in entry["fields"]}
        for entry in regmap_json(hardware)["registers"]
    }
    clock = parser.clock_dict[0]
    assert [clock["enable"], clock["divisor0"], clock["divisor1"]] == [1, *divisors]


def test_pynq_converts_what_is_written_here() -> None:
    """A header of the open flow's form with a little data."""
    data = bytes.fromhex("ffffffff000000bb11220044aa995566200000003002200100000000")
    bitstream = Bitstream(design="axft_85083955", part="xc7z020clg400-1", date="2000/01/01", time="00:00:00", data=data)
    firmware = check_conversion(bitstream.to_bytes(), "xc7z020clg400-1")
    assert firmware.hex() == "ffffffffbb00000044002211665599aa000000200120023000000000"


@real
def test_pynq_converts_a_real_bitstream(path: Path) -> None:
    """All of it; the .bin of the build, if it is there, is the same."""
    firmware = check_conversion(_OPENERS[path.suffix](path), "xc7z020clg400-1")
    other = path.parent / f"{path.name.partition('.')[0]}.bin"
    if other.is_file():
        assert other.read_bytes() == firmware


@real
def test_addresses_of_a_real_build_are_those_of_the_register_map(path: Path, tmp_path: Path) -> None:
    """Of the .hwh file beside it, with the divisors of the report."""
    if not (path.parent / "manifest.json").is_file():
        pytest.skip(f"{path.parent} has no manifest: no accelerator is in it")
    (file,) = path.parent.glob("*.hwh")
    report = json.loads((path.parent / "report.json").read_text())
    hardware = Manifest.load(path.parent).hardware
    check_handoff(file.read_text(), hardware, report["timing"]["clock_divisors"], tmp_path)


def test_addresses_of_the_open_flow_are_those_of_the_register_map(tmp_path: Path) -> None:
    """As it writes them; 60 MHz are 1000 / 17 on the board."""
    check_handoff(hwh(HARDWARE, clock_mhz=60), HARDWARE, [17, 1], tmp_path)


@pytest.mark.skipif(shutil.which("tclsh") is None, reason="tclsh runs the script here (Debian: apt install tcl)")
def test_addresses_of_the_script_for_vivado_are_those_of_the_register_map(tmp_path: Path) -> None:
    """The block that the script packages, in a .hwh file of the stand-ins: not Vivado's, which nobody has made yet."""
    sources = tmp_path / "sources"
    sources.mkdir()
    # Its ports are all that the stand-ins want of the Verilog.
    ports = ", ".join(block_ports(Block(HARDWARE)))
    (sources / "axft_top.v").write_text(f"\nmodule axft_top({ports});\nendmodule\n")
    (sources / "settings.tcl").write_text(settings_tcl(HARDWARE, 60.0))
    script = files("axft_hw.build.vivado").joinpath("build.tcl").read_text()
    (sources / "build.tcl").write_text(script)
    stubs = TESTS / "support" / "vivado_stubs.tcl"
    subprocess.run(["tclsh", str(stubs), *COMMAND[1:]], cwd=sources, check=True, capture_output=True)
    results = read_results(sources, HARDWARE, 60.0)
    check_handoff(results.files["axft.hwh"].decode(), HARDWARE, [17, 1], tmp_path)
    firmware = check_conversion(results.files["axft.bit"], "7z020clg400")
    assert results.files["axft.bin"] == firmware
