"""Look-up tables, flip-flops, carry chains and block RAMs of PEs and of whole designs, by yosys for 7-series devices.

For each configuration and size: without fault sites, with the paper's site (weight), and with all of them, so that the
price of fault injection is known. A PE is counted by itself; a design is the whole block with its AXI slave, registers
and buffers. "LUT of PE" times the number of PEs is more than the share of the PEs in a design: copies share a few.
"Sites" are what a PE's look-up tables take when two small ones share one.

    python benchmarks/area.py
    python benchmarks/area.py --configs 34P --arrays 28x28 --sites weight
"""

from __future__ import annotations

import argparse
import json
import time

from axft_hw.build.area import Area, area_and_sites
from axft_hw.pe import ProcessingElement
from axft_hw.top import Top
from axft_spec.config import find_preset, parse_array
from axft_spec.hardware import HardwareConfig, parse_sites

#: What an XC7Z020 has (Zynq-7000 SoC Data Sheet: Overview, DS190, table 1).
DEVICE = {"luts": 53_200, "flip_flops": 106_400, "bram36": 140}


def cells(area: Area) -> dict[str, float]:
    """Return the columns of one design."""
    return {
        "luts": area.luts,
        "memory_luts": area.memory_luts,
        "flip_flops": area.flip_flops,
        "carry4": area.carry4,
        "bram36": area.bram36,
        "dsps": area.dsps,
    }


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--configs", default="8P,34P,Baseline")
    parser.add_argument("--arrays", default="8x8,16x16")
    parser.add_argument("--sites", default="none;weight;all", help="sets of fault sites, separated by semicolons")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    options = parser.parse_args()
    if not options.json:
        counts = ["LUT", "sites", "FF", "CARRY4"]
        titles = ["config", "fault sites", "array", *(f"PE: {each}" for each in counts), *counts]
        titles += ["BRAM36", "sites, % of XC7Z020", "s"]
        print(f"| {' | '.join(titles)} |")
        print("|---" * len(titles) + "|")
    for config in options.configs.split(","):
        for sites in options.sites.split(";"):
            pe: Area | None = None
            pe_sites = 0
            for array in options.arrays.split(","):
                logical = find_preset(config).config.resized(*parse_array(array))
                hardware = HardwareConfig(array=logical, sites=parse_sites(sites))
                if pe is None:
                    pe, pe_sites = area_and_sites(ProcessingElement(hardware))
                start = time.monotonic()
                design, design_sites = area_and_sites(Top(hardware))
                seconds = time.monotonic() - start
                if options.json:
                    row = {
                        "config": config,
                        "sites": sites,
                        "array": array,
                        "pe": cells(pe) | {"sites": pe_sites},
                        "design": cells(design) | {"sites": design_sites},
                    }
                    print(json.dumps({**row, "seconds": round(seconds, 1)}), flush=True)
                    continue
                row_of_pe = f"{pe.luts} | {pe_sites} | {pe.flip_flops} | {pe.carry4}"
                print(
                    f"| {config} | {sites} | {array} | {row_of_pe} | {design.luts:,} | {design_sites:,} "
                    f"| {design.flip_flops:,} | {design.carry4:,} | {design.bram36:g} "
                    f"| {100 * design_sites / DEVICE['luts']:.1f} | {seconds:.0f} |",
                    flush=True,
                )


if __name__ == "__main__":
    main()
