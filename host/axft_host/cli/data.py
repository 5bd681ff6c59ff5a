"""``axft-hw data``, ``data fetch`` and ``data export``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.group import Group
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables
from axft_spec.outputs import check_new_output

__all__ = ["command"]


@click.group("data", cls=Group, invoke_without_command=True, short_help="List, fetch or export data sets.")
@json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List the data sets that --data names, or fetch or export one.

    A directory of IDX files and an .npz file work for --data, too.
    """
    if ctx.invoked_subcommand is not None:
        return
    from axft_host.nn.datasets import list_datasets

    infos = list_datasets()
    if as_json:
        names = ("name", "title", "available", "images", "shape", "size_bytes", "location", "digest", "problem")
        print_json({"datasets": [{name: getattr(info, name) for name in names} for info in infos]})
        return
    from axft_host.reports.tables import datasets_table

    print_tables(datasets_table(infos))
    # The table says already what is absent: one line for all of it, and one for each set that is damaged.
    absent = [info for info in infos if "is not on this machine" in info.problem]
    notes = [info.problem for info in infos if not info.available and info not in absent]
    if absent:
        fetches = dict.fromkeys(info.name.partition(":")[0] for info in absent)
        notes.append(f"to download what is not here: {', '.join(f'`axft-hw data fetch {name}`' for name in fetches)}")
    print_notes(notes)


@command.command("fetch")
@click.argument("name")
@json_option
def fetch(name: str, as_json: bool) -> None:
    """Download the data set NAME (mnist or fashion-mnist) into your data directory, and check it.

    This is the only command that uses the network. Set $AXFT_DATA to choose the directory.
    """
    from axft_host.nn.datasets import fetch_dataset

    directory = fetch_dataset(name)
    if as_json:
        print_json({"name": name, "directory": str(directory)})
    else:
        click.echo(f"{name} is in {directory}; use it with --data {name}")


@command.command("export")
@click.argument("data", required=False)
@click.option("--images", type=INT, help="How many of its first images; all if not given.")
@click.option("--out", type=PATH, required=True, metavar="FILE.npz", help="The new file.")
@json_option
def export(data: str | None, images: int | None, out: Path, as_json: bool) -> None:
    """Write the data set DATA (mnist-5k if not given) to an .npz file that numpy alone reads, as on a board."""
    from axft_host.nn.datasets import export_npz, load_dataset

    check_new_output(out)
    dataset = load_dataset(data)
    if images is not None:
        dataset = dataset.take(images)
    export_npz(dataset, out)
    if as_json:
        print_json({"name": dataset.name, "images": len(dataset), "digest": dataset.digest, "file": str(out)})
    else:
        click.echo(f"{len(dataset):,} images of {dataset.name} are in {out}")
