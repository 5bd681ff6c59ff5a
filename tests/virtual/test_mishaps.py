"""What goes wrong on a board is told, in words that say what to do."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from axft_host.backends.bitstreams import BitstreamFiles, find_bitstream, open_bitstream
from axft_host.backends.overlay import load_overlay
from axft_host.device.port import PortDeadError
from axft_host.device.self_test import self_test
from axft_host.testing.virtual_bitstream import virtual_bit, write_virtual_overlay
from axft_host.testing.virtual_zynq import Mishaps, virtual_zynq
from axft_hw.build.hwh import hwh
from axft_spec.config import find_preset
from axft_spec.errors import BackendError
from axft_spec.faults import Site
from axft_spec.hardware import HardwareConfig
from axft_spec.regmap import register
from axft_spec.scanmap import ScanMap
from support.virtual_board import needs_pynq, rtl_port, stuck_scan_cell, virtual_board

needs_pynq()

CONFIG = find_preset("34P").config.resized(4, 4)
HARDWARE = HardwareConfig(array=CONFIG)


def files() -> BitstreamFiles:
    """Return the board's own files."""
    return find_bitstream(CONFIG, None, tuple(Site))


def test_unanswered_address_is_told_where_it_can_be(device: Any) -> None:
    """A real processor stands still there, so that there is nobody to tell."""
    device.mishaps.unanswered = {register("STATUS").offset}
    with pytest.raises(
        PortDeadError, match="nothing answers at 0x00048: the processor of a Zynq-7000 would stand still"
    ):
        load_overlay(files())


@pytest.mark.parametrize(
    ("name", "word", "message"),
    [
        ("ID", 0, "no accelerator here: register ID is 0x00000000, not 0x41584654"),
        ("REGMAP_HASH", 0xBAD, r"register map of the device is 0x00000bad .* use the bitstream that was built with"),
        ("CONFIG_HASH", 0xBAD, r"configuration hash of the device is 0x00000bad, not 0x"),
        ("SCAN_BITS", 7, r"the device is another one: register SCAN_BITS holds"),
    ],
)
def test_device_that_is_not_the_manifests_is_told(name: str, word: int, message: str, device: Any) -> None:
    """By the register that differs."""
    device.mishaps.words[register(name).offset] = word
    with pytest.raises(BackendError, match=message):
        load_overlay(files())


@pytest.mark.parametrize("value", [0, 1])
def test_stuck_cell_of_the_scan_chain_is_found_and_located(value: int) -> None:
    """By the self-test, from what faults do."""
    position = 100
    with virtual_board(["34P"], (4, 4), stuck_scan_cell(position, value)):
        loaded = load_overlay(files())
        checks = {check.name: check for check in self_test(loaded.accelerator)}
    assert not checks["scan chain"].passed
    place = ScanMap(HARDWARE).site_at(position)
    assert f"the first bit that cannot be armed is {place}, position {position}" in checks["scan chain"].text
    assert checks["registers"].passed


def test_clock_that_does_not_read_back_is_told(tmp_path: Path) -> None:
    """Deadlines would be wrong, and the array might be too fast for its timing."""
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(HARDWARE, clock_mhz=50))
    with (
        virtual_zynq(rtl_port, mishaps=Mishaps(clock_stuck=True)),
        pytest.raises(
            BackendError, match="fabric clock reads back as 100 MHz after it was set to 50 MHz; allowed: 1% apart"
        ),
    ):
        load_overlay(open_bitstream(bit))


def test_clock_is_what_the_bitstream_was_built_for(tmp_path: Path) -> None:
    """Set from the .hwh, and read back."""
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(HARDWARE, clock_mhz=85))
    with virtual_zynq(rtl_port):
        loaded = load_overlay(open_bitstream(bit))
        assert loaded.clock_mhz == pytest.approx(83.333333)
        assert loaded.accelerator.port.clock_hz == pytest.approx(83.333333e6)


def test_no_root_is_told(device: Any) -> None:
    """With what to run."""
    device.mishaps.root = False
    with pytest.raises(BackendError, match=r"needs root, .* `sudo -i`"):
        load_overlay(files())


