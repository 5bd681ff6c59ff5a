"""The numbers of a report, against counts of the exported rows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from axft_host.campaign.confidence import betting_interval
from axft_host.campaign.export import fault_table
from axft_host.campaign.statistics import CENSUS
from axft_host.campaign.summary import summarise
from axft_host.reports.groups import GROUP_BETTING
from axft_host.reports.profiles import Figures, read_figures
from axft_spec.faults import FaultKind, Site, parse_fault

IMAGES = 12


def per_bit(result: Path) -> pd.DataFrame:
    """Return the exported table with one row per armed bit, read from the text form of the faults."""
    table = fault_table(result)
    rows = []
    for place, record in enumerate(table.to_dict("records")):
        for armed in parse_fault(record["fault"]).sites:
            where = {"place": place, "site": armed.site.value, "row": armed.row, "col": armed.col, "bit": armed.bit}
            rows.append({**record, **where})
    return pd.DataFrame(rows)


def value_of(dimension: str, value: int) -> object:
    """Return what the exported table calls a value."""
    if dimension == "site":
        return list(Site)[value].value
    return list(FaultKind)[value].value if dimension == "kind" else value


@pytest.mark.parametrize("name", ["drawn", "exhaustive", "transient", "listed"])
@pytest.mark.parametrize("dimension", ["site", "kind", "bit", "layer", "row", "col"])
def test_profile_is_that_of_the_exported_rows(name: str, dimension: str, request: pytest.FixtureRequest) -> None:
    """Faults, mean rates, accuracy and activation of every group; a fault counts once in a group."""
    result: Path = request.getfixturevalue(name)
    table, figures = per_bit(result), read_figures(result)
    groups = figures.profile(dimension)
    assert {value_of(dimension, group.value) for group in groups} >= set(table[dimension].dropna())
    for group in groups:
        rows = table[table[dimension] == value_of(dimension, group.value)].drop_duplicates("place")
        assert group.faults == len(rows)
        assert group.certain == rows["certain"].sum()
        assert group.activated == (rows["activated"] > 0).sum()
        for metric, rate in group.rates.items():
            lost = IMAGES - rows["masked"] - rows["tolerable"] - rows["critical"]
            expected = lost if metric == "no_result" else rows[metric]
            assert rate.rate == pytest.approx(expected.mean() / IMAGES)


def test_intervals_take_a_group_for_a_sample_of_its_part_of_the_space(drawn: Path) -> None:
    """Of 4 x 3 PEs with 2 polarities: 24 faults have a bit, 48 a row, 96 a polarity; the faults are the units."""
    figures = read_figures(drawn)
    assert figures.group_method == GROUP_BETTING
    rows = fault_table(drawn)
    for dimension, population in (("bit", 24), ("row", 48), ("kind", 96), ("site", 192)):
        for group in figures.profile(dimension):
            assert group.population == population
            chosen = rows[rows[dimension] == value_of(dimension, group.value)]
            shares = chosen["critical"].to_numpy() / IMAGES
            expected, rate = betting_interval(shares, population, len(chosen), 0.95), group.rates["critical"]
            assert (rate.rate, rate.low, rate.high) == pytest.approx((expected.rate, expected.low, expected.high))


def test_groups_of_an_exhaustive_campaign_have_no_width(exhaustive: Path) -> None:
    """Nothing is left to infer."""
    for groups in read_figures(exhaustive).profiles().values():
        for group in groups:
            assert group.faults == group.population
            assert all(rate.low == rate.rate == rate.high for rate in group.rates.values())


def test_pes_are_those_of_the_exported_rows(drawn: Path, listed: Path) -> None:
    """Counts and critical rates; a PE without a fault has no rate, which is not 0."""
    for result in (drawn, listed):
        table, grid = per_bit(result).drop_duplicates(["place", "row", "col"]), read_figures(result).pes
        assert grid.faults.shape == (4, 3)
        for row in range(4):
            for col in range(3):
                here = table[(table["row"] == row) & (table["col"] == col)]
                assert grid.faults[row, col] == len(here)
                rate = grid.rates["critical"][row, col]
                assert np.isnan(rate) if here.empty else rate == pytest.approx(here["critical"].mean() / IMAGES)
    assert np.isnan(read_figures(listed).pes.rates["critical"]).any()


def test_parts_of_cycles_are_eighths_of_the_tile(transient: Path) -> None:
    """The convolution has k = 9, the dense layer k = 18, so that tiles of a 4 x 3 array have 14 and 23 cycles."""
    figures = read_figures(transient)
    assert figures.tile_cycles == (14, 23)
    table = fault_table(transient)
    lengths = table["layer"].map({0: 14, 1: 23}).astype(int)
    parts = table["first_cycle"].astype(int) * 8 // lengths
    assert [group.faults for group in figures.profile("cycle")] == [int((parts == part).sum()) for part in range(8)]
    for layer in (0, 1):
        groups = figures.profile("cycle", layer=layer)
        assert sum(group.faults for group in groups) == (table["layer"] == layer).sum()
        assert sum(group.population or 0 for group in groups) == figures.group(layer=layer).population


def test_cells_hold_what_filters_can_ask_for(drawn: Path) -> None:
    """Every combination of polarity and bit, on its own and together, and every row and column."""
    figures = read_figures(drawn)
    keys = {tuple(name for name, _ in cell.key) for cell in figures.cells()}
    assert {(), ("kind",), ("bit",), ("kind", "bit"), ("row",), ("col",)} <= keys
    for cell in figures.cells():
        assert cell == figures.group(**dict(cell.key))


def test_accuracies_are_counted_in_the_bin_they_begin(exhaustive: Path) -> None:
    """Of 12 images: 11 right are 91.7%, in the bin from 90%; 12 are in the last one."""
    bins = read_figures(exhaustive).accuracy_bins()
    expected = [0] * 20
    for correct in fault_table(exhaustive)["correct"]:
        expected[min(19, int(100 * correct / IMAGES // 5))] += 1
    assert list(bins.faults) == expected
    assert bins.edges[0] == 0
    assert bins.edges[-1] == 1


def test_accuracy_on_an_edge_belongs_above_it() -> None:
    """19 of 20 images are 95%, whatever 19 / 20 * 20 is in binary."""
    columns = type("Columns", (), {"correct": np.array([19, 18, 20, 0]), "no_result": np.zeros(4, dtype=int)})
    figures = type("Some", (), {"columns": columns, "images": 20})
    faults = Figures.accuracy_bins(figures).faults  # type: ignore[arg-type]
    assert (faults[0], faults[18], faults[19]) == (1, 1, 2)


def test_worst_faults_leave_the_fewest_images_right(exhaustive: Path) -> None:
    """In order, by their text form."""
    figures, table = read_figures(exhaustive), fault_table(exhaustive)
    worst = [figures.text(place) for place in figures.worst(5)]
    lowest = table.sort_values(["correct", "critical", "idx"], ascending=[True, False, True]).head(5)
    assert worst == list(lowest["fault"])


@pytest.mark.parametrize("name", ["drawn", "transient", "listed"])
def test_text_of_a_fault_is_that_of_the_export(name: str, request: pytest.FixtureRequest) -> None:
    """For every fault, with windows and several bits."""
    result: Path = request.getfixturevalue(name)
    figures = read_figures(result)
    assert [figures.text(place) for place in range(len(figures.columns))] == list(fault_table(result)["fault"])


def test_list_made_by_hand_has_no_intervals(listed: Path) -> None:
    """It is a census of itself."""
    figures = read_figures(listed)
    assert figures.group_method == CENSUS
    assert not figures.has_intervals
    assert all(group.population is None for group in figures.profile("bit"))


def test_unfinished_list_bounds_what_the_rest_may_do(listed: Path, tmp_path: Path) -> None:
    """Two of six faults are gone; both may be critical, and both may be in the group."""
    copied = tmp_path / "campaign.sqlite"
    with closing(sqlite3.connect(listed / "campaign.sqlite")) as source, closing(sqlite3.connect(copied)) as target:
        source.backup(target)
        with target:
            target.execute("DELETE FROM faults WHERE idx >= 4")
    figures = read_figures(tmp_path)
    (group,) = (group for group in figures.profile("bit") if group.value == 20)
    rate = group.rates["critical"]
    assert group.faults == 1
    assert (rate.low, rate.high) == (rate.rate / 3, (rate.rate + 2) / 3)


def test_overall_rates_are_the_summarys(drawn: Path) -> None:
    """Nothing is estimated anew."""
    assert read_figures(drawn).summary == summarise(drawn)
