"""``axft-hw export``."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from axft_host.cli.group import Command
from axft_host.cli.options import PATH, json_option
from axft_host.cli.output import print_json
from axft_spec.outputs import check_new_output

__all__ = ["command"]


@click.command("export", cls=Command, short_help="Write the faults of a result as CSV or Parquet.")
@click.argument("result", type=PATH)
@click.option("--csv", "as_csv", is_flag=True, help="One line per fault, as CSV.")
@click.option("--parquet", "as_parquet", is_flag=True, help="One row per fault, as Parquet; needs --out and pyarrow.")
@click.option(
    "--out", type=PATH, metavar="FILE", help="The new file, with --csv or --parquet; stdout for CSV if not given."
)
@json_option
def command(result: Path, as_csv: bool, as_parquet: bool, out: Path | None, as_json: bool) -> None:
    """Write the faults of RESULT, a result directory, for other programs.

    --json alone prints one document with the store and its faults. --out needs --csv or --parquet; with --json as
    well, the document says what was written.
    """
    from axft_host.campaign.directory import is_campaign_dir, result_dirs
    from axft_host.campaign.export import fault_rows, recovery_rows, write_csv, write_parquet
    from axft_host.campaign.store import store_path
    from axft_spec.errors import ConfigError

    if not (as_csv or as_parquet or as_json):
        raise ConfigError("export needs a format; allowed: --csv, --parquet, --json")
    if as_csv and as_parquet:
        raise ConfigError("export writes one format at a time; allowed: either --csv or --parquet")
    if as_parquet and out is None:
        raise ConfigError("--parquet needs a file; give --out FILE")
    if is_campaign_dir(result):
        runs = " or ".join(str(path) for path in result_dirs(result))
        raise ConfigError(f"export takes one result, not the campaign {result}; allowed: {runs}")
    if out is not None:
        if not (as_csv or as_parquet):
            raise ConfigError("--out needs --csv or --parquet; --json without --out prints to stdout")
        check_new_output(out)
        rows = write_parquet(result, out) if as_parquet else write_csv(result, out)
        if as_json:
            print_json({"store": str(store_path(result)), "file": str(out), "rows": rows})
        else:
            click.echo(f"{rows:,} faults are in {out}")
    elif as_json:
        recoveries = recovery_rows(result)
        more = {"recoveries": recoveries} if recoveries else {}
        print_json({"store": str(store_path(result)), "faults": fault_rows(result), **more})
    else:
        write_csv(result, sys.stdout)
        # What cannot be written must show while errors are still told, not when Python exits.
        sys.stdout.flush()
