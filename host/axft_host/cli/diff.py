"""``axft-hw diff``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.group import DIFFERENT, Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

__all__ = ["command"]


@click.command("diff", cls=Command, short_help="Compare two results pair by pair.")
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@json_option
@click.pass_context
def command(ctx: click.Context, a: Path, b: Path, as_json: bool) -> None:
    """Compare the results A and B pair by pair: the same faults on the same images.

    Exit code 0 if every outcome and every activation count is equal, 1 if not, 2 if they cannot be compared.
    """
    from axft_host.campaign.compare import compare

    result = compare(a, b)
    if as_json:
        print_json(result.to_json())
    else:
        print_notes(f"{name}: {one} in A, {other} in B" for name, (one, other) in result.settings.items())
        click.echo(
            f"{result.pairs:,} pairs compared ({result.faults:,} faults), {result.differing_pairs:,} differ; "
            f"activated differs for {result.differing_activated:,} faults, status for {result.differing_status:,}; "
            f"golden runs {'equal' if result.golden_equal else 'differ'}"
        )
        if result.first:
            from axft_host.reports.tables import difference_table

            print_tables(difference_table(result))
            more = result.differing_pairs - len(result.first)
            if more:
                click.echo(f"and {more:,} more")
    if not result.equal:
        ctx.exit(DIFFERENT)
