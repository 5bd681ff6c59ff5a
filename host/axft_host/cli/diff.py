"""``axft-hw diff``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from axft_host.cli.group import DIFFERENT, Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

if TYPE_CHECKING:
    from axft_host.campaign.compare import Comparison

__all__ = ["command"]


@click.command("diff", cls=Command, short_help="Compare two results, or two campaigns, pair by pair.")
@click.argument("a", type=PATH)
@click.argument("b", type=PATH)
@json_option
@click.pass_context
def command(ctx: click.Context, a: Path, b: Path, as_json: bool) -> None:
    """Compare the results A and B pair by pair: the same faults on the same images.

    Of two campaign directories, every run of A is compared with the one of B that has the same name.

    Exit code 0 if every outcome and every activation count is equal, 1 if not, 2 if they cannot be compared.
    """
    from axft_host.campaign.compare import compare, compare_campaigns
    from axft_host.campaign.directory import is_campaign_dir

    if is_campaign_dir(a) and is_campaign_dir(b):
        named = compare_campaigns(a, b)
        equal = all(result.equal for _, result in named)
        if as_json:
            runs = [{"run": name, **result.to_json()} for name, result in named]
            print_json({"a": str(a), "b": str(b), "equal": equal, "runs": runs})
        else:
            for name, result in named:
                _print(result, f"{name}: ")
    else:
        result = compare(a, b)
        equal = result.equal
        if as_json:
            print_json(result.to_json())
        else:
            _print(result)
    if not equal:
        ctx.exit(DIFFERENT)


def _print(result: Comparison, head: str = "") -> None:
    """Print a comparison in a few lines."""
    print_notes(f"{head}{name}: {one} in A, {other} in B" for name, (one, other) in result.settings.items())
    click.echo(
        f"{head}{result.pairs:,} pairs compared ({result.faults:,} faults), {result.differing_pairs:,} differ; "
        f"activated differs for {result.differing_activated:,} faults, status for {result.differing_status:,}; "
        f"golden runs {'equal' if result.golden_equal else 'differ'}"
    )
    if result.differing_correct or result.differing_certain:
        click.echo(
            f"{head}recognised images differ for {result.differing_correct:,} faults, certainty of masking for "
            f"{result.differing_certain:,}"
        )
    if result.first:
        from axft_host.reports.tables import difference_table

        print_tables(difference_table(result))
        more = result.differing_pairs - len(result.first)
        if more:
            click.echo(f"and {more:,} more")
