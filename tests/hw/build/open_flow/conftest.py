"""A database of two tiles, with what is special about the real one's files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from axft_hw.build.open_flow.database import Database

TILES = {
    "INT_L_X0Y0": {
        "type": "INT_L",
        "bits": {"CLB_IO_CLK": {"baseaddr": "0x00000100", "frames": 28, "offset": 2, "words": 2}},
    },
    "INT_L_X0Y1": {
        "type": "INT_L",
        "bits": {"CLB_IO_CLK": {"baseaddr": "0x00000100", "frames": 28, "offset": 4, "words": 2}},
    },
    "BRAM_L_X1Y0": {
        "type": "BRAM_L",
        "bits": {
            "CLB_IO_CLK": {"baseaddr": "0x00000180", "frames": 28, "offset": 0, "words": 10},
            "BLOCK_RAM": {"baseaddr": "0x00C00000", "frames": 128, "offset": 0, "words": 10},
        },
    },
    "LIOB33_SING_X0Y0": {
        "type": "LIOB33_SING",
        "bits": {
            "CLB_IO_CLK": {
                "alias": {"type": "LIOB33", "start_offset": 2, "sites": {}},
                "baseaddr": "0x00000100",
                "frames": 42,
                "offset": 0,
                "words": 2,
            }
        },
    },
}

FILES = {
    "segbits_int_l.db": "INT_L.A.IN0 01_02 !03_40\nINT_L.A.IN1 01_02 03_40\nINT_L.B.OFF !05_06\n",
    "segbits_bram_l.db": "BRAM_L.RAMB18_Y0.ZINIT_A[05] 02_33\nBRAM_L.RAMB18_Y0.ZINIT_A[12] 02_34\n",
    "segbits_bram_l.block_ram.db": "BRAM_L.RAMB18_Y0.INIT_00[000] 00_00\nBRAM_L.RAMB18_Y0.INIT_00[010] 127_319\n",
    "segbits_liob33_sing.db": "LIOB33_SING.IOB_Y0.PULL 01_01\n",
    "ppips_int_l.db": "INT_L.C.VCC_WIRE default\nINT_L.D.E always\n",
}


@pytest.fixture
def database(tmp_path: Path) -> Database:
    """Return the database, of a part that needs A.IN1 of the second tile."""
    family = tmp_path / "family"
    for directory in (family / "fab", family / "part-1"):
        directory.mkdir(parents=True)
    (family / "fab" / "tilegrid.json").write_text(json.dumps(TILES))
    (family / "part-1" / "required_features.fasm").write_text("INT_L_X0Y1.A.IN1\n")
    for name, text in FILES.items():
        (family / name).write_text(text)
    return Database(family, "part-1", "fab")
