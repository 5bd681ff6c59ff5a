"""``axft-hw generate``."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import click

from axft_host.cli.group import Command
from axft_host.cli.hardware import hardware_of, hardware_options, required_config_option
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

__all__ = ["command"]


@click.command("generate", cls=Command, short_help="Write an accelerator as Verilog, with its maps.")
@required_config_option
@click.option(
    "--physical",
    default="28x28",
    show_default=True,
    metavar="RxC",
    help="The array that is built, rows x columns of PEs, up to 64x64. Campaigns on larger logical arrays are folded "
    "onto it.",
)
@hardware_options
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The new directory.")
@json_option
def command(
    config: str,
    physical: str,
    out: Path,
    as_json: bool,
    **options: Any,
) -> None:
    """Generate the hardware of an accelerator: one block with one AXI3 slave, for any FPGA flow.

    DIR gets axft_top.v (Verilog) and axft_top.il (RTLIL, for yosys), the register map and the map of the scan chain
    as JSON and Markdown, and manifest.json: configuration, hashes, digests, versions of the tools. The ports are
    aclk, aresetn and s_axi_*, from which Vivado infers the interfaces. Verilog needs yosys.

    \b
    Try:
      axft-hw generate --config 34P --physical 8x8 --out build/34P-8x8
    """  # noqa: D301 -- click knows the character, not the escape
    from axft_spec.errors import BackendError, how_to_install

    name, hardware = hardware_of(config, physical, **options)
    array = hardware.array
    try:
        from axft_hw.build.generate import generate
    except ImportError as error:
        raise BackendError(
            f"generate needs {error.name}, which is not installed; on a PC {how_to_install()} brings it"
        ) from None

    lines: list[str] = []

    def progress(line: str) -> None:
        lines.append(line)
        print_notes([line])

    start = time.monotonic()
    manifest = generate(hardware, out, progress)
    seconds = time.monotonic() - start
    facts = manifest.to_json()
    if as_json:
        print_json(
            {
                "config": name,
                "physical": f"{array.rows}x{array.cols}",
                "sites": [site.value for site in hardware.sites],
                "operand_steps": hardware.operand_steps,
                "counter": hardware.counter,
                "operand_a": array.operand_a,
                "scan_bits": hardware.scan_bits,
                "directory": str(out),
                "config_hash": facts["config_hash"],
                "regmap_hash": facts["regmap_hash"],
                "files": facts["files"],
                "tools": facts["tools"],
                "notes": lines,
                "seconds": seconds,
            }
        )
        return
    from axft_host.reports.tables import facts_table

    shown = [
        ("configuration", f"{name}, {array.rows}x{array.cols} PEs"),
        ("fault sites", ", ".join(site.value for site in hardware.sites) or "none"),
        ("scan chain", f"{hardware.scan_bits:,} positions"),
        ("config hash", facts["config_hash"]),
        ("register map", facts["regmap_hash"]),
        ("directory", str(out)),
        *((file, f"{record.size_bytes:,} bytes") for file, record in sorted(manifest.files.items())),
        ("time", f"{seconds:.1f} s"),
    ]
    print_tables(facts_table(shown))
