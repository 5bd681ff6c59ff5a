"""Tables show the figures that they are given."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType

from axft_host.campaign.outcome import Status
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import Summary, summarise
from axft_host.reports.tables import configs_table, outcome_table, paper_notes, plan_line, summary_facts
from axft_spec.config import PRESETS
from support.small_campaign import small_plan


def text_of(table: RenderableType) -> str:
    """Return what a table looks like."""
    file = io.StringIO()
    Console(file=file, width=120).print(table)
    return file.getvalue()


@pytest.fixture
def summary(tmp_path: Path) -> Summary:
    """Return the summary of a small campaign, with round figures in it."""
    made = summarise(run_campaign(small_plan(tmp_path, faults={"faults": 40}), tmp_path / "result").store)
    return replace(
        made,
        masked=Interval(0.5, 0.25, 0.75),
        tolerable=Interval(0.4, 0.3, 0.5),
        critical=Interval(0.1, 0.0123, 0.2),
        status_rates={Status.OK: 0.5, Status.SDC: 0.5, Status.HANG: 0.0, Status.CRASH: 0.0},
    )


def test_configs_show_their_energy_reduction() -> None:
    """In percent, as in the study."""
    rows = {line.split()[0]: line.split() for line in text_of(configs_table(PRESETS.values())).splitlines()}
    assert rows["34P"][-3:] == ["54.95", "│", "12,544"]


def test_outcomes_are_percentages_beside_the_papers(summary: Summary) -> None:
    """Rate, interval, and the study's row for 8P."""
    text = text_of(outcome_table(summary))
    assert "95% interval" in text
    cells = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    assert ["critical", "10.00", "1.23 - 20.00", "12.34"] in cells
    assert ["SDC", "50.00", "", ""] in cells


def test_configuration_without_a_published_row_has_none(summary: Summary) -> None:
    """And no notes about it."""
    other = replace(summary, provenance=replace(summary.provenance, config_name="34M"))
    assert "12.34" not in text_of(outcome_table(other))
    assert paper_notes(other) == []


@pytest.mark.parametrize(
    ("changes", "fragments"),
    [
        ({"rounding": "paper", "lowering": "toeplitz"}, []),
        ({"rounding": "multiplier", "lowering": "toeplitz"}, ["--rounding paper"]),
        ({"rounding": "paper", "lowering": "im2col"}, ["--lowering toeplitz"]),
        ({"rounding": "paper", "lowering": "toeplitz", "compensated": True}, ["--no-compensate"]),
        ({"rounding": "paper", "lowering": "toeplitz", "site": "psum"}, ["--site weight"]),
    ],
)
def test_notes_say_what_differs_from_the_paper(
    summary: Summary, changes: dict[str, object], fragments: list[str]
) -> None:
    """And nothing else."""
    notes = paper_notes(replace(summary, provenance=replace(summary.provenance, **changes)))
    assert len(notes) == len(fragments)
    assert all(fragment in note for fragment, note in zip(fragments, notes, strict=True))


def test_facts_of_an_interrupted_campaign_say_how_far_it_came(summary: Summary) -> None:
    """Faults done, faults listed, and the space."""
    facts = dict(summary_facts(summary))
    assert facts["faults"].startswith("40 of 192, on 12 images each: 480 pairs")
    partial = replace(summary, faults=30, provenance=replace(summary.provenance, faults=40))
    assert dict(summary_facts(partial))["faults"].startswith("30 of the 40 listed, from 192")


def test_plan_is_told_in_one_line(tmp_path: Path) -> None:
    """What runs, on what, with which faults."""
    line = plan_line(small_plan(tmp_path))
    assert "\n" not in line
    for part in ("8P (8 bits, multiplier exact) on emu", "4x3 array", "60 faults of 192", "seed 0", "12 images"):
        assert part in line
    assert "fault psum:r0:c0:b3:flip" in plan_line(small_plan(tmp_path, faults={"fault": "psum:r0:c0:b3:flip"}))
