"""``axft-hw board-report``."""

from __future__ import annotations

from pathlib import Path

import click

from axft_host.cli.doctor import doctor_options
from axft_host.cli.group import Command
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json
from axft_spec.outputs import check_new_output

__all__ = ["command"]


@click.command("board-report", cls=Command, short_help="Bundle what a board does, to send to others.")
@doctor_options
@click.option("--images", type=INT, help="How many pictures the golden runs have, 1 to 40; 10 if not given.")
@click.option("--faults", type=INT, help="How many faults are injected, each on all pictures; 20 if not given.")
@click.option("--out", type=PATH, metavar="F.zip", help="The new file; one named after board and time if not given.")
@json_option
def command(
    board: str,
    config: str | None,
    physical: str | None,
    bitstream: Path | None,
    images: int | None,
    faults: int | None,
    out: Path | None,
    as_json: bool,
) -> None:
    """Write one zip file about a board that somebody without it can work with.

    It holds what `axft-hw doctor` finds, versions, temperatures and voltages, the clock, digests of the bitstream,
    golden runs and injections with the expected values beside them. Names of hosts, users and directories are taken
    out. It says what it will hold before it writes anything.
    """
    from axft_host.doctor.bundle import CONTENTS, FAULTS, IMAGES, board_report, report_name, write_bundle
    from axft_host.doctor.examine import DoctorOptions, open_examination
    from axft_host.reports.findings import verdict
    from axft_spec.errors import check_int

    count = check_int("faults", FAULTS if faults is None else faults, 1, 200)
    options = DoctorOptions(
        board=board,
        config=config,
        physical=physical,
        bitstream=bitstream,
        images=IMAGES if images is None else images,
    )
    examination = open_examination(options)
    path = Path(report_name(examination)) if out is None else out
    check_new_output(path)
    click.echo(f"{path} will hold, without names of hosts, users and directories:", err=True)
    for name, text in CONTENTS.items():
        click.echo(f"  {name:<16} {text}", err=True)
    parts = {}
    for step in board_report(examination, faults=count):
        if isinstance(step, str):
            click.echo(step, err=True)
        else:
            parts = step
    write_bundle(path, parts)
    injections = parts["faults.json"]
    if as_json:
        print_json(
            {
                "file": str(path),
                "size_bytes": path.stat().st_size,
                "contents": dict(CONTENTS),
                "passed": not examination.failed,
                "counts": examination.counts,
                "golden_equal": parts["golden.json"].get("equal"),
                "faults": injections.get("faults"),
                "faults_equal": injections.get("equal"),
            }
        )
        return
    click.echo(verdict(examination))
    if "equal" in injections:
        click.echo(f"{injections['equal']} of {injections['faults']} injections gave what the emulator gives")
    click.echo(f"{path} ({path.stat().st_size:,} bytes): look through it, then send it")
