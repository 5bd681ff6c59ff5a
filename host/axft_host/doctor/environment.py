"""What a board runs on: versions, the system image, temperatures and voltages. Nothing here says whose it is."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from axft_host.campaign.versions import own_version
from axft_spec.regmap import REGMAP_HASH, VERSION

__all__ = ["image_facts", "processor_facts", "sensor_readings", "versions"]

_PACKAGES = ("numpy", "pandas", "click", "rich", "pyserial", "tomli", "pynq")

#: Files in which systems say what they are. REVISION is the PYNQ image's own.
_RELEASE_FILES = ("etc/os-release", "etc/xilinx-release", "etc/petalinux-release", "home/xilinx/REVISION")

#: Variables that a PYNQ image sets and that pynq looks at.
_VARIABLES = ("BOARD", "PYNQ_PYTHON", "XILINX_XRT", "VIRTUAL_ENV")

#: Longest text that is taken from a file of the system.
_MOST_TEXT = 2000


def versions() -> dict[str, str]:
    """Return the versions of what runs: the package, its register map, Python, packages, kernel; ``-`` if missing."""
    found = {
        "axft-hw": own_version(),
        "gateware": ".".join(map(str, VERSION)),
        "register map": f"{REGMAP_HASH:08x}",
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "kernel": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "libc": " ".join(platform.libc_ver()).strip() or "-",
    }
    for package in _PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            found[package] = "-"
    return found


def image_facts(root: Path = Path("/")) -> dict[str, str]:
    """Return what the system image says that it is: release files, by path, and variables, by name.

    Parameters
    ----------
    root : Path
        Of the file system.
    """
    found = {}
    for name in _RELEASE_FILES:
        text = _read(root / name)
        if text is not None:
            lines = text.splitlines()
            found[f"/{name}"] = "\n".join(line for line in lines if "_URL=" not in line)
    found |= {name: os.environ[name] for name in _VARIABLES if name in os.environ}
    return found


def processor_facts(root: Path = Path("/")) -> dict[str, Any]:
    """Return what is known of processor and memory: model, cores, memory in MiB, whether this process is root's."""
    cpu, memory = _read(root / "proc/cpuinfo") or "", _read(root / "proc/meminfo") or ""
    models = [line.partition(":")[2].strip() for line in cpu.splitlines() if line.lower().startswith("model name")]
    total = [line.split()[1] for line in memory.splitlines() if line.startswith("MemTotal:")]
    return {
        "model": models[0] if models else "-",
        "cores": os.cpu_count() or 0,
        "memory_mib": int(total[0]) // 1024 if total and total[0].isdigit() else None,
        "root": hasattr(os, "geteuid") and os.geteuid() == 0,
    }


def sensor_readings(root: Path = Path("/")) -> dict[str, Any]:
    """Return temperatures in degrees Celsius and voltages in volts, as Linux's industrial I/O shows them.

    The ABI (Documentation/ABI/testing/sysfs-bus-iio of the Linux kernel) has a processed value as
    ``(raw + offset) * scale``, in thousandths of a degree and of a volt. On a Zynq-7000 the device is the XADC.

    Returns
    -------
    dict
        ``why`` if there is nothing to read; else ``devices``, by name, with values by channel.
    """
    base = root / "sys/bus/iio/devices"
    devices: dict[str, dict[str, float]] = {}
    for directory in sorted(base.glob("iio:device*")) if base.is_dir() else []:
        channels = dict(_channels(directory))
        if channels:
            devices[_read(directory / "name") or directory.name] = channels
    if devices:
        return {"devices": devices}
    return {"why": "this machine shows no sensors under /sys/bus/iio/devices (a PYNQ-Z2's XADC would be there)"}


def _channels(directory: Path) -> Iterator[tuple[str, float]]:
    for raw in sorted(directory.glob("in_*_raw")):
        name = raw.name.removeprefix("in_").removesuffix("_raw")
        kind = name.rstrip("0123456789").split("_")[0].rstrip("0123456789")
        if kind not in ("temp", "voltage"):
            continue
        value = _number(raw)
        # A scale or an offset may be that of one channel, or of all of its kind.
        scale = _first_number(directory, name, kind, "scale")
        if value is None or scale is None:
            continue
        offset = _first_number(directory, name, kind, "offset") or 0.0
        unit = "celsius" if kind == "temp" else "volts"
        yield f"{name}_{unit}", round((value + offset) * scale / 1000, 4)


def _first_number(directory: Path, name: str, kind: str, what: str) -> float | None:
    for each in (name, name.split("_", maxsplit=1)[0], kind):
        found = _number(directory / f"in_{each}_{what}")
        if found is not None:
            return found
    return None


def _number(path: Path) -> float | None:
    text = _read(path)
    try:
        return None if text is None else float(text.split()[0])
    except (ValueError, IndexError):
        return None


def _read(path: Path) -> str | None:
    """Return the text of a small file of the system; None if it cannot be read."""
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(_MOST_TEXT).strip()
    except OSError:
        return None
