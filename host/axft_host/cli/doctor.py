"""``axft-hw doctor``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from axft_host.cli.group import DIFFERENT, Command
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json, print_tables

__all__ = ["command", "doctor_options"]


def doctor_options(function: Any) -> Any:
    """Add the options that say which board is looked at, and as what."""
    for option in reversed(
        (
            click.option(
                "--board",
                default="emu",
                metavar="B",
                show_default=True,
                help="What to look at: pynq on a board, link:URL from a PC, rtl for the simulated hardware, emu for "
                "this machine's emulator alone.",
            ),
            click.option(
                "--config",
                metavar="C",
                help="The configuration that the board must have, see `axft-hw configs`; that of the bitstream's "
                "manifest if not given, or else 34P.",
            ),
            click.option(
                "--physical", metavar="RxC", help="The device's array; 28x28 for rtl, as the bitstream is for pynq."
            ),
            click.option("--bitstream", type=PATH, metavar="F.bit", help="For pynq: the bitstream to load."),
        )
    ):
        function = option(function)
    return function


@click.command("doctor", cls=Command, short_help="Look at a board, from its registers to a network.")
@doctor_options
@click.option("--images", type=INT, help="How many pictures the network runs on, 1 to 40; 2 if not given.")
@click.option(
    "--tools",
    is_flag=True,
    help="Look for the tools and packages of this machine instead, and list what is missing and how to get it.",
)
@json_option
@click.pass_context
def command(
    ctx: click.Context,
    /,
    board: str,
    config: str | None,
    physical: str | None,
    bitstream: Path | None,
    images: int | None,
    tools: bool,
    as_json: bool,
) -> None:
    """Look at a board from its registers to a network, and say what is wrong and what to do.

    Identity, clock, registers, buffers, scan chain, GEMMs and faults against the reference, watchdog, words per second
    of each path to the device; then the shipped network with and without a fault, and inferences per second. Nothing
    else may use the board meanwhile. The exit code is 1 if any check fails.

    With --tools nothing is looked at but this machine: yosys, the open flow, Vivado, compilers and Python packages;
    where each was looked for, its version, how to get it, and what can be done with them. The exit code is 1 if no
    flow is complete that makes bitstreams.
    """
    if tools:
        _look_for_tools(
            ctx, as_json, board=board != "emu", config=config, physical=physical, bitstream=bitstream, images=images
        )
        return
    from axft_host.doctor.bundle import examination_json
    from axft_host.doctor.examine import DoctorOptions, open_examination
    from axft_host.reports.findings import findings_table, verdict

    options = DoctorOptions(board=board, config=config, physical=physical, bitstream=bitstream, images=images)
    examination = open_examination(options)
    for finding in examination.run():
        if not as_json:
            click.echo(f"{finding.state.value:<14} {finding.name}", err=True)
    if as_json:
        print_json(examination_json(examination))
    else:
        print_tables(findings_table(examination.findings), "", verdict(examination))
    if examination.failed:
        ctx.exit(DIFFERENT)


def _look_for_tools(ctx: click.Context, as_json: bool, **of_a_board: object) -> None:
    from axft_host.doctor.tools import can_build, look_for_everything, tools_json
    from axft_host.reports.tools import capabilities_table, tools_table
    from axft_spec.errors import ConfigError

    given = [f"--{name}" for name, value in of_a_board.items() if value]
    if given:
        raise ConfigError(f"--tools looks at this machine and at no board; leave out {', '.join(given)}")
    found = look_for_everything()
    if as_json:
        print_json(tools_json(found))
    else:
        print_tables(tools_table(found), "", capabilities_table(found))
    if not can_build(found):
        ctx.exit(DIFFERENT)
