"""``axft-hw campaign compare``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json, print_tables

__all__ = ["command"]


@click.command("compare", cls=Command, short_help="Compare configurations on the same faults.")
@click.argument("results", type=PATH, nargs=-1, required=True, metavar="DIR...")
@click.option(
    "--outcome",
    default="critical",
    metavar="[masked|tolerable|critical]",
    show_default=True,
    help="The class of outcomes whose rates are compared.",
)
@json_option
def command(results: tuple[Path, ...], outcome: str, as_json: bool) -> None:
    """Compare the rates of configurations that met the same faults on the same images.

    DIR is a result, or a campaign, which stands for its results. Of those, every two are compared whose fault spaces,
    faults, images and lowering are the same: 8-bit configurations among each other, not with the 16-bit one. The test
    flips the signs of the differences fault by fault, so that the images of a fault stay together; p-values are
    corrected for all comparisons that are printed (Holm). `axft-hw diff` tells whether two results are equal.
    """
    from axft_host.campaign.contrast import contrasts
    from axft_host.reports.campaigns import contrast_table
    from axft_host.reports.labels import find_results

    found = contrasts(find_results(results), outcome)
    if as_json:
        print_json({"comparisons": [one.to_json() for one in found]})
        return
    print_tables(contrast_table(found))
    click.echo(f"{found[0].test.method}; intervals by betting, each on its own; Holm over {len(found)} comparisons")
