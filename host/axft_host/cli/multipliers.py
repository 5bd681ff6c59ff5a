"""``axft-hw multipliers``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json, print_tables
from axft_spec.outputs import check_new_output

__all__ = ["command"]


@click.command("multipliers", cls=Command, short_help="List the approximate multipliers with their errors.")
@click.argument("name", required=False)
@click.option(
    "--width", type=INT, default=12, show_default=True, help="Operand width in bits for the error figures, 2 to 13."
)
@click.option(
    "--table",
    "table",
    type=PATH,
    metavar="FILE.npy",
    help="Also write the truth table of the part NAME: int32, operand A along axis 0, B along axis 1.",
)
@json_option
def command(name: str | None, width: int, table: Path | None, as_json: bool) -> None:
    """List the approximate multipliers, or the one called NAME, with their errors computed here.

    MAE is the mean absolute error, WCE the worst-case error, EP the share of operand pairs with any error, over
    all pairs of operands of --width bits. Power, area and delay are those published for the 12-bit parts.
    """
    from axft_spec.errors import ConfigError
    from axft_spec.multipliers import PARTS, error_figures, find_part

    parts = list(PARTS.values()) if name is None else [find_part(name)]
    if table is not None and name is None:
        raise ConfigError(f"--table needs the NAME of one part; allowed: {', '.join(PARTS)}")
    if table is not None:
        check_new_output(table)
    rows = [(part, error_figures(part.multiplier, width)) for part in parts]
    digest = None
    if table is not None:
        from axft_host.campaign.truth_table import write_truth_table

        digest = write_truth_table(parts[0].multiplier, width, table)
    if as_json:
        written = {} if table is None else {"table": str(table), "table_sha256": digest}
        from axft_host.reports.catalogue import multiplier_rows

        print_json([{**row, **written} for row in multiplier_rows(rows, width)])
        return
    from axft_host.reports.tables import facts_table, multipliers_table

    print_tables(multipliers_table(rows, width))
    if table is not None:
        print_tables(facts_table([("table", str(table)), ("sha256 of the array", str(digest))]))
