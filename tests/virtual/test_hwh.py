"""What pynq makes of the .hwh file."""

from __future__ import annotations

from pathlib import Path

import pytest

from axft_hw.build.hwh import hwh
from axft_spec.config import PRESETS, find_preset
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import regmap_json
from support.virtual_board import needs_pynq

needs_pynq()


@pytest.mark.parametrize("preset", PRESETS)
def test_pynq_sees_the_register_map(preset: str, tmp_path: Path) -> None:
    """Address, registers, fields, and the fabric clock."""
    from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    from pynqmetadata.frontends import Metadata

    hardware = HardwareConfig(array=find_preset(preset).config.resized(3, 2))
    path = tmp_path / "axft.hwh"
    path.write_text(hwh(hardware, clock_mhz=125))
    parser = RuntimeMetadataParser(Metadata(input=str(path)))
    assert set(parser.ip_dict) == {"axft_0", "processing_system7_0"}
    block = parser.ip_dict["axft_0"]
    assert (block["phys_addr"], block["addr_range"]) == (0x40000000, 1 << 20)
    assert block["type"] == "axft:hw:axft_top:1.0"
    found = {
        name: (
            entry["address_offset"],
            {field: (bits["bit_offset"], bits["bit_width"]) for field, bits in entry["fields"].items()},
        )
        for name, entry in block["registers"].items()
    }
    assert found == {
        entry["name"]: (
            entry["offset"],
            {field["name"].upper(): (field["low"], field["bits"]) for field in entry["fields"]},
        )
        for entry in regmap_json(hardware)["registers"]
    }
    assert parser.clock_dict[0] == {"enable": 1, "divisor0": 8, "divisor1": 1}
    assert int(block["parameters"]["CONFIG_HASH"], 16) == hardware.config_hash


def test_access_is_said_as_pynq_understands_it(tmp_path: Path) -> None:
    """It reads no write-only registers."""
    from pynq.metadata.runtime_metadata_parser import RuntimeMetadataParser
    from pynqmetadata.frontends import Metadata

    path = tmp_path / "axft.hwh"
    path.write_text(hwh(HardwareConfig(array=find_preset("34P").config.resized(3, 2))))
    registers = RuntimeMetadataParser(Metadata(input=str(path))).ip_dict["axft_0"]["registers"]
    assert {name: registers[name]["access"] for name in ("ID", "CONTROL", "EVENTS", "SCRATCH", "SCAN_COMMAND")} == {
        "ID": "read-only",
        "CONTROL": "write-only",
        "EVENTS": "read-write",
        "SCRATCH": "read-write",
        "SCAN_COMMAND": "write-only",
    }
