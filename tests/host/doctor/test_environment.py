"""What is read from a system: versions, image, sensors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from axft_host.doctor.environment import image_facts, processor_facts, sensor_readings, versions


def write(root: Path, files: dict[str, str]) -> None:
    """Write small files as a system has them."""
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"{text}\n", encoding="utf-8")


#: Numbers as a Zynq-7000's XADC gives them: 2605 counts are 47.5 degrees, 1362 are 0.998 V.
XADC = {
    "sys/bus/iio/devices/iio:device0/name": "xadc",
    "sys/bus/iio/devices/iio:device0/in_temp0_raw": "2605",
    "sys/bus/iio/devices/iio:device0/in_temp0_offset": "-2219",
    "sys/bus/iio/devices/iio:device0/in_temp0_scale": "123.040771484",
    "sys/bus/iio/devices/iio:device0/in_voltage0_vccint_raw": "1362",
    "sys/bus/iio/devices/iio:device0/in_voltage0_vccint_scale": "0.732421875",
    "sys/bus/iio/devices/iio:device0/in_voltage8_raw": "100",
    "sys/bus/iio/devices/iio:device0/in_voltage_scale": "2",
    "sys/bus/iio/devices/iio:device0/in_current1_raw": "5",
    "sys/bus/iio/devices/iio:device0/in_voltage9_raw": "not a number",
}


def test_temperatures_and_voltages_are_converted(tmp_path: Path) -> None:
    """Each channel with its own scale, or that of its kind; what cannot be read is left out."""
    write(tmp_path, XADC)
    assert sensor_readings(tmp_path) == {
        "devices": {"xadc": {"temp0_celsius": 47.4937, "voltage0_vccint_volts": 0.9976, "voltage8_volts": 0.2}}
    }


def test_machine_without_sensors_says_so(tmp_path: Path) -> None:
    """Most PCs, and a kernel without the driver."""
    assert set(sensor_readings(tmp_path)) == {"why"}
    write(tmp_path, {"sys/bus/iio/devices/iio:device0/name": "accelerometer"})
    assert set(sensor_readings(tmp_path)) == {"why"}


def test_image_is_named_by_its_release_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """REVISION is what a PYNQ image has; variables count too. Links of a distribution are left out."""
    monkeypatch.setenv("BOARD", "Pynq-Z2")
    monkeypatch.delenv("XILINX_XRT", raising=False)
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)
    write(
        tmp_path,
        {
            "etc/os-release": 'PRETTY_NAME="PynqLinux"\nHOME_URL="https://example.org"',
            "home/xilinx/REVISION": "Release 2022_10_11 0a1b2c3",
            "etc/hostname": "secret-lab-7",
        },
    )
    assert image_facts(tmp_path) == {
        "/etc/os-release": 'PRETTY_NAME="PynqLinux"',
        "/home/xilinx/REVISION": "Release 2022_10_11 0a1b2c3",
        "BOARD": "Pynq-Z2",
    }


def test_processor_is_named_without_its_serial_number(tmp_path: Path) -> None:
    """Of /proc/cpuinfo, which has one on ARM, the model alone is taken."""
    cpu = "processor\t: 0\nmodel name\t: ARMv7 Processor rev 0 (v7l)\n\nSerial\t\t: 0123456789abcdef"
    write(tmp_path, {"proc/cpuinfo": cpu, "proc/meminfo": "MemTotal:  504580 kB\nMemFree: 1 kB"})
    facts = processor_facts(tmp_path)
    assert (facts["model"], facts["memory_mib"]) == ("ARMv7 Processor rev 0 (v7l)", 492)
    assert "0123456789abcdef" not in str(facts)


def test_processor_of_an_empty_system_is_unknown(tmp_path: Path) -> None:
    """Nothing raises."""
    assert processor_facts(tmp_path)["model"] == "-"
    assert processor_facts(tmp_path)["memory_mib"] is None


def test_versions_name_what_runs() -> None:
    """Missing packages have a dash."""
    found = versions()
    assert found["numpy"] == np.__version__
    assert set(found) >= {"axft-hw", "gateware", "register map", "python", "kernel", "machine", "pynq", "pyserial"}
    assert all(found.values())
