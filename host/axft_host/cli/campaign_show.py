"""``axft-hw campaign status`` and ``list``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json, print_tables

__all__ = ["list_command", "status_command"]


@click.command("status", cls=Command, short_help="Say how far a campaign is, also while it runs.")
@click.argument("directory", metavar="DIR", type=PATH)
@json_option
def status_command(directory: Path, as_json: bool) -> None:
    """Say how far the campaign or the single result in DIR is. Nothing is changed, and nobody is held up."""
    from axft_host.campaign.directory import states
    from axft_host.campaign.locking import is_locked

    found = states(directory)
    if as_json:
        print_json({"directory": str(directory), "runs": [one.to_json() for one in found]})
        return
    from axft_host.reports.campaigns import state_table

    print_tables(state_table(found))
    if any(one.state != "complete" for one in found) and not is_locked(directory):
        click.echo(f"`axft-hw campaign resume {directory}` goes on")


@click.command("list", cls=Command, short_help="List campaigns and results.")
@click.argument("root", required=False, type=PATH)
@json_option
def list_command(root: Path | None, as_json: bool) -> None:
    """List the campaigns and results in ROOT, a directory; axft-results if not given. Oldest first."""
    from axft_host.campaign.directory import find_results, states

    found = [(path, states(path)) for path in find_results(root)]
    if as_json:
        print_json([{"directory": str(path), "runs": [one.to_json() for one in runs]} for path, runs in found])
        return
    from axft_host.reports.campaigns import list_table

    print_tables(list_table([(str(path), runs) for path, runs in found]))