def test_stale_metadata_that_pynq_kept_is_not_used(tmp_path: Path) -> None:
    """A new .hwh beside the same .bit: pynq itself would take the old addresses."""
    from pynq import Overlay

    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(HARDWARE))
    (tmp_path / "34P" / "manifest.json").unlink()
    new = bit.with_suffix(".hwh")
    with virtual_zynq(rtl_port, state=tmp_path / "state"):
        load_overlay(open_bitstream(bit))
        new.write_text(new.read_text().replace("0x400", "0x480"))
        assert Overlay(str(bit), download=False).ip_dict["axft_0"]["phys_addr"] == 0x40000000
        loaded = load_overlay(open_bitstream(bit))
        assert loaded.overlay.ip_dict["axft_0"]["phys_addr"] == 0x48000000
        assert loaded.accelerator.hardware == HARDWARE
        # What is kept now is the new one.
        assert Overlay(str(bit), download=False).ip_dict["axft_0"]["phys_addr"] == 0x48000000


def test_hwh_of_another_device_is_refused_before_anything_is_loaded(tmp_path: Path) -> None:
    """By its configuration hash."""
    other = HardwareConfig(array=CONFIG.resized(5, 5))
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(other))
    with virtual_zynq(rtl_port) as device:
        with pytest.raises(BackendError, match=r"axft\.hwh belongs to another bitstream or version: CONFIG_HASH is"):
            load_overlay(open_bitstream(bit))
        assert device.downloads == 0


def test_bitstream_with_a_wrong_manifest_is_told_by_the_device(tmp_path: Path) -> None:
    """The files agree with each other, and not with what is in the bitstream."""
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(HARDWARE))
    manifest = bit.parent / "manifest.json"
    from axft_spec.manifest import FileRecord

    wrong = virtual_bit(HardwareConfig(array=CONFIG.resized(2, 2)))
    old = FileRecord.of(bit.read_bytes())
    bit.write_bytes(wrong)
    new = FileRecord.of(wrong)
    text = manifest.read_text().replace(old.sha256, new.sha256)
    manifest.write_text(text.replace(f'"size_bytes": {old.size_bytes}', f'"size_bytes": {new.size_bytes}'))
    with virtual_zynq(rtl_port), pytest.raises(BackendError, match="the device is another one: register ARRAY holds"):
        load_overlay(open_bitstream(bit))


def test_file_that_is_no_bitstream_is_told(tmp_path: Path) -> None:
    """As pynq says it, with what was done."""
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(HARDWARE))
    (bit.parent / "manifest.json").unlink()
    bit.write_bytes(bit.read_bytes()[:40])
    with virtual_zynq(rtl_port), pytest.raises(BackendError, match=r"pynq failed at reading axft\.hwh: "):
        load_overlay(open_bitstream(bit))


def test_pc_with_pynq_and_no_board_says_what_to_use(tmp_path: Path) -> None:
    """In a process without a virtual board."""
    bit = write_virtual_overlay(tmp_path / "34P", HARDWARE, hwh(HARDWARE))
    arguments = [
        "inject",
        "--board",
        "pynq",
        "--config",
        "34P",
        "--faults",
        "2",
        "--images",
        "1",
        "--bitstream",
        str(bit),
    ]
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "axft_host.cli", *arguments],
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert run.returncode == 2
    assert "pynq finds no board here" in run.stderr.splitlines()[-1]
    assert "use --board emu or rtl" in run.stderr.splitlines()[-1]


def test_error_response_ends_the_process_where_it_is_played_for_real(tmp_path: Path) -> None:
    """By the signal that Linux sends: what a supervisor has to survive."""
    code = """
import sys
from support.virtual_board import virtual_board
from axft_host.testing.virtual_zynq import Mishaps
from axft_host.backends.bitstreams import find_bitstream
from axft_host.backends.overlay import load_overlay
from axft_spec.config import find_preset

with virtual_board(["34P"], (2, 2), mishaps=Mishaps(for_real=True)):
    loaded = load_overlay(find_bitstream(find_preset("34P").config, None, ()))
    print("loaded", flush=True)
    loaded.accelerator.port.write32(0, 1)
"""
    path = os.pathsep.join([str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")])
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": path},
        check=False,
    )
    assert (run.stdout, run.returncode) == ("loaded\n", -signal.SIGBUS), run.stderr
