"""Tables show the figures that they are given."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console, RenderableType
from rich.table import Table

from axft_host.campaign.compare import Comparison, PairDifference
from axft_host.campaign.explain import Explanation, ImageStep, LayerStep
from axft_host.campaign.infer import Inference
from axft_host.campaign.outcome import Status
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.statistics import Interval
from axft_host.campaign.summary import Summary, summarise
from axft_host.nn.datasets import DatasetInfo
from axft_host.nn.library import load_float_network
from axft_host.reports.tables import (
    configs_table,
    datasets_table,
    difference_table,
    explanation_tables,
    facts_table,
    inference_facts,
    least_width,
    multipliers_table,
    outcome_table,
    paper_notes,
    plan_line,
    summary_facts,
)
from axft_spec.config import PRESETS
from axft_spec.faults import parse_fault
from axft_spec.multipliers import PARTS, ErrorFigures
from support.small_campaign import small_plan


def text_of(table: RenderableType, width: int = 120) -> str:
    """Return what a table looks like on a terminal of so many columns."""
    file = io.StringIO()
    Console(file=file, width=width, force_terminal=True, no_color=True, color_system=None, legacy_windows=False).print(
        table
    )
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


@pytest.fixture
def studied(summary: Summary) -> Summary:
    """Return a summary that says it is of a campaign on the shipped network, as in the study."""
    about = replace(
        summary.provenance,
        network_name="lenet5",
        network_source_digest=load_float_network("lenet5").source_digest,
        dataset_name="mnist-5k",
        config=PRESETS["8P"].config.to_json(),
        rounding="paper",
        lowering="toeplitz",
    )
    return replace(summary, provenance=about)


def about(summary: Summary, **changes: object) -> Summary:
    """Return a summary with another provenance."""
    return replace(summary, provenance=replace(summary.provenance, **changes))


def test_configs_show_their_energy_reduction() -> None:
    """In percent, as in the study."""
    rows = {line.split()[0]: line.split() for line in text_of(configs_table(PRESETS.values())).splitlines()}
    assert rows["34P"][-3:] == ["54.95", "│", "12,544"]


def test_outcomes_are_percentages_beside_the_papers(studied: Summary) -> None:
    """Rate, interval, and the study's row for 8P."""
    text = text_of(outcome_table(studied))
    assert "95% interval" in text
    cells = [[cell.strip() for cell in line.split("│")] for line in text.splitlines()]
    assert ["critical", "10.00", "1.23 - 20.00", "12.34"] in cells
    assert ["SDC", "50.00", "", ""] in cells
    assert paper_notes(studied) == []


@pytest.mark.parametrize("data", ["mnist", "MNIST", "mnist:train", "mnist-5k"])
def test_mnist_by_any_name_has_the_papers_row(studied: Summary, data: str) -> None:
    """Fetched, in a directory, or embedded."""
    assert "12.34" in text_of(outcome_table(about(studied, dataset_name=data)))


@pytest.mark.parametrize(
    "changes",
    [
        {"config_name": "34M"},
        {"network_name": "small"},
        {"network_source_digest": "0" * 64},
        {"dataset_name": "fashion-mnist"},
        {"dataset_name": "small-data"},
        {"space_size": None, "space_certain": None, "site": "mixed", "kind": "mixed"},
    ],
)
def test_other_campaigns_have_neither_column_nor_notes(studied: Summary, changes: dict[str, object]) -> None:
    """Another configuration, network or data set, or a list made by hand, whatever else differs."""
    other = about(studied, **changes, lowering="im2col")
    text = text_of(outcome_table(other))
    assert "paper" not in text
    assert "12.34" not in text
    assert paper_notes(other) == []


@pytest.mark.parametrize(
    ("changes", "fragment"),
    [
        ({"lowering": "im2col"}, "--lowering toeplitz"),
        ({"compensated": True}, "--no-compensate"),
        ({"site": "psum"}, "the fault site is psum"),
        ({"kind": "sa1"}, "stuck at 1 alone, in the study at 0 and at 1: one polarity only"),
        ({"kind": "sa0"}, "stuck at 0 alone"),
        ({"kind": "flip"}, "bits are flipped"),
        ({"spec": {"transient": True}}, "each fault lasts one cycle"),
        ({"score": "raw"}, "--score softmax"),
        ({"config": replace(PRESETS["8P"].config, rows=16).to_json()}, "the array is 16x28"),
        ({"config": replace(PRESETS["8P"].config, operand_a="activation").to_json()}, "--operand-a weight"),
    ],
)
def test_note_says_what_differs_from_the_paper(studied: Summary, changes: dict[str, object], fragment: str) -> None:
    """And nothing else."""
    (note,) = paper_notes(about(studied, **changes))
    assert note.startswith("not as in the paper: ")
    assert fragment in note


@pytest.mark.parametrize(
    ("name", "noted"),
    [("Baseline", False), ("8P", False), ("2PT", False), ("2QH", True), ("34P", True), ("2TE", True)],
)
def test_rounding_is_noted_where_a_multiplier_ignores_weight_bits(studied: Summary, name: str, noted: bool) -> None:
    """Elsewhere both roundings are the same."""
    config = PRESETS[name].config.to_json()
    notes = paper_notes(about(studied, config_name=name, config=config, rounding="multiplier"))
    assert ["--rounding paper" in note for note in notes] == [True] * noted


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


