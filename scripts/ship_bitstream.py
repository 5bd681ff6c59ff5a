#!/usr/bin/env python3
"""Bring what a build has left into the form of bitstreams/: the .bit file compressed, and nothing that follows from it.

    python scripts/ship_bitstream.py build/34P-28x28 bitstreams/34P-28x28
    python scripts/ship_bitstream.py --bring-up bitstreams/bring-up

The manifest keeps the digest of the .bit file, which the host checks after unpacking; the .bin file is left out: it
follows from the other. With --bring-up, the smallest design is built first, by the open flow: it has no array and so no
manifest, but a report with the digest of its .bit file.
"""

from __future__ import annotations

import argparse
import dataclasses
import hashlib
import json
import lzma
import tempfile
from pathlib import Path

from axft_spec.manifest import Manifest

LEFT_OUT = (".bin",)


def compressed(content: bytes) -> bytes:
    """Return a file's compressed form: the same for the same content and liblzma."""
    return lzma.compress(content, preset=9 | lzma.PRESET_EXTREME)


def ship(build: Path, out: Path) -> None:
    """Write a build's directory in its shipped form."""
    from axft_hw.build.output import write_directory

    manifest = Manifest.load(build)
    manifest.verify(build)
    kept = {name: record for name, record in manifest.files.items() if not name.endswith(LEFT_OUT)}
    contents = {}
    for name in kept:
        content = (build / name).read_bytes()
        if name.endswith(".bit"):
            contents[f"{name}.xz"] = compressed(content)
        else:
            contents[name] = content
    write_directory(out, contents, dataclasses.replace(manifest, files=kept))


def ship_bring_up(out: Path) -> None:
    """Build the bring-up design and write it in its shipped form."""
    from axft_hw.build.bring_up import BringUp
    from axft_hw.build.device import PART
    from axft_hw.build.flows import DEFAULT_CLOCK_MHZ
    from axft_hw.build.open_flow.flow import make_bitstream, place_and_route
    from axft_hw.build.open_flow.tools import find_tools
    from axft_hw.build.output import own_versions
    from axft_hw.build.synthesis import ZYNQ_NAME, synthesise
    from axft_hw.build.verilog import to_rtlil
    from axft_hw.build.yosys import yosys_version
    from axft_hw.build.zynq import ZynqTop

    tools = find_tools()
    netlist = synthesise(to_rtlil(ZynqTop(BringUp()), ZYNQ_NAME, {}))
    versions = {**own_versions(), "yosys": yosys_version(netlist["creator"]), **tools.versions}
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        routed = place_and_route(tools, netlist, ZYNQ_NAME, work, clock_mhz=DEFAULT_CLOCK_MHZ, seed=1, progress=print)
        bitstream, comparison = make_bitstream(tools, routed.fasm, work, "axft_bring_up", print)
    content = bitstream.to_bytes()
    report = {
        "design": "axft_hw.build.bring_up.BringUp",
        "part": PART,
        "files": {"bring_up.bit": {"size_bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}},
        "resources": routed.used,
        "timing": {"asked_mhz": DEFAULT_CLOCK_MHZ, "estimated_mhz": round(routed.fmax_mhz, 2)},
        "place_and_route": routed.effort,
        "read_back": {
            "bits": comparison.bits,
            "features": comparison.features,
            "features_by_tile_type": comparison.by_kind,
            "features_without_bits": comparison.silent,
            "differences": comparison.differences,
        },
        "tools": versions,
    }
    out.mkdir()
    (out / "bring_up.bit.xz").write_bytes(compressed(content))
    (out / "report.json").write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")


def main() -> None:
    """Ship one bitstream."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build", type=Path, nargs="?", help="what axft-hw build has left")
    parser.add_argument("out", type=Path, help="new directory")
    parser.add_argument("--bring-up", action="store_true", help="build the bring-up design, and ship that")
    options = parser.parse_args()
    if options.bring_up == (options.build is not None):
        parser.error("name a build or --bring-up")
    if options.bring_up:
        ship_bring_up(options.out)
    else:
        ship(options.build, options.out)


if __name__ == "__main__":
    main()
