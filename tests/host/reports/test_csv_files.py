"""CSV files hold the figures that they are named after."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from axft_host.campaign.export import fault_table
from axft_host.campaign.summary import summarise
from axft_host.reports.csv_files import write_csv_files
from axft_host.reports.profiles import read_figures


def test_files_hold_the_figures_of_the_exported_rows(drawn: Path, transient: Path, tmp_path: Path) -> None:
    """For two results, told apart by the first column."""
    files = write_csv_files([("a", read_figures(drawn)), ("b", read_figures(transient))], tmp_path)
    names = {
        "outcomes",
        "accuracy",
        "by_site",
        "by_kind",
        "by_bit",
        "by_layer",
        "by_row",
        "by_col",
        "by_cycle",
        "by_pe",
    }
    assert {file.stem for file in files} == names
    for label, result in (("a", drawn), ("b", transient)):
        rows = fault_table(result)
        bits = pd.read_csv(tmp_path / "by_bit.csv").query("result == @label").set_index("bit")
        pes = pd.read_csv(tmp_path / "by_pe.csv").query("result == @label").set_index(["row", "col"])
        assert bits["faults"].sum() == pes["faults"].sum() == len(rows)
        for keys, table in ((["row", "col"], pes), (["bit"], bits)):
            for key, chosen in rows.groupby(keys):
                here = table.loc[key if len(keys) > 1 else key[0]]
                assert here["faults"] == len(chosen)
                assert here["critical"] == pytest.approx(chosen["critical"].mean() / 12)
                assert here["critical_low"] <= here["critical"] <= here["critical_high"]
                assert here["faulty_accuracy"] == pytest.approx(chosen["correct"].mean() / 12)
        outcomes = pd.read_csv(tmp_path / "outcomes.csv").set_index("result").loc[label]
        summary = summarise(result)
        assert outcomes["critical_high"] == summary.critical.high
        assert outcomes["interval_method"] == summary.interval_method
        assert outcomes["energy_reduction"] == 0.5


def test_group_without_a_fault_has_no_rates(listed: Path, tmp_path: Path) -> None:
    """Its cells are empty, not 0."""
    write_csv_files([("a", read_figures(listed))], tmp_path)
    pes = pd.read_csv(tmp_path / "by_pe.csv")
    assert pes["faults"].min() == 0
    assert (pes["critical"].isna() == (pes["faults"] == 0)).all()
    assert pes["fault_space"].isna().all()
