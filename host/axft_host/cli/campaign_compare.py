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
    """Compare configurations that met the same faults on the same images, fault by fault.

    DIR is a result, or a campaign, which stands for its results. Of those, every two configurations are compared, once,
    whose fault spaces, faults, images and lowering are the same: 8-bit ones among each other, not with the 16-bit one.

    The difference is the mean of A - B over these faults, certainly masked ones as they were drawn; its interval holds
    for the mean over the fault space. The p-value is of the hypothesis that under every single fault it makes no
    difference which of the two it meets, which is more than equal rates: it can be small where the interval holds 0. It
    is found by flipping the signs of the differences fault by fault, and corrected for all comparisons that are printed
    (Holm). `axft-hw diff` tells whether two results are equal.
    """
    from axft_host.campaign.contrast import contrasts
    from axft_host.reports.campaigns import contrast_table
    from axft_host.reports.labels import find_results

    found, reasons = contrasts(find_results(results), outcome)
    if as_json:
        print_json({"comparisons": [one.to_json() for one in found], "not_compared": reasons})
        return
    print_tables(contrast_table(found))
    click.echo("p: under every fault it makes no difference which configuration it meets; sign flips over faults")
    corrected = "Holm, over 1 comparison" if len(found) == 1 else f"Holm, over {len(found)} comparisons"
    click.echo(f"p, corrected: {corrected}; interval: of the mean difference, by betting, each on its own")
    if reasons:
        click.echo(f"{len(reasons)} pairs of results cannot be compared; the last: {reasons[-1]}")
