"""``axft-hw inject``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from axft_host.cli.group import INTERRUPTED, Command
from axft_host.cli.options import (
    INT,
    PATH,
    bitstream_option,
    board_option,
    fault_options,
    fault_options_of,
    json_option,
    target_option,
    workload_options,
    workload_options_of,
)
from axft_host.cli.output import print_json, print_notes, print_tables

if TYPE_CHECKING:
    from axft_host.campaign.plan import Plan

__all__ = ["command"]


@click.command("inject", cls=Command, short_help="Inject faults and classify each image.")
@board_option
@bitstream_option
@workload_options
@click.option(
    "--images", type=INT, help="How many of the first images a fault meets; 1000 if not given, 10 with --explain."
)
@fault_options
@click.option(
    "--fault", metavar="TEXT", help="Inject this one fault, such as weight:r3:c5:b6:sa1, instead of drawing any."
)
@click.option("--fault-list", type=PATH, metavar="F.jsonl", help="Inject the faults of a list that `faults` drew.")
@click.option(
    "--explain", is_flag=True, help="With --fault: follow it through the layers instead of running a campaign."
)
@click.option(
    "--physical",
    metavar="RxC",
    help="The device's array, smaller or larger than the logical one; outcomes are the same. If not given: as large "
    "with rtl, that of the bitstream with pynq.",
)
@click.option(
    "--score",
    default="softmax",
    metavar="[softmax|raw]",
    show_default=True,
    help="What a tolerable outcome keeps 95% of: the top class probability, or the top raw output.",
)
@click.option("--workers", type=INT, help="Processes to run on; one per processor if not given.")
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="The new directory of the result; a fresh one under axft-results if not given.",
)
@target_option
@json_option
@click.pass_context
def command(ctx: click.Context, /, explain: bool, out: Path | None, target: str, as_json: bool, **options: Any) -> None:
    """Inject faults into a network on the array, and classify what becomes of each image.

    Every (image, fault) pair is masked, tolerable (the same class, and 95% of its score) or critical. The rates
    come with intervals in which the fault is the unit. The default fault space is every bit of every PE's weight,
    stuck at 0 and at 1; faults that are masked with certainty count, but are not simulated.
    """
    from axft_host.campaign.plan import DEFAULT_IMAGES, EXPLAINED_IMAGES, CampaignOptions, plan_campaign
    from axft_host.campaign.summary import check_target
    from axft_spec.errors import ConfigError, StoreError, exists_message

    if explain and (options["fault"] is None or out is not None):
        raise ConfigError("--explain follows one fault and leaves no result; allowed: with --fault, without --out")
    if out is not None and out.exists():
        raise StoreError(exists_message(out))
    plan = plan_campaign(
        CampaignOptions(
            board=options["board"],
            physical=options["physical"],
            bitstream=options["bitstream"],
            workload=workload_options_of(options),
            faults=fault_options_of(options),
            score=options["score"],
            workers=options["workers"],
        ),
        default_images=EXPLAINED_IMAGES if explain else DEFAULT_IMAGES,
    )
    drawn = plan.faults.space is not None or plan.sample is not None
    check_target(target, drawn=drawn, stops=False, images=len(plan.prepared.dataset))
    print_notes([*plan.prepared.workload.network.notices, *plan.prepared.notices])
    if explain:
        _explain(plan, as_json)
    elif not _run(plan, out, target, as_json):
        ctx.exit(INTERRUPTED)


def _run(plan: Plan, out: Path | None, target: str, as_json: bool) -> bool:
    """Run a campaign and print what came of it; return whether it is complete."""
    from axft_host.campaign.progress import make_progress
    from axft_host.campaign.runner import run_campaign
    from axft_host.campaign.summary import json_without_outcomes, summarise
    from axft_host.reports.tables import facts_table, outcome_table, paper_notes, plan_line, summary_facts

    if not as_json:
        click.echo(plan_line(plan))
    result = run_campaign(plan, out, make_progress())
    if not result.complete:
        listed = len(plan.faults.faults)
        print_notes(
            [
                f"interrupted: {result.faults_done:,} of {listed:,} faults are done and kept in {result.store}; "
                f"`axft-hw campaign resume {result.store.parent}` goes on"
            ]
        )
    if result.faults_done:
        summary = summarise(result.store, target)
        if as_json:
            print_json(summary.to_json())
        else:
            print_tables("", outcome_table(summary), *paper_notes(summary), "")
            facts = dict(summary_facts(summary))
            if summary.seconds:
                facts["time"] += f", {summary.simulated_pairs / summary.seconds:,.0f} simulated/s"
            print_tables(facts_table(list(facts.items())))
            # Outside of the table, which would fold a long path: this one can be copied.
            click.echo(f"result     {summary.store}")
    elif as_json:
        print_json(json_without_outcomes(result.store, target))
    return result.complete


def _explain(plan: Plan, as_json: bool) -> None:
    """Follow the one fault of a plan and print what it does."""
    from axft_host.backends.registry import open_backend
    from axft_host.campaign.explain import explain
    from axft_host.reports.tables import explanation_tables, plan_line
    from axft_spec.errors import FaultError
    from axft_spec.faults import Fault

    workload, labels, fault = plan.prepared.workload, plan.prepared.dataset.labels, plan.faults.faults[0]
    if not isinstance(fault, Fault):
        raise FaultError(f"--explain follows a fault of the array through the layers, not one in a flip-flop: {fault}")
    explanation = explain(open_backend(plan.board), workload, labels, fault, score=plan.score)
    if as_json:
        print_json({**plan.spec(), **explanation.to_json()})
    else:
        layers, images = explanation_tables(explanation)
        print_tables(plan_line(plan), "", layers, "", images)
