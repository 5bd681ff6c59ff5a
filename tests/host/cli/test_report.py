"""``axft-hw report`` as a user meets it."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result

Run = Callable[..., Result]

SMALL = "--array 4x3 --model small.npz --data small-data.npz --workers 1 --faults 30"


@pytest.fixture
def results(run: Run) -> None:
    """Leave two results under `all`."""
    for config in ("8P", "34P"):
        run(f"inject --config {config} {SMALL} --out all/{config}")


@pytest.mark.usefixtures("results")
def test_tables_go_to_the_terminal(run: Run) -> None:
    """For one result, its outcomes and profiles."""
    text = run("report all/8P").stdout
    for part in ("critical", "8P by bit", "8P by fault kind", "Clopper-Pearson", "intervals of these groups: betting"):
        assert part in text
    assert "side by side" not in text


@pytest.mark.usefixtures("results")
def test_directory_of_results_is_reported_side_by_side(run: Run) -> None:
    """With their energy."""
    text = run("report all").stdout
    assert "outcomes side by side" in text
    assert "54.95" in text


@pytest.mark.usefixtures("results")
def test_files_are_new_ones(run: Run, place: Path) -> None:
    """A page and an empty directory of tables; a second time is refused before anything is written."""
    (place / "tables").mkdir()
    text = run("report all --html page.html --csv tables").stdout
    assert "the page is in page.html" in text
    assert (place / "page.html").read_text().startswith("<!doctype html>")
    assert (place / "tables" / "by_bit.csv").exists()
    assert "page.html exists" in run("report all --html page.html --csv other", 2).stderr
    assert not (place / "other").exists()
    assert "tables exists" in run("report all --html other.html --csv tables", 2).stderr
    assert not (place / "other.html").exists()
    assert "the directory no does not exist" in run("report all --csv no/tables", 2).stderr


@pytest.mark.usefixtures("results")
def test_json_is_one_document(run_json: Callable[..., Any], run: Run) -> None:
    """What `inject --json` says of each, and the profiles."""
    document = run_json("report all --csv tables")
    labels = [result["label"] for result in document["results"]]
    assert labels == ["34P", "8P"]
    first = document["results"][0]
    assert first["energy_reduction"] == pytest.approx(0.5495, abs=1e-4)
    assert sum(group["faults"] for group in first["profiles"]["bit"]) == 30
    assert len(first["pes"]["faults"]) == 4
    assert first["profiles"]["kind"][0]["kind"] == "stuck_at_0"
    assert sum(first["accuracy_under_fault"]["faults"]) == 30
    assert "tables/outcomes.csv" in document["files"]
    exported = json.loads(run("export all/34P --json").stdout)["faults"]
    critical = [row["critical"] / 12 for row in exported if row["bit"] == 7]
    group = next(group for group in first["profiles"]["bit"] if group["bit"] == 7)
    assert group["critical"]["rate"] == pytest.approx(sum(critical) / len(critical))


def test_result_that_is_none_is_refused(run: Run) -> None:
    """And no file is left."""
    result = run("report nothing --html page.html", 2)
    assert "no result store at nothing" in result.stderr
    assert not Path("page.html").exists()


@pytest.mark.usefixtures("results")
def test_png_without_matplotlib_is_refused_before_any_work(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says what to install."""
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    assert "pip install '.[report]'" in run("report all --png figures --html page.html", 2).stderr
    assert not Path("page.html").exists()
