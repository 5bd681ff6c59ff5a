"""Results are called by what tells them apart."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from axft_host.campaign.runner import run_campaign
from axft_host.reports.labels import energy_reduction, find_results, result_labels
from axft_host.reports.profiles import read_figures
from support.small_campaign import small_plan


def results(directory: Path, **different: dict[str, object]) -> list[Path]:
    """Run one small campaign for each name, with what differs."""
    return [
        run_campaign(small_plan(directory, **{"faults": {"faults": 5}, **changes}), directory / name).store.parent
        for name, changes in different.items()
    ]


def test_configuration_is_enough_where_it_differs(tmp_path: Path) -> None:
    """No detail that says nothing."""
    paths = results(tmp_path, a={"workload": {"config": "8P"}}, b={"workload": {"config": "34P"}})
    assert result_labels([read_figures(path) for path in paths]) == ["8P", "34P"]


def test_details_are_told_where_they_are_needed(tmp_path: Path) -> None:
    """The lowering of those two that have another one; the third needs none."""
    paths = results(
        tmp_path,
        a={"workload": {"lowering": "im2col"}},
        b={"workload": {"lowering": "toeplitz"}},
        c={"workload": {"config": "34P"}},
    )
    assert result_labels([read_figures(path) for path in paths]) == ["8P, im2col", "8P, toeplitz", "34P"]


def test_directory_tells_equal_campaigns_apart(tmp_path: Path) -> None:
    """Nothing else does."""
    paths = results(tmp_path, first={}, second={})
    figures = [read_figures(path) for path in paths]
    assert result_labels(figures) == ["8P, first", "8P, second"]
    assert result_labels([figures[0], figures[0]]) == ["8P (1)", "8P (2)"]


def test_directory_of_results_stands_for_all_of_them(tmp_path: Path) -> None:
    """In the order of their names, and none twice."""
    first, second = results(tmp_path, a={}, b={})
    assert find_results([tmp_path]) == [first, second]
    assert find_results([second, tmp_path]) == [second, first]
    assert find_results([first / "campaign.sqlite", tmp_path / "nothing"]) == [
        first / "campaign.sqlite",
        tmp_path / "nothing",
    ]


def test_result_that_has_not_begun_does_not_hide_the_others(tmp_path: Path) -> None:
    """A campaign of several can be reported while it runs; on its own, such a result is named."""
    first, second = results(tmp_path, a={}, b={})
    with closing(sqlite3.connect(second / "campaign.sqlite")) as connection, connection:
        connection.execute("DELETE FROM faults")
    assert find_results([tmp_path]) == [first]
    assert find_results([second]) == [second]


@pytest.mark.parametrize(("config", "expected"), [("8P", 0.5), ("34P", 0.5495), ("Baseline", 0.0)])
def test_energy_is_that_of_the_preset(tmp_path: Path, config: str, expected: float) -> None:
    """As `configs` prints it."""
    (path,) = results(tmp_path, a={"workload": {"config": config}})
    assert energy_reduction(read_figures(path)) == pytest.approx(expected, abs=5e-5)
