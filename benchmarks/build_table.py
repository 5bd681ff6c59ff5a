"""What designs take of an XC7Z020 when they are placed and routed, from the reports that builds leave.

    axft-hw build --config 34P --physical 28x28 --out build/34P-28x28
    python benchmarks/build_table.py bitstreams/* build/*
    python benchmarks/build_table.py --frames bitstreams/*

Each directory needs a report.json, and for the table a manifest.json: the bring-up design has none. With --frames, each
bitstream is read once more by prjxray's own program, and its bits are turned into features with Project X-Ray's
database, from nothing but the file; that they are as many as the build compared, and that no bit is left, is printed.
It needs the open flow's tools, and a minute for a large design.
"""

from __future__ import annotations

import argparse
import json
import lzma
import subprocess
import tempfile
from pathlib import Path
from typing import Any

from axft_spec.config import PRESETS
from axft_spec.manifest import MANIFEST_NAME, Manifest


def name_of(manifest: Manifest) -> str:
    """Return the preset that a device computes."""
    array = manifest.hardware.array
    for name, preset in PRESETS.items():
        config = preset.config
        if (config.width, config.multiplier, config.operand_a) == (array.width, array.multiplier, array.operand_a):
            return name
    return f"width {array.width}, {array.multiplier.name}"


def print_resources(reports: dict[Path, dict[str, Any]]) -> None:
    """Print resources, timing and effort of designs that have a manifest."""
    titles = ["config", "array", "sites", "LUT", "%", "LUT / PEs", "FF", "CARRY4", "BRAM36", "DSP", "MHz, estimated"]
    titles += ["routed", "place and route: minutes of CPU", "memory, GiB"]
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    for directory, report in reports.items():
        if not (directory / MANIFEST_NAME).is_file():
            continue
        manifest = Manifest.load(directory)
        array = manifest.hardware.array
        used = {kind: use["used"] for kind, use in report["resources"].items()}
        effort = report["place_and_route"]
        cells = [
            name_of(manifest),
            f"{array.rows}x{array.cols}",
            ", ".join(site.value for site in manifest.hardware.sites) or "none",
            f"{used['LUT']:,.0f}",
            report["resources"]["LUT"]["percent"],
            f"{used['LUT'] / (array.rows * array.cols):.1f}",
            f"{used['FF']:,.0f}",
            f"{used['CARRY4']:,.0f}",
            f"{used['BRAM36']:g}",
            f"{used['DSP']:g}",
            report["timing"]["estimated_mhz"],
            "yes",
            f"{effort['cpu_seconds'] / 60:.1f}",
            f"{effort['peak_memory_mib'] / 1024:.1f}",
        ]
        print(f"| {' | '.join(map(str, cells))} |")


def print_frames(reports: dict[Path, dict[str, Any]]) -> None:
    """Print what each build compared with the database, and what its bitstream holds."""
    from axft_hw.build.open_flow.flow import open_database
    from axft_hw.build.open_flow.readback import bits_of_bitread, decode
    from axft_hw.build.open_flow.tools import find_tools

    tools = find_tools()
    database = open_database(tools)
    titles = ["design", "differences found by the build", "bits: of the build", "in the file", "features: of the build"]
    titles += ["in the file", "bits of no feature", "features without bits"]
    print(f"| {' | '.join(titles)} |")
    print("|---" * len(titles) + "|")
    for directory, report in reports.items():
        (path,) = directory.glob("*.bit*")
        content = path.read_bytes()
        with tempfile.TemporaryDirectory() as name:
            bit = Path(name) / "design.bit"
            bit.write_bytes(lzma.decompress(content) if path.suffix == ".xz" else content)
            command = [str(tools.bitread), f"--part_file={database.part_file}", "-y", "-z", "-o", "bits", str(bit)]
            subprocess.run(command, cwd=name, check=True, capture_output=True)
            ones = bits_of_bitread((Path(name) / "bits").read_text(encoding="ascii"))
        features, unexplained = decode(database, ones)
        built = report["read_back"]
        print(
            f"| {directory.name} | {built['differences']} | {built['bits']:,} | {len(ones):,} | {built['features']:,} "
            f"| {len(features):,} | {len(unexplained)} | {built['features_without_bits']:,} |",
            flush=True,
        )


def main() -> None:
    """Print one of the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("directories", type=Path, nargs="+")
    parser.add_argument("--frames", action="store_true", help="read the bitstreams back")
    options = parser.parse_args()
    reports = {
        directory: json.loads((directory / "report.json").read_text(encoding="utf-8"))
        for directory in options.directories
        if (directory / "report.json").is_file()
    }
    if options.frames:
        print_frames(reports)
    else:
        print_resources(reports)


if __name__ == "__main__":
    main()
