"""``axft-hw faults``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from axft_host.cli.group import Command
from axft_host.cli.options import (
    PATH,
    fault_options,
    fault_options_of,
    json_option,
    workload_options,
    workload_options_of,
)
from axft_host.cli.output import print_json
from axft_spec.outputs import check_new_output

__all__ = ["command"]


@click.command("faults", cls=Command, short_help="Draw a fault list for inject --fault-list.")
@workload_options
@fault_options
@click.option("--out", type=PATH, required=True, metavar="F.jsonl", help="The new fault list, one JSON line per fault.")
@json_option
def command(out: Path, as_json: bool, **options: Any) -> None:
    """Draw a fault list for `inject --fault-list`, the same on every machine.

    The list is the beginning of a seeded permutation of the fault space, so that a longer one begins with a
    shorter one. A network is needed for --transient alone, whose faults are cycles of its schedule.
    """
    from axft_host.campaign.plan import draw_for
    from axft_spec.faultlist import write_fault_list
    from axft_spec.faults import FaultSpace

    check_new_output(out)
    drawn = draw_for(workload_options_of(options), fault_options_of(options))
    write_fault_list(out, drawn)
    assert isinstance(drawn.space, FaultSpace), "a draw has a space"
    space = drawn.space
    if as_json:
        print_json(
            {
                "file": str(out),
                "faults": len(drawn.faults),
                "fault_space": space.size,
                "seed": drawn.seed,
                "sites": [site.value for site in space.sites],
                "kinds": [kind.value for kind in space.kinds],
                "transient": space.schedule is not None,
                "digest": drawn.digest,
            }
        )
    else:
        click.echo(f"{len(drawn.faults):,} of {space.size:,} faults are in {out}")
