"""``axft-hw campaign status`` and ``list``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

__all__ = ["list_command", "status_command"]


@click.command("status", cls=Command, short_help="Say how far a campaign is, also while it runs.")
@click.argument("directory", metavar="DIR", type=PATH)
@json_option
def status_command(directory: Path, as_json: bool) -> None:
    """Say how far the campaign or the single result in DIR is. Nothing is changed, and nobody is held up.

    A run whose store cannot be read, or is of another plan, is shown with the others; then the command fails.
    """
    from axft_host.campaign.directory import orphans, states
    from axft_host.campaign.locking import is_locked
    from axft_host.reports.campaigns import rule_facts, state_table
    from axft_spec.errors import StoreError

    found, others = states(directory), orphans(directory)
    if as_json:
        runs = [one.to_json() for one in found]
        print_json({"directory": str(directory), "runs": runs, "orphans": others})
    else:
        print_tables(state_table(found))
        for fact in rule_facts(found):
            click.echo(fact)
    if others:
        print_notes([f"no runs of this campaign, and left alone: {', '.join(others)} in {directory}"])
    problems = [one.problem for one in found if one.problem is not None]
    if problems:
        print_notes(problems[:-1])
        raise StoreError(problems[-1])
    if not as_json and any(one.state != "complete" for one in found) and not is_locked(directory):
        click.echo(f"`axft-hw campaign resume {directory}` goes on")


@click.command("list", cls=Command, short_help="List campaigns and results.")
@click.argument("root", required=False, type=PATH)
@json_option
def list_command(root: Path | None, as_json: bool) -> None:
    """List the campaigns and results in ROOT, a directory; axft-results if not given. Oldest first.

    What cannot be read is listed as unreadable, with the reason.
    """
    from axft_host.campaign.directory import RunState, find_results, states
    from axft_spec.errors import AxftError

    found: list[tuple[Path, list[RunState]]] = []
    for path in find_results(root):
        try:
            found.append((path, states(path)))
        except AxftError as error:
            found.append(
                (path, [RunState(name=path.name, directory=str(path), state="unreadable", problem=str(error))])
            )
    if as_json:
        print_json([{"directory": str(path), "runs": [one.to_json() for one in runs]} for path, runs in found])
        return
    from axft_host.reports.campaigns import list_table

    print_tables(list_table([(str(path), runs) for path, runs in found]))
    print_notes(one.problem for _, runs in found for one in runs if one.problem is not None)