def test_facts_count_one_as_one(summary: Summary) -> None:
    """And several as several."""
    one = replace(summary, faults=1, images=1, activated_faults=1, activated=1, certain_masked=1)
    facts = dict(summary_facts(about(one, faults=1)))
    assert facts["activated"] == "1 fault, 1 time"
    assert facts["faults"].endswith("on 1 image each: 1 pair")
    assert facts["certain"].startswith("1 of these faults is masked with certainty and was not simulated")
    assert dict(summary_facts(replace(summary, activated_faults=2, activated=30)))["activated"] == "2 faults, 30 times"


@pytest.mark.parametrize(
    ("config", "rounding", "phrase"),
    [
        ("8P", "multiplier", "small"),
        ("2PT", "multiplier", "small, mean error not compensated in the bias"),
        ("34P", "multiplier", "small, weights rounded for the multiplier, mean error not compensated in the bias"),
        ("34P", "paper", "small, weights floored by the multiplier, mean error not compensated in the bias"),
    ],
)
def test_inference_says_what_became_of_the_weights(tmp_path: Path, config: str, rounding: str, phrase: str) -> None:
    """Where anything did."""
    plan = small_plan(tmp_path, workload={"config": config, "rounding": rounding})
    result = Inference(accuracy=0.5, float_accuracy=None, images=12, seconds=1.0)
    assert dict(inference_facts(plan.prepared, "emu", result))["network"] == phrase


# --- narrow terminals ---------------------------------------------------------------------------------------


def missing(table: Table, width: int) -> list[str]:
    """Return the cells and heads that a terminal of so many columns does not show; spaces do not count."""
    text = "".join(text_of(table, width).split())
    cells = [str(cell) for column in table.columns for cell in (column.header, *column.cells)]
    words = [word for cell in cells for word in cell.split()]
    return [word for word in words if word not in text]


def explanation() -> Explanation:
    """Return what a fault does to ten images of the shipped network, with numbers of that size."""
    layers = tuple(
        LayerStep(
            layer=index,
            name=name,
            gemms=28,
            psums=47_040,
            activated=114_480,
            struck_psums=43_449,
            differing_psums=43_450,
            values=11_760,
            differing_values=10_898,
            differing_images=9,
        )
        for index, name in enumerate(("conv1", "a/long/name/of/a/convolution"))
    )
    image = ImageStep(
        image=4_123,
        label=3,
        golden_class=5,
        faulty_class=6,
        golden_probability=0.75,
        faulty_probability=0.5,
        outcome="tolerable",
    )
    return Explanation(fault=parse_fault("weight:r0:c0:b6:sa1"), layers=layers, images=(image,) * 10)


def wide_tables() -> dict[str, Table]:
    """Return tables as large as they get."""
    errors = ErrorFigures(mae=11_264.25, wce=49_151, ep=0.99999)
    info = DatasetInfo(
        name="fashion-mnist:train", title="Fashion-MNIST, train images", location="", images=60_000, shape=(1, 28, 28)
    )
    pair = PairDifference(fault="weight:r27:c27:b7:sa1@l4:t12:c123456", image=59_999, a="tolerable", b="critical")
    comparison = Comparison(
        a="a",
        b="b",
        faults=1,
        pairs=2,
        differing_pairs=2,
        differing_activated=0,
        differing_status=0,
        golden_equal=True,
        first=(pair,),
        settings={},
    )
    layers, images = explanation_tables(explanation())
    return {
        "configs": configs_table(PRESETS.values()),
        "multipliers": multipliers_table([(part, errors) for part in PARTS.values()], 12),
        "data": datasets_table([info]),
        "difference": difference_table(comparison),
        "layers": layers,
        "images": images,
    }


@pytest.mark.parametrize("name", list(wide_tables()))
def test_table_loses_nothing_at_80_columns(name: str) -> None:
    """No head, no cell, no part of one, no row that the terminal would break."""
    table = wide_tables()[name]
    words = missing(table, 80)
    # A name that goes on in another line is not in one piece.
    assert [word for word in words if not word.startswith("a/long")] == []
    assert "…" not in text_of(table, 80)
    assert least_width(table) <= 80


def test_long_name_goes_on_in_another_line() -> None:
    """All of it is there."""
    lines = text_of(wide_tables()["layers"], 80).splitlines()
    name = "".join(line.split("│")[0].strip() for line in lines if "│" in line)
    assert "a/long/name/of/a/convolution" in name.replace(" ", "")


def test_outcomes_and_facts_lose_nothing_at_60_columns(studied: Summary) -> None:
    """The paper's column too."""
    assert missing(outcome_table(studied), 60) == []
    assert missing(facts_table(summary_facts(studied)), 60) == []
    digest = "0123456789abcdef" * 4
    shown = text_of(facts_table([("sha256 of the array", digest)]), 60)
    assert digest in "".join(shown.replace("sha256 of the array", "").split())


def test_least_width_is_enough_for_every_table() -> None:
    """And no more than the lines need where nothing can go on in another one."""
    for table in wide_tables().values():
        needed = least_width(table)
        assert [word for word in missing(table, needed) if len(word) <= 8] == []
    table = wide_tables()["multipliers"]
    needed = least_width(table)
    assert needed == max(map(len, text_of(table, needed).splitlines()))


def test_explanation_says_what_its_columns_are() -> None:
    """Below the tables."""
    layers, images = (" ".join(text_of(table, 80).split()) for table in explanation_tables(explanation()))
    for term in ("activated:", "psums struck:", "psums differ:", "values:", "values differ:"):
        assert term in layers
    for term in ("prob.:", "ratio:"):
        assert term in images
