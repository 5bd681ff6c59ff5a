"""The register map: no overlaps, stable places, documents that name everything."""

from __future__ import annotations

import json

import pytest

from axft_spec.config import ArrayConfig, find_preset
from axft_spec.errors import ConfigError
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import (
    ADDRESS_BITS,
    REGISTERS,
    REGMAP_HASH,
    WINDOWS,
    Access,
    register,
    regmap_json,
    regmap_markdown,
    reset_values,
    window_bytes,
)

LARGEST = HardwareConfig(array=ArrayConfig(rows=64, cols=64, width=16))


def test_identity_is_where_any_version_has_it() -> None:
    """The first four registers never move: a driver must be able to refuse any other version."""
    names = ("ID", "VERSION", "REGMAP_HASH", "CONFIG_HASH")
    assert [register(name).offset for name in names] == [0, 4, 8, 12]


def test_registers_and_windows_do_not_overlap() -> None:
    """And lie inside the slave's address range."""
    offsets = [entry.offset for entry in REGISTERS]
    assert offsets == sorted(set(offsets)) and all(offset % 4 == 0 for offset in offsets)
    end = offsets[-1] + 4
    for area in WINDOWS:
        assert area.offset >= end and area.offset % 4 == 0
        end = area.offset + area.size_bytes
    assert end <= 1 << ADDRESS_BITS


def test_largest_device_fits_into_the_windows() -> None:
    """64 x 64 PEs, 16 bits, all sites, the deepest buffers."""
    assert all(window_bytes(LARGEST, area.name) <= area.size_bytes for area in WINDOWS)


def test_reset_values_fit_their_fields_in_the_largest_device() -> None:
    """Every capability can be told."""
    for name, values in reset_values(LARGEST).items():
        register(name).pack(**values)


def test_fields_pack_and_unpack() -> None:
    """Worked example: SHAPE 5 x 7, repeated 3 times."""
    shape = register("TILE_SHAPE")
    assert shape.pack(rows=5, cols=7, repeat=3) == 0x00030705
    assert shape.unpack(0x00030705) == {"rows": 5, "cols": 7, "repeat": 3}
    with pytest.raises(ConfigError, match="field rows must be between 0 and 255, not 256"):
        shape.pack(rows=256)


def test_hash_depends_on_the_layout_alone() -> None:
    """Two devices have one register map; their reset values differ."""
    one, other = (regmap_json(HardwareConfig(array=find_preset(name).config)) for name in ("34P", "Baseline"))
    assert one["regmap_hash"] == other["regmap_hash"] == f"{REGMAP_HASH:08x}"
    assert json.dumps(one) != json.dumps(other)


def test_page_names_every_register_field_and_window() -> None:
    """With its offset."""
    page = regmap_markdown(LARGEST)
    for entry in REGISTERS:
        assert f"| 0x{entry.offset:05x} | {entry.name} |" in page
        assert all(f"| {field.name} | {field.access.value} |" in page for field in entry.fields)
    for area in WINDOWS:
        assert f"| 0x{area.offset:05x} | {area.name} | {window_bytes(LARGEST, area.name)} |" in page


def test_a_command_is_one_block_that_ends_with_its_start() -> None:
    """Six consecutive words; only the last one does something."""
    names = ["TILE_ACTIVATIONS", "TILE_WEIGHTS", "TILE_STEPS", "TILE_SHAPE", "TILE_RESULT", "TILE_START"]
    offsets = [register(name).offset for name in names]
    assert offsets == list(range(offsets[0], offsets[0] + 24, 4))
    actions = [name for name in names if any(field.access is Access.W for field in register(name).fields)]
    assert actions == ["TILE_START"]
