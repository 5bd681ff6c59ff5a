"""``axft-hw configs``."""

from __future__ import annotations

import click

from axft_host.cli.group import Command
from axft_host.cli.options import json_option
from axft_host.cli.output import print_json, print_tables

__all__ = ["command"]


@click.command("configs", cls=Command)
@json_option
def command(as_json: bool) -> None:
    """List the configurations that --config names.

    Each is an operand width with a multiplier on a 28 x 28 array; the fault space is that of stuck-at faults on
    every bit of every PE's weight. The energy reduction against Baseline is a fit to the published figures.
    """
    from axft_spec.config import PRESETS

    if as_json:
        from axft_host.reports.catalogue import configuration_rows

        print_json(configuration_rows(PRESETS.values()))
        return
    from axft_host.reports.tables import configs_table

    print_tables(configs_table(PRESETS.values()))
