"""The bitstreams of the source tree: what their manifests and reports say, and that the sources still make them."""

from __future__ import annotations

import hashlib
import json
import lzma
from importlib.metadata import version
from pathlib import Path
from xml.etree import ElementTree

import pytest

from axft_host.backends.bitstreams import open_bitstream
from axft_hw.build.bring_up import BringUp
from axft_hw.build.hwh import hwh
from axft_hw.build.open_flow.bitstream import Bitstream
from axft_hw.build.open_flow.flow import make_bitstream, place_and_route
from axft_hw.build.open_flow.tools import find_tools
from axft_hw.build.synthesis import ZYNQ_NAME, synthesise, zynq_rtlil
from axft_hw.build.verilog import to_rtlil
from axft_hw.build.yosys import yosys_version
from axft_hw.build.zynq import ZynqTop
from axft_spec.errors import BackendError
from axft_spec.manifest import Manifest
from axft_spec.regmap import REGMAP_HASH, regmap_json
from axft_spec.scanmap import ScanMap

DIRECTORY = Path(__file__).parents[3] / "bitstreams"
SHIPPED = sorted(path.parent for path in DIRECTORY.glob("*/manifest.json"))


@pytest.fixture(params=SHIPPED, ids=[path.name for path in SHIPPED])
def shipped(request: pytest.FixtureRequest) -> Path:
    """Return one of the directories of arrays."""
    return request.param


def test_there_are_some() -> None:
    """Else the other tests would say nothing."""
    assert {"34P-28x28"} <= {path.name for path in SHIPPED}


def test_files_are_those_of_the_manifest(shipped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those beside the bitstream, and the bitstream after unpacking; and nothing else is there."""
    monkeypatch.setenv("AXFT_CACHE", str(tmp_path))
    manifest = Manifest.load(shipped)
    open_bitstream(shipped / "axft.bit.xz").verify()
    for name, record in manifest.files.items():
        if name != "axft.bit":
            assert hashlib.sha256((shipped / name).read_bytes()).hexdigest() == record.sha256
    assert {path.name for path in shipped.iterdir()} == {*manifest.files, "manifest.json", "axft.bit.xz"} - {"axft.bit"}


def test_manifest_is_of_this_version(shipped: Path) -> None:
    """The register map, the scan chain and the description for pynq are those that the sources make today."""
    manifest = Manifest.load(shipped)
    hardware = manifest.hardware
    assert manifest.regmap_hash == REGMAP_HASH
    assert f"{hardware.array.rows}x{hardware.array.cols}" == shipped.name.rpartition("-")[2]
    assert json.loads((shipped / "regmap.json").read_text()) == regmap_json(hardware)
    assert json.loads((shipped / "scanmap.json").read_text()) == ScanMap(hardware).to_json()
    report = json.loads((shipped / "report.json").read_text())
    assert (shipped / "axft.hwh").read_text() == hwh(hardware, clock_mhz=report["timing"]["asked_mhz"])
    ElementTree.parse(shipped / "axft.hwh")


def test_report_is_of_a_design_that_works(shipped: Path) -> None:
    """Timing met, nothing else in the bitstream than what was meant, no more than the device has."""
    report = json.loads((shipped / "report.json").read_text())
    assert report["timing"]["met"]
    assert report["timing"]["estimated_mhz"] >= report["timing"]["asked_mhz"] >= 50
    assert report["read_back"]["differences"] == 0
    assert all(use["used"] <= use["available"] for use in report["resources"].values())
    header = Bitstream.from_bytes(lzma.decompress((shipped / "axft.bit.xz").read_bytes()))
    assert header.part == report["part"]
    assert header.design == f"axft_{Manifest.load(shipped).hardware.config_hash:08x}"


def test_sources_still_make_the_design(shipped: Path) -> None:
    """As RTLIL, to the letter, by the version of Amaranth that made it."""
    manifest = Manifest.load(shipped)
    if manifest.tools["amaranth"] != version("amaranth"):
        pytest.skip(f"made by amaranth {manifest.tools['amaranth']}; here is {version('amaranth')}")
    report = json.loads((shipped / "report.json").read_text())
    assert hashlib.sha256(zynq_rtlil(manifest.hardware).encode()).hexdigest() == report["rtlil_sha256"]


def test_whole_directory_stays_small() -> None:
    """It is copied with every clone."""
    assert sum(path.stat().st_size for path in DIRECTORY.rglob("*") if path.is_file()) < 3_500_000


def test_bring_up_bitstream_is_the_one_that_the_sources_make(tmp_path: Path) -> None:
    """Built again where the tools are, in the versions that made it: the same digest."""
    shipped = DIRECTORY / "bring-up"
    report = json.loads((shipped / "report.json").read_text())
    content = lzma.decompress((shipped / "bring_up.bit.xz").read_bytes())
    record = report["files"]["bring_up.bit"]
    assert (len(content), hashlib.sha256(content).hexdigest()) == (record["size_bytes"], record["sha256"])
    assert report["read_back"]["differences"] == 0
    try:
        tools = find_tools()
    except BackendError as error:
        pytest.skip(str(error))
    netlist = synthesise(to_rtlil(ZynqTop(BringUp()), ZYNQ_NAME, {}))
    for name, here in {**tools.versions, "yosys": yosys_version(netlist["creator"])}.items():
        if report["tools"][name] != here:
            pytest.skip(f"made by {name} {report['tools'][name]}; here is {here}")
    routed = place_and_route(tools, netlist, ZYNQ_NAME, tmp_path, clock_mhz=50.0, seed=1, progress=lambda line: None)
    bitstream, _ = make_bitstream(tools, routed.fasm, tmp_path, "axft_bring_up", lambda line: None)
    assert hashlib.sha256(bitstream.to_bytes()).hexdigest() == record["sha256"]
