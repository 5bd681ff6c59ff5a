"""``axft-hw infer``."""

from __future__ import annotations

from typing import Any

import click

from axft_host.cli.group import Command
from axft_host.cli.options import (
    INT,
    bitstream_option,
    board_option,
    json_option,
    workload_options,
    workload_options_of,
)
from axft_host.cli.output import print_json, print_notes, print_tables

__all__ = ["command"]


@click.command("infer", cls=Command, short_help="Measure the accuracy on the array without faults.")
@board_option
@bitstream_option
@workload_options
@click.option("--images", type=INT, help="How many of the first images; all if not given.")
@click.option("--physical", metavar="RxC", help="The device's array, as for `inject`; the accuracy is the same.")
@json_option
def command(board: str, bitstream: str | None, physical: str | None, as_json: bool, **options: Any) -> None:
    """Run labelled images through the array without a fault, and report the accuracy.

    Beside it stands that of the float network on the same images, unless the model is a compiled one.
    """
    from axft_host.backends.registry import Board, open_backend
    from axft_host.campaign.infer import infer
    from axft_host.campaign.workload import prepare

    where = Board.parse(board, physical, bitstream)
    open_backend(where)
    prepared = prepare(workload_options_of(options))
    network, config = prepared.workload.network, prepared.workload.config
    print_notes([*network.notices, *prepared.notices])
    if board == "rtl":
        print_notes(
            [
                f"{len(prepared.dataset):,} images are simulated clock cycle by clock cycle; a device that was not "
                f"simulated before is compiled first"
            ]
        )
    result = infer(prepared, where)
    if as_json:
        print_json(
            {
                "config": prepared.config_name,
                "array": f"{config.rows}x{config.cols}",
                "physical": physical,
                "board": board,
                "model": network.name,
                "data": prepared.dataset.name,
                "lowering": prepared.workload.lowering,
                "rounding": network.rounding,
                "compensated": network.compensated,
                "operand_a": config.operand_a,
                "images": result.images,
                "accuracy": result.accuracy,
                "float_accuracy": result.float_accuracy,
                "seconds": result.seconds,
                "images_per_second": result.images_per_second,
            }
        )
        return
    from axft_host.reports.tables import facts_table, inference_facts

    print_tables(facts_table(inference_facts(prepared, board, result)))
