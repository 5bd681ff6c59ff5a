"""``axft-hw generate``."""

from __future__ import annotations

import time
from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

__all__ = ["command"]


@click.command("generate", cls=Command, short_help="Write an accelerator as Verilog, with its maps.")
@click.option(
    "--config",
    required=True,
    metavar="C",
    help="Operand width and multiplier: Baseline, 8P, 2PT, 2QH, 2R5, 34P or 2TE; see `axft-hw configs`.",
)
@click.option(
    "--physical",
    default="28x28",
    show_default=True,
    metavar="RxC",
    help="The array that is built, rows x columns of PEs, up to 64x64. Campaigns on larger logical arrays are folded "
    "onto it.",
)
@click.option(
    "--sites",
    default="weight",
    show_default=True,
    metavar="S[,S...]",
    help="Fault sites that the hardware has: weight (what the published study injects into), activation, "
    "weight_operand, activation_operand, product, psum, or all, or none. Each costs logic in every PE.",
)
@click.option(
    "--operand-steps",
    type=INT,
    default=512,
    show_default=True,
    help="Depth of each operand buffer in steps of K, both halves together: a power of two from 16 to 512. Longer "
    "sums are fed in chunks.",
)
@click.option(
    "--no-counter", is_flag=True, help="Leave out what counts activations of faults; such a device runs no campaigns."
)
@click.option(
    "--operand-a",
    default="weight",
    show_default=True,
    metavar="[weight|activation]",
    help="Which operand is A of the multiplier, if it treats them differently.",
)
@click.option("--out", type=PATH, required=True, metavar="DIR", help="The new directory.")
@json_option
def command(
    config: str,
    physical: str,
    sites: str,
    operand_steps: int,
    no_counter: bool,
    operand_a: str,
    out: Path,
    as_json: bool,
) -> None:
    r"""Generate the hardware of an accelerator: one block with one AXI3 slave, for any FPGA flow.

    DIR gets axft_top.v (Verilog) and axft_top.il (RTLIL, for yosys), the register map and the map of the scan chain
    as JSON and Markdown, and manifest.json: configuration, hashes, digests, versions of the tools. The ports are
    aclk, aresetn and s_axi_*, from which Vivado infers the interfaces. Verilog needs yosys.

    \b
    Try:
      axft-hw generate --config 34P --physical 8x8 --out build/34P-8x8
    """
    from dataclasses import replace

    from axft_spec.config import find_preset, parse_array
    from axft_spec.errors import BackendError
    from axft_spec.hardware import HardwareConfig, parse_sites

    rows, cols = parse_array(physical)
    preset = find_preset(config)
    hardware = HardwareConfig(
        array=replace(preset.config, rows=rows, cols=cols, operand_a=operand_a),
        sites=parse_sites(sites),
        operand_steps=operand_steps,
        counter=not no_counter,
    )
    try:
        from axft_hw.build.generate import generate
    except ImportError as error:
        raise BackendError(
            f"generate needs {error.name}, which is not installed; on a PC `pip install axft-hw` brings it"
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
                "config": preset.name,
                "physical": f"{rows}x{cols}",
                "sites": [site.value for site in hardware.sites],
                "operand_steps": hardware.operand_steps,
                "counter": hardware.counter,
                "operand_a": operand_a,
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
        ("configuration", f"{preset.name}, {rows}x{cols} PEs"),
        ("fault sites", ", ".join(site.value for site in hardware.sites) or "none"),
        ("scan chain", f"{hardware.scan_bits:,} positions"),
        ("config hash", facts["config_hash"]),
        ("register map", facts["regmap_hash"]),
        ("directory", str(out)),
        *((name, f"{record.size_bytes:,} bytes") for name, record in sorted(manifest.files.items())),
        ("time", f"{seconds:.1f} s"),
    ]
    print_tables(facts_table(shown))
