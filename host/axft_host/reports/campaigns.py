"""Tables of campaigns for the terminal: what they will do, how far they are, what came of their runs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rich.table import Table

from axft_host.campaign.contrast import Contrast
from axft_host.campaign.directory import RunState
from axft_host.campaign.forecast import Forecast
from axft_host.campaign.outcome import Status
from axft_host.campaign.plan import Plan
from axft_host.campaign.runner import Progress
from axft_host.campaign.spec import Run
from axft_host.campaign.summary import Summary
from axft_host.reports.tables import empty_table, percent, plan_line

__all__ = [
    "Told",
    "campaign_facts",
    "campaign_table",
    "contrast_table",
    "duration",
    "forecast_facts",
    "forecast_table",
    "list_table",
    "p_text",
    "rule_facts",
    "state_table",
]

#: Which state of a run a campaign is said to have, if it has several.
_FIRST = ("unreadable", "running", "killed", "interrupted", "waiting")

#: How many strata of a run are listed.
_SHOWN = 12


class Told:
    """Says which run of a campaign begins; a `axft_host.campaign.conduct.Watcher`.

    Parameters
    ----------
    say : callable
        Is given every line.
    progress : callable
        Makes what shows the progress of a run.
    """

    def __init__(self, say: Callable[[str], object], progress: Callable[[], Progress]) -> None:
        self._say = say
        self._progress = progress

    def planned(self, run: Run, number: int, total: int, plan: Plan) -> None:
        """See `axft_host.campaign.conduct.Watcher`."""
        for notice in (*plan.prepared.workload.network.notices, *plan.prepared.notices):
            self._say(f"note: {notice}")
        self._say(f"run {number} of {total}, {run.name}: {plan_line(plan)}")

    def resumed(self, run: Run, number: int, total: int) -> None:
        """See `axft_host.campaign.conduct.Watcher`."""
        self._say(f"run {number} of {total}, {run.name}: goes on")

    def progress(self) -> Progress:
        """See `axft_host.campaign.conduct.Watcher`."""
        return self._progress()


def duration(seconds: float | None) -> str:
    """Return a time for people: seconds, minutes or hours."""
    if seconds is None:
        return "-"
    if seconds < 99.5:
        return f"{seconds:.0f} s" if seconds >= 9.95 else f"{seconds:.1f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60:02d} min"


def forecast_table(found: Iterable[Forecast]) -> Table:
    """Return what the runs of a campaign will do."""
    columns = (
        "run",
        "fault space",
        "certainly\nmasked",
        "faults",
        "listed, to\nsimulate",
        "images",
        "pairs, to\nsimulate",
        "time",
    )
    table = empty_table(*columns, left=("run",), fold=("run",), dense=True)
    for one in found:
        table.add_row(
            one.name,
            "-" if one.fault_space is None else f"{one.fault_space:,}",
            "-" if one.certain is None else f"{one.certain:,}",
            f"{one.faults:,}",
            f"{one.simulated:,}",
            f"{one.images:,}",
            f"{one.pairs:,}",
            duration(one.seconds),
        )
    return table


def forecast_facts(found: Sequence[Forecast]) -> list[str]:
    """Return what stands below the table: the whole time, where it comes from, and the strata."""
    workers = max(one.workers for one in found)
    total = sum(one.seconds for one in found)
    facts = [
        f"{len(found)} run{'s' if len(found) > 1 else ''}, {sum(one.pairs for one in found):,} pairs to simulate, "
        f"about {duration(total)} on {workers} process{'es' if workers > 1 else ''}; measured on this machine on the "
        f"first faults of each run, and taken to be shared evenly"
    ]
    plain = [one for one in found if not one.named_strata]
    if any(one.certain is not None for one in plain):
        facts.append("strata: certainly masked faults, counted exactly, and all others, sampled")
    if any(one.certain is None and one.fault_space is not None for one in plain):
        facts.append("strata: where certainly masked faults are not counted (-), one of all faults")
    for one in found:
        if one.named_strata:
            strata = [
                f"{name} ({one.allocation[name]:,} of {size:,})" if name in one.allocation else f"{name} ({size:,})"
                for name, size in one.strata.items()
            ]
            shown = ", ".join(strata[:_SHOWN]) + (f" and {len(strata) - _SHOWN} more" if len(strata) > _SHOWN else "")
            late = "; how many are drawn of each follows from the pilot, proportional numbers stand for them here"
            facts.append(f"strata of {one.name}: {shown}{late if one.allocation_from == 'after pilot' else ''}")
    for one in found:
        if one.stopping is not None:
            facts.append(f"{one.name} stops early by {_rule(one.stopping)}: faults, pairs and time are upper bounds")
    return facts


def _rule(stopping: Mapping[str, Any]) -> str:
    """Return a stopping rule in words."""
    classes = stopping["classes"]
    named = " and ".join(classes) + (" together" if stopping["together"] and len(classes) > 1 else "")
    when = f" at {stopping['looks']} looks ({stopping['spending']})" if stopping["rule"] == "looks" else ""
    return f"the rule {stopping['rule']}{when}, at a half width of {stopping['half_width']:g} for {named}"


def rule_facts(states: Iterable[RunState]) -> list[str]:
    """Return what came of stopping rules: where one has stopped a run, and where its target was not reached."""
    facts = []
    for one in states:
        if one.stopped_at is not None:
            facts.append(
                f"{one.name}: its stopping rule found {one.stopped_at:,} of {one.listed or 0:,} listed faults enough"
            )
        elif one.target_reached is False:
            facts.append(
                f"{one.name}: target of its stopping rule not reached, though all {one.listed or 0:,} listed faults ran"
            )
    return facts


def state_table(states: Iterable[RunState]) -> Table:
    """Return how far the runs of a campaign are."""
    columns = ("run", "state", "faults", "listed", "%", "images", "faults/s", "left", "sessions", "time")
    table = empty_table(*columns, left=("run", "state"), fold=("run",), dense=True)
    for one in states:
        share = None if not one.listed else (one.faults or 0) / one.listed
        table.add_row(
            one.name,
            f"{one.state}{_how(one)}",
            "-" if one.faults is None else f"{one.faults:,}",
            "-" if one.listed is None else f"{one.listed:,}",
            percent(share, 1),
            "-" if one.images is None else f"{one.images:,}",
            "-" if one.faults_per_second is None else f"{one.faults_per_second:.1f}",
            duration(one.seconds_left),
            str(one.sessions or "-"),
            duration(one.seconds),
        )
    return table


def _how(one: RunState) -> str:
    if one.stopped_at is not None:
        return " (stopping rule)"
    return " (target not reached)" if one.target_reached is False else ""


def list_table(found: Iterable[tuple[str, Sequence[RunState]]]) -> Table:
    """Return the campaigns and results of a directory, one line each."""
    table = empty_table(
        "directory", "created", "runs", "complete", "faults", "listed", "state", left=("directory", "created", "state"),
        fold=("directory",),
    )  # fmt: skip
    for directory, states in found:
        names = {one.state for one in states}
        table.add_row(
            directory,
            min((one.created_utc for one in states if one.created_utc), default="-"),
            str(len(states)),
            str(sum(one.state == "complete" for one in states)),
            f"{sum(one.faults or 0 for one in states):,}",
            f"{sum(one.listed or 0 for one in states):,}",
            next((name for name in _FIRST if name in names), "complete"),
        )
    return table


def campaign_table(found: Iterable[tuple[str, Summary | None]]) -> Table:
    """Return what came of the runs of a campaign: rates in percent, with their intervals."""
    found = list(found)
    lost = [
        status for status in (Status.HANG, Status.CRASH) if any(one and one.status_rates[status] for _, one in found)
    ]
    columns = [
        "run",
        "faults",
        "images",
        "masked %",
        "tolerable %",
        "critical %",
        *(f"{each.value} %" for each in lost),
    ]
    columns += ["accuracy\ngolden", "under\nfault"]
    table = empty_table(*columns, left=("run",), fold=("run",), dense=True)
    for name, summary in found:
        if summary is None:
            table.add_row(name, "0", *["-"] * (len(columns) - 2))
            continue
        rates = [summary.masked, summary.tolerable, summary.critical]
        table.add_row(
            name,
            _of_listed(summary),
            f"{summary.images:,}",
            *(f"{percent(rate.rate)}\n({percent(rate.low)} - {percent(rate.high)})" for rate in rates),
            *(percent(summary.status_rates[status]) for status in lost),
            percent(summary.provenance.golden_accuracy),
            percent(summary.faulty_accuracy),
        )
    return table


def _of_listed(summary: Summary) -> str:
    listed = summary.provenance.faults
    return f"{summary.faults:,}" if summary.faults == listed else f"{summary.faults:,} of\n{listed:,}"


def campaign_facts(found: Iterable[tuple[str, Summary | None]]) -> list[str]:
    """Return what the intervals of the table are: level, method and target, once for all runs that share them."""
    alike: dict[str, list[str]] = {}
    for name, summary in found:
        if summary is not None:
            about = f"{100 * summary.provenance.confidence:g} %, {summary.interval_method}; target {summary.target}"
            alike.setdefault(about, []).append(name)
    if len(alike) == 1:
        return [f"intervals  {about}" for about in alike]
    return [f"intervals  {', '.join(names)}: {about}" for about, names in alike.items()]


def contrast_table(found: Sequence[Contrast]) -> Table:
    """Return configurations against each other: differences in points, with intervals and corrected p-values."""
    level = f"{100 * found[0].confidence:g}% interval"
    columns = ("A", "B", "faults", "differ", "A - B\npoints", level, "p", "p, corrected")
    table = empty_table(*columns, left=("A", "B"), fold=("A", "B"), dense=True)
    table.title = f"{found[0].outcome}: mean difference over the same faults"
    for one in found:
        table.add_row(
            Path(one.a).name,
            Path(one.b).name,
            f"{one.test.faults:,}",
            f"{one.test.differing:,}",
            f"{100 * one.test.difference:+.2f}",
            f"{100 * one.interval.low:+.2f} to {100 * one.interval.high:+.2f}",
            p_text(one.test.p_value),
            p_text(one.corrected),
        )
    return table


def p_text(value: float) -> str:
    """Return a p-value for people, with four digits after the point."""
    return f"{value:.4f}" if value >= 0.0001 else "< 0.0001"
