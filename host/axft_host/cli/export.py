"""``axft-hw export``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import check_new_file, print_json

__all__ = ["command"]


@click.command("export", cls=Command, short_help="Write the faults of a result as CSV.")
@click.argument("result", type=PATH)
@click.option("--csv", "as_csv", is_flag=True, help="One line per fault, as CSV. This is the only format so far.")
@click.option("--out", type=PATH, metavar="FILE", help="The new file, with --csv; stdout if not given.")
@json_option
def command(result: Path, as_csv: bool, out: Path | None, as_json: bool) -> None:
    """Write the faults of RESULT, a result directory, for other programs.

    --json alone prints one document with the store and its faults. --out needs --csv; with --json as well, the
    document says what was written.
    """
    from axft_host.campaign.export import fault_rows, write_csv
    from axft_host.campaign.store import store_path
    from axft_spec.errors import ConfigError

    if not (as_csv or as_json):
        raise ConfigError("export needs a format; allowed: --csv, --json")
    if out is not None:
        if not as_csv:
            raise ConfigError("--out needs --csv; --json without --out prints to stdout")
        check_new_file(out)
        rows = write_csv(result, out)
        if as_json:
            print_json({"store": str(store_path(result)), "file": str(out), "rows": rows})
        else:
            click.echo(f"{rows:,} faults are in {out}")
    elif as_json:
        print_json({"store": str(store_path(result)), "faults": fault_rows(result)})
    else:
        write_csv(result, sys.stdout)
        # What cannot be written must show while errors are still told, not when Python exits.
        sys.stdout.flush()
