"""``axft-hw campaign check``, ``run`` and ``resume``."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from axft_host.campaign.progress import make_progress
from axft_host.cli.group import INTERRUPTED, Command
from axft_host.cli.options import INT, PATH, json_option
from axft_host.cli.output import print_json, print_notes, print_tables

if TYPE_CHECKING:
    from axft_host.campaign.conduct import Watcher
    from axft_host.campaign.spec import CampaignSpec

__all__ = ["check_command", "resume_command", "run_command"]

_images_option = click.option("--images", type=INT, help="How many images a fault meets, whatever the SPEC says.")
_data_option = click.option(
    "--data", metavar="D", help="Images as of `axft-hw inject`, whatever the SPEC says; a path is relative to here."
)
_workers_option = click.option("--workers", type=INT, help="Processes to run on; one per processor if not given.")
_dask_option = click.option(
    "--dask",
    metavar="ADDRESS",
    help="Run on the workers of a Dask scheduler, such as tcp://host:8786, instead of processes of this machine.",
)


def _spec(path: Path, images: int | None, data: str | None) -> CampaignSpec:
    from axft_host.campaign.spec import read_spec

    spec = read_spec(path)
    if data is not None:
        spec = spec.with_data(data)
    return spec if images is None else spec.with_images(images)


def _watcher() -> Watcher:
    """Return what says on stderr which run begins, and shows its progress."""
    from axft_host.reports.campaigns import Told

    return Told(lambda line: click.echo(line, err=True), make_progress)


@click.command("check", cls=Command, short_help="Say what a specification amounts to, before it runs.")
@click.argument("spec", type=PATH)
@_images_option
@_data_option
@_workers_option
@json_option
def check_command(spec: Path, images: int | None, data: str | None, workers: int | None, as_json: bool) -> None:
    """Check SPEC, and print what its runs amount to: fault space, strata, sample size, time.

    The time comes from a calibration run of about a second per run, on this machine, in one process. Nothing is
    written.
    """
    from axft_host.campaign.cluster import cluster_of
    from axft_host.campaign.forecast import forecast
    from axft_host.campaign.planning import plan_run
    from axft_host.reports.campaigns import forecast_facts, forecast_table

    cluster_of(None, workers)
    campaign = _spec(spec, images, data)
    runs = campaign.runs(workers=workers)
    found = [forecast(run, plan_run(campaign, run)) for run in runs]
    if as_json:
        print_json(
            {
                "spec": str(spec),
                "title": campaign.title,
                "runs": [one.to_json() for one in found],
                "seconds": sum(one.seconds for one in found),
                "time_from": "a calibration run on this machine",
            }
        )
    else:
        print_tables(campaign.title, "", forecast_table(found), "", *forecast_facts(found))


@click.command("run", cls=Command, short_help="Run a specification.")
@click.argument("spec", type=PATH)
@click.option(
    "--out",
    type=PATH,
    metavar="DIR",
    help="The new directory of the campaign; a fresh one under axft-results if not given.",
)
@_workers_option
@_images_option
@_data_option
@_dask_option
@json_option
@click.pass_context
def run_command(
    ctx: click.Context,
    spec: Path,
    out: Path | None,
    workers: int | None,
    images: int | None,
    data: str | None,
    dask: str | None,
    as_json: bool,
) -> None:
    """Run the campaign of SPEC, a TOML file such as those in fi_campaigns.

    It has one run, with a result of its own, for each configuration, lowering, sample and backend. Ctrl-C finishes the
    faults in hand and says how to go on.
    """
    from axft_host.campaign.cluster import cluster_of
    from axft_host.campaign.conduct import run_spec
    from axft_host.campaign.toml_file import read_text
    from axft_spec.errors import StoreError, exists_message

    cluster = cluster_of(dask, workers)
    if out is not None and out.exists():
        raise StoreError(exists_message(out))
    campaign = _spec(spec, images, data)
    result = run_spec(campaign, read_text(spec), out, _watcher(), workers=workers, cluster=cluster)
    _show(ctx, result.directory, complete=result.complete, as_json=as_json)


@click.command("resume", cls=Command, short_help="Go on with a campaign, or a result of inject.")
@click.argument("directory", metavar="DIR", type=PATH)
@_workers_option
@_dask_option
@json_option
@click.pass_context
def resume_command(ctx: click.Context, directory: Path, workers: int | None, dask: str | None, as_json: bool) -> None:
    """Run what is missing in DIR, the directory of a campaign or of one result. Nothing that is done runs again.

    The outcomes are those of a campaign that was never interrupted.
    """
    from axft_host.campaign.cluster import cluster_of
    from axft_host.campaign.conduct import resume_runs
    from axft_host.campaign.directory import is_campaign_dir
    from axft_host.campaign.runner import resume_campaign

    cluster = cluster_of(dask, workers)
    kept = _faults_of(directory)
    if is_campaign_dir(directory):
        complete = resume_runs(directory, _watcher(), workers=workers, cluster=cluster).complete
    else:
        complete = resume_campaign(directory, make_progress(), workers=workers, cluster=cluster).complete
    _show(ctx, directory, complete=complete, as_json=as_json, kept=kept)


def _faults_of(directory: Path) -> int:
    """Return how many faults a campaign or a result has by now; what cannot be read is told elsewhere."""
    from contextlib import suppress

    from axft_host.campaign.directory import states
    from axft_spec.errors import AxftError

    with suppress(AxftError):
        return sum(run.faults or 0 for run in states(directory))
    return 0


def _show(ctx: click.Context, directory: Path, *, complete: bool, as_json: bool, kept: int | None = None) -> None:
    """Print what came of a campaign so far; `kept` faults were there before, if it is one that goes on."""
    from axft_host.campaign.directory import result_dirs, states
    from axft_host.campaign.store import ResultStore
    from axft_host.campaign.summary import json_without_outcomes, summarise
    from axft_host.reports.campaigns import campaign_facts, campaign_table, rule_facts

    if not complete:
        print_notes([f"interrupted; `axft-hw campaign resume {directory}` goes on"])
    found = []
    for path in result_dirs(directory):
        with ResultStore.open(path) as store:
            begun = len(store) > 0
        found.append((path, summarise(path) if begun else None))
    if as_json:
        documents = [json_without_outcomes(path) if summary is None else summary.to_json() for path, summary in found]
        print_json({"directory": str(directory), "complete": complete, "runs": documents})
    else:
        named = [(path.name, summary) for path, summary in found]
        print_tables(campaign_table(named))
        for fact in (*campaign_facts(named), *rule_facts(states(directory))):
            click.echo(fact)
        if kept is not None:
            click.echo(f"faults     {_faults_of(directory) - kept:,} run now, {kept:,} kept from before")
        click.echo(f"result     {directory}")
    if not complete:
        ctx.exit(INTERRUPTED)
