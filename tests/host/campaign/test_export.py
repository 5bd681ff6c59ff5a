"""Results as CSV and as tables."""

from __future__ import annotations

import csv
import io
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

from axft_host.campaign.export import fault_rows, fault_table, recovery_rows, write_csv, write_parquet
from axft_host.campaign.runner import run_campaign
from axft_host.campaign.schema import FAULT_COLUMNS
from axft_spec.errors import StoreError
from axft_spec.faultlist import FaultList, write_fault_list
from axft_spec.faults import parse_fault
from support.small_campaign import IMAGES, small_plan

TEXTS = ["weight:r0:c0:b6:sa1", "weight:r1:c1:b7:flip@l1:g0:t0:y5+1"]


@pytest.fixture
def result(tmp_path: Path) -> Path:
    """Return the result of a permanent fault and of one with a window."""
    write_fault_list(tmp_path / "two.jsonl", FaultList(tuple(map(parse_fault, TEXTS))))
    plan = small_plan(tmp_path, faults={"fault_list": tmp_path / "two.jsonl"})
    return run_campaign(plan, tmp_path / "result").store.parent


def test_csv_has_one_line_per_fault(result: Path, tmp_path: Path) -> None:
    """With the text of the fault, a letter per image, and counts that fit the letters."""
    assert write_csv(result, tmp_path / "out.csv") == 2
    with (tmp_path / "out.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["fault"] for line in lines] == TEXTS
    for line in lines:
        assert list(line) == list(FAULT_COLUMNS)
        assert len(line["outcomes"]) == IMAGES
        counts = [line["outcomes"].count(letter) for letter in "MTC"]
        assert counts == [int(line[name]) for name in ("masked", "tolerable", "critical")]


def test_cycles_stay_whole_numbers_beside_permanent_faults(result: Path, tmp_path: Path) -> None:
    """A missing window does not make 5 into 5.0."""
    text = io.StringIO()
    write_csv(result, text)
    lines = list(csv.DictReader(io.StringIO(text.getvalue())))
    assert [line["first_cycle"] for line in lines] == ["", "5"]
    assert fault_table(result)["first_cycle"].isna().tolist() == [True, False]


def test_pandas_reads_the_csv(result: Path, tmp_path: Path) -> None:
    """As the table that it was."""
    write_csv(result, tmp_path / "out.csv")
    read = pd.read_csv(tmp_path / "out.csv")
    assert read["activated"].tolist() == [row["activated"] for row in fault_rows(result)]


def test_export_does_not_overwrite(result: Path, tmp_path: Path) -> None:
    """The file that is there stays as it is."""
    target = tmp_path / "out.csv"
    target.write_text("mine")
    with pytest.raises(StoreError, match="exists and is not overwritten"):
        write_csv(result, target)
    assert target.read_text() == "mine"


def test_export_to_a_missing_directory_is_an_error(result: Path, tmp_path: Path) -> None:
    """The reason comes from the system."""
    with pytest.raises(StoreError, match="cannot be written"):
        write_csv(result, tmp_path / "no" / "out.csv")


def test_parquet_holds_what_csv_does_and_where_it_comes_from(result: Path, tmp_path: Path) -> None:
    """Read back by pyarrow; the store's meta data are in the file's own."""
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow is of the extra `parquet`")
    assert write_parquet(result, tmp_path / "out.parquet") == 2
    read = parquet.read_table(tmp_path / "out.parquet")
    assert read.to_pydict() == {name: [row[name] for row in fault_rows(result)] for name in FAULT_COLUMNS}
    assert json.loads(read.schema.metadata[b"axft"])["config_name"] == "8P"
    with pytest.raises(StoreError, match="exists and is not overwritten"):
        write_parquet(result, tmp_path / "out.parquet")


def test_parquet_without_pyarrow_says_what_to_install(
    result: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or what to do instead."""

    def missing(name: str) -> None:
        raise ImportError(name)

    monkeypatch.setattr("importlib.import_module", missing)
    with pytest.raises(StoreError, match=r"needs pyarrow.*'.\[parquet\]'.*--csv"):
        write_parquet(result, tmp_path / "out.parquet")


def test_recoveries_are_exported_with_their_fault(tmp_path: Path, result: Path) -> None:
    """Of a store that has some; there are none on the emulator."""
    shutil.copytree(Path(__file__).parents[2] / "data" / "stores" / "v3", tmp_path / "v3")
    rows = recovery_rows(tmp_path / "v3")
    assert [(row["idx"], row["end"], row["rung"], row["attempt"]) for row in rows] == [
        (0, "crash", "reload", 1),
        (1, "hang", "soft reset", 1),
        (10, "crash", "power", 1),
    ]
    assert json.loads(json.dumps(rows)) == rows
    assert recovery_rows(result) == []
