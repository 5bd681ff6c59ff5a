"""``axft-hw compile``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, arithmetic_options, config_option, json_option, workload_options_of
from axft_host.cli.output import print_json, print_notes, print_tables
from axft_spec.outputs import check_new_output

__all__ = ["command"]


@click.command("compile", cls=Command, short_help="Compile a network for a configuration.")
@click.argument("model")
@config_option
@click.option("--out", type=PATH, required=True, metavar="FILE", help="The new file; numpy alone reads it.")
@arithmetic_options
@json_option
def command(out: Path, as_json: bool, **options: Any) -> None:
    """Quantise MODEL (an ONNX file, or a shipped network) for a configuration, and save it to one file.

    The file works as --model wherever numpy runs; onnx is not needed there.
    """
    from axft_host.campaign.workload import prepare_network

    check_new_output(out)
    made = prepare_network(workload_options_of(options))
    network = made.network
    network.save(out)
    print_notes(network.notices)
    facts = {
        "config": made.config_name,
        "model": network.name,
        "file": str(out),
        "digest": network.digest,
        "source_digest": network.source_digest,
        "width": network.width,
        "multiplier": network.multiplier.name,
        "operand_a": network.operand_a,
        "rounding": network.rounding,
        "compensated": network.compensated,
        "input_shape": list(network.input_shape),
        "layers": [layer.name for layer in network.multiplying_layers],
        "notices": list(network.notices),
    }
    if as_json:
        print_json(facts)
        return
    from axft_host.reports.tables import facts_table

    shown = ("config", "model", "file", "digest", "width", "multiplier", "rounding", "compensated")
    print_tables(facts_table([(name, str(facts[name])) for name in shown]))
