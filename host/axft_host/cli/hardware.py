"""Options of commands that make hardware, and what they amount to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from axft_host.cli.options import INT, all_of

if TYPE_CHECKING:
    from axft_spec.hardware import HardwareConfig

__all__ = ["hardware_of", "hardware_options", "required_config_option"]

required_config_option = click.option(
    "--config",
    required=True,
    metavar="C",
    help="Operand width and multiplier: Baseline, 8P, 2PT, 2QH, 2R5, 34P or 2TE; see `axft-hw configs`.",
)

#: What a device has beside its array; `hardware_of` takes their values.
hardware_options = all_of(
    click.option(
        "--sites",
        default="weight",
        show_default=True,
        metavar="S[,S...]",
        help="Fault sites that the hardware has: weight (what the published study injects into), activation, "
        "weight_operand, activation_operand, product, psum, or all, or none. Each costs logic in every PE.",
    ),
    click.option(
        "--operand-steps",
        type=INT,
        default=512,
        show_default=True,
        help="Depth of each operand buffer in steps of K, both halves together: a power of two from 16 to 512. Longer "
        "sums are fed in chunks.",
    ),
    click.option(
        "--no-counter",
        is_flag=True,
        help="Leave out what counts activations of faults; such a device runs no campaigns.",
    ),
    click.option(
        "--operand-a",
        default="weight",
        show_default=True,
        metavar="[weight|activation]",
        help="Which operand is A of the multiplier, if it treats them differently.",
    ),
)


def hardware_of(
    config: str, physical: str, *, sites: str, operand_steps: int, no_counter: bool, operand_a: str
) -> tuple[str, HardwareConfig]:
    """Return the name of the preset, and the device that the options describe."""
    from dataclasses import replace

    from axft_spec.config import find_preset, parse_array
    from axft_spec.hardware import HardwareConfig, parse_sites

    rows, cols = parse_array(physical)
    preset = find_preset(config)
    hardware = HardwareConfig(
        array=replace(preset.config, rows=rows, cols=cols, operand_a=operand_a),
        sites=parse_sites(sites),
        operand_steps=operand_steps,
        counter=not no_counter,
    )
    return preset.name, hardware
